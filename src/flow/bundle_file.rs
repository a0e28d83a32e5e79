//! `keyless bundle create` and `keyless bundle upgrade`: bundles of v0.3 out of parts and of older forms.
//!
//! A log's inclusion proof, which older forms lack, is fetched from the log. What comes out is verified before
//! it is written: a bundle that nobody accepts is not made. Who signed is shown, not judged.

use std::path::{Path, PathBuf};

use url::Url;

use crate::crypto::key::KeyKind;
use crate::crypto::{Digest, PublicKey, pem};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::sign_blob::{BlobError, BlobSource};
use crate::format::bundle::{
    Bundle, BundleError, BundleVersion, Content, KeyMaterial, TransparencyLogEntry, parse_log_entry,
};
use crate::format::certificate_identity::{CertificateIdentity, IdentityError};
use crate::format::dsse::{Envelope, IN_TOTO_PAYLOAD_TYPE};
use crate::format::legacy::{LegacyError, LocalBundle, LogPromise, StoredEnvelope, local_bundle};
use crate::format::limits;
use crate::format::log_entry::LogBody;
use crate::format::protojson::{decode_base64, encode_base64};
use crate::format::statement::Statement;
use crate::host::files::{FileError, read_bounded};
use crate::net::rekor::{fetch_entry_v1, parse_entry_v1};
use crate::net::{HttpClient, NetError};
use crate::trust::TrustedRoot;
use crate::verify::signature::needed_hashes;
use crate::verify::{
    Artifact, ExpectedContent, Policy, VerifiedBundle, VerifyError, Waiver, verify,
};

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
pub enum BundleFileError {
    /// A file cannot be read or written.
    #[error("{0}")]
    File(#[from] FileError),
    /// The signed file cannot be read.
    #[error("{0}")]
    Artifact(#[from] BlobError),
    /// A part is not of its form.
    #[error("{path}: {error}")]
    Part {
        /// The file.
        path: String,
        /// Why.
        error: LegacyError,
    },
    /// A part is in none of the forms that are known for it.
    #[error("{path} is no {expected}")]
    Unknown {
        /// The file.
        path: String,
        /// What it should be.
        expected: &'static str,
    },
    /// What was put together breaks the rules of bundles.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// The certificate names nobody.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// A log entry has no inclusion proof, and it is not said where to get it.
    #[error("the log entry {log_index} has no inclusion proof")]
    NoProof {
        /// Its index.
        log_index: u64,
    },
    /// The log cannot be asked.
    #[error("{0}")]
    Log(#[from] NetError),
    /// The log has something else at that index.
    #[error("the log has another entry at index {log_index}")]
    OtherEntry {
        /// The index.
        log_index: u64,
        /// What differs.
        what: &'static str,
    },
    /// A bundle that names a key by a hint alone cannot be verified without the key.
    #[error("the bundle was signed with a key, which it does not contain")]
    NoKey,
    /// What was signed is not known.
    #[error("what was signed is not known")]
    NoArtifact,
    /// The bundle would not be accepted.
    #[error("the bundle does not verify: {0}")]
    Refused(VerifyError),
}

impl BundleFileError {
    fn inner(&self) -> Option<&dyn Diagnostic> {
        Some(match self {
            BundleFileError::File(error) => error,
            BundleFileError::Artifact(error) => error,
            BundleFileError::Part { error, .. } => error,
            BundleFileError::Bundle(error) => error,
            BundleFileError::Log(error) => error,
            BundleFileError::Refused(error) => error,
            _ => return None,
        })
    }
}

impl Diagnostic for BundleFileError {
    fn code(&self) -> &'static str {
        match self {
            BundleFileError::Unknown { .. } => "bundle-part-unknown",
            BundleFileError::Identity(_) => "certificate-identity-unreadable",
            BundleFileError::NoProof { .. } => "bundle-proof-missing",
            BundleFileError::OtherEntry { .. } => "log-entry-differs",
            BundleFileError::NoKey => "bundle-key-needed",
            BundleFileError::NoArtifact => "bundle-artifact-needed",
            other => other.inner().map_or("bundle-invalid", Diagnostic::code),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            BundleFileError::Unknown { .. } => Exit::Malformed,
            BundleFileError::Identity(_) => Exit::Certificate,
            BundleFileError::NoProof { .. } | BundleFileError::OtherEntry { .. } => Exit::Log,
            BundleFileError::NoKey | BundleFileError::NoArtifact => Exit::Usage,
            other => other.inner().map_or(Exit::Malformed, Diagnostic::exit),
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            BundleFileError::OtherEntry { what, .. } => vec![("differs", (*what).to_owned())],
            other => other.inner().map(Diagnostic::details).unwrap_or_default(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            BundleFileError::NoProof { .. } => {
                Some("--rekor-url names the log to fetch it from".to_owned())
            }
            BundleFileError::NoKey => Some("pass the public key with --key".to_owned()),
            BundleFileError::NoArtifact => Some("pass the signed file with --artifact".to_owned()),
            other => other.inner().and_then(Diagnostic::hint),
        }
    }
}

/// Parts of a bundle, in files.
#[derive(Debug, Default)]
pub struct Parts {
    /// The signed statement, where the signature is over one.
    pub statement: Option<PathBuf>,
    /// A DSSE envelope, statement and signature in one.
    pub attestation: Option<PathBuf>,
    /// The signature, base64 or as it is.
    pub signature: Option<PathBuf>,
    /// The signer's certificate: PEM, base64 of PEM, or DER.
    pub certificate: Option<PathBuf>,
    /// cosign's older JSON bundle.
    pub older: Option<PathBuf>,
    /// Log entries: an answer of Rekor, a `TransparencyLogEntry`, or cosign's older form.
    pub log_entries: Vec<PathBuf>,
    /// RFC 3161 timestamps: cosign's JSON, or DER.
    pub timestamps: Vec<PathBuf>,
}

/// How a bundle is completed and verified.
#[derive(Debug)]
pub struct Completion<'a> {
    /// What was signed.
    pub artifact: Option<BlobSource>,
    /// The signer's key, where it is no certificate's.
    pub key: Option<PublicKey>,
    /// Where proofs are fetched.
    pub log: Option<Url>,
    /// Whether no log is asked for: only a key's signature can be used without.
    pub without_log: bool,
    /// Authorities and logs.
    pub trust: &'a TrustedRoot,
}

/// A bundle that verifies.
#[derive(Debug)]
pub struct MadeBundle {
    /// Its JSON.
    pub json: String,
    /// Version that it was read as.
    pub from: BundleVersion,
    /// Proofs that were fetched.
    pub proofs: usize,
    /// The verdict.
    pub verified: VerifiedBundle,
}

/// Reads parts into a bundle.
///
/// # Errors
/// [`BundleFileError`].
pub fn assemble(parts: &Parts) -> Result<Bundle, BundleFileError> {
    let read = |path: &PathBuf| read_bounded(path, limits::BUNDLE_LEN as u64);
    let shown = |path: &PathBuf| path.display().to_string();
    let mut bundle = match &parts.older {
        Some(path) => {
            let of = |error| BundleFileError::Part {
                path: shown(path),
                error,
            };
            LocalBundle::parse(&read(path)?)
                .and_then(LocalBundle::bundle)
                .map_err(of)?
        }
        None => {
            let (signature, path) = match (&parts.attestation, &parts.signature) {
                (Some(path), _) => (encode_base64(&read(path)?), path),
                (None, Some(path)) => (as_base64(&read(path)?), path),
                (None, None) => return Err(BundleFileError::NoArtifact),
            };
            let certificate = match &parts.certificate {
                Some(path) => as_pem(&read(path)?),
                None => String::new(),
            };
            let of = |error| BundleFileError::Part {
                path: shown(path),
                error,
            };
            let bundle = local_bundle::from_parts(&signature, &certificate).map_err(of)?;
            if let (Some(path), None) = (&parts.attestation, &bundle.stored_envelope) {
                let envelope = StoredEnvelope::parse(&read(path)?);
                return Err(match envelope {
                    Err(error) => of(error),
                    Ok(_) => BundleFileError::Unknown {
                        path: shown(path),
                        expected: "DSSE envelope",
                    },
                });
            }
            bundle
        }
    };
    // A bundle has no place for the bytes that an envelope was stored as.
    bundle.stored_envelope = None;
    if let Some(path) = &parts.statement
        && let Content::MessageSignature { signature, .. } = bundle.content
    {
        bundle.content = Content::DsseEnvelope(Envelope {
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: read(path)?.into(),
            signature,
            keyid: String::new(),
        });
    }
    for path in &parts.log_entries {
        let entry = log_entry(&read(path)?).ok_or_else(|| BundleFileError::Unknown {
            path: shown(path),
            expected: "log entry",
        })?;
        bundle.log_entries.push(entry);
    }
    for path in &parts.timestamps {
        let der = timestamp(&read(path)?).ok_or_else(|| BundleFileError::Unknown {
            path: shown(path),
            expected: "RFC 3161 timestamp",
        })?;
        bundle.timestamps.push(der);
    }
    Ok(bundle)
}

/// Reads a bundle of any version, or cosign's older JSON bundle.
///
/// # Errors
/// [`BundleFileError`].
pub fn read_any(path: &Path) -> Result<Bundle, BundleFileError> {
    let json = read_bounded(path, limits::BUNDLE_LEN as u64)?;
    if LocalBundle::is_one(&json) {
        let parts = Parts {
            older: Some(path.to_owned()),
            ..Parts::default()
        };
        return assemble(&parts);
    }
    Ok(Bundle::parse(&json)?)
}

/// Completes a bundle to v0.3 and verifies it, in the form in which it will be read.
///
/// # Errors
/// [`BundleFileError`].
pub async fn complete(
    http: &HttpClient,
    mut bundle: Bundle,
    how: &Completion<'_>,
) -> Result<MadeBundle, BundleFileError> {
    let from = bundle.version;
    let mut proofs = 0;
    for entry in &mut bundle.log_entries {
        if entry.inclusion_proof.is_none() {
            prove(http, entry, how.log.as_ref()).await?;
            proofs += 1;
        }
    }
    if let (KeyMaterial::PublicKey { hint }, Some(key)) = (&mut bundle.key_material, &how.key) {
        // What cosign writes: base64 of SHA-256 over the SubjectPublicKeyInfo.
        *hint = encode_base64(Digest::sha256(key.spki_der()).as_bytes());
    }
    let policy = match (&bundle.key_material, &how.key) {
        (KeyMaterial::Certificate(leaf), _) => {
            Policy::identity(&CertificateIdentity::of(leaf)?, ExpectedContent::Any)
        }
        (KeyMaterial::PublicKey { .. }, Some(key)) => {
            let policy = Policy::key(key.clone(), ExpectedContent::Any);
            match how.without_log {
                true => policy.waive(Waiver::TransparencyLog),
                false => policy,
            }
        }
        (KeyMaterial::PublicKey { .. }, None) => return Err(BundleFileError::NoKey),
    };
    let artifact = describe(&mut bundle, how)?;
    bundle.version = BundleVersion::V03;
    let json = bundle.encode();
    let read = Bundle::parse(json.as_bytes())?;
    let verified =
        verify(&read, &artifact, how.trust, &policy).map_err(BundleFileError::Refused)?;
    Ok(MadeBundle {
        json,
        from,
        proofs,
        verified,
    })
}

/// Fetches what an entry lacks. The log's answer must be about the same entry; its own promise is kept.
async fn prove(
    http: &HttpClient,
    entry: &mut TransparencyLogEntry,
    log: Option<&Url>,
) -> Result<(), BundleFileError> {
    let log_index = entry.log_index;
    let log = log.ok_or(BundleFileError::NoProof { log_index })?;
    let fetched = fetch_entry_v1(http, log, log_index).await?;
    let differs = |what| BundleFileError::OtherEntry { log_index, what };
    if fetched.canonicalized_body != entry.canonicalized_body {
        return Err(differs("body"));
    }
    if fetched.log_id != entry.log_id {
        return Err(differs("log id"));
    }
    if fetched.log_index != log_index {
        return Err(differs("index"));
    }
    if entry.integrated_time.is_some() && fetched.integrated_time != entry.integrated_time {
        return Err(differs("integrated time"));
    }
    entry.inclusion_proof = fetched.inclusion_proof;
    Ok(())
}

/// Returns what the bundle is about, and writes its digest where the bundle names it: the file that was given,
/// or what log entry or statement say.
fn describe(bundle: &mut Bundle, how: &Completion<'_>) -> Result<Artifact, BundleFileError> {
    let kind = match (&bundle.key_material, &how.key) {
        (KeyMaterial::Certificate(leaf), _) => leaf.public_key().kind(),
        (KeyMaterial::PublicKey { .. }, Some(key)) => key.kind(),
        (KeyMaterial::PublicKey { .. }, None) => KeyKind::EcdsaP256,
    };
    let logged = bundle.log_entries.iter().find_map(|entry| {
        match LogBody::parse(&entry.kind, &entry.version, &entry.canonicalized_body) {
            Ok(LogBody::HashedRekord { digest, .. }) => Some(digest),
            _ => None,
        }
    });
    let named = match &bundle.content {
        Content::DsseEnvelope(envelope) => Statement::parse(&envelope.payload)
            .ok()
            .and_then(|statement| statement.subjects.into_iter().next())
            .map(|subject| subject.digests),
        Content::MessageSignature { digest, .. } => digest.or(logged).map(|digest| vec![digest]),
        Content::SimpleSigning { .. } => None,
    };
    let digests = match &how.artifact {
        Some(artifact) => {
            let mut hashes = needed_hashes(&bundle.content, kind);
            hashes.extend(logged.map(|digest| digest.algorithm()));
            hashes.dedup();
            artifact.digests(&hashes)?
        }
        None => named.ok_or(BundleFileError::NoArtifact)?,
    };
    if let Content::MessageSignature { digest, .. } = &mut bundle.content
        && digest.is_none()
    {
        let same = |found: &&Digest| logged.is_none_or(|l| l.algorithm() == found.algorithm());
        *digest = digests.iter().find(same).or(digests.first()).copied();
    }
    Artifact::from_digests(digests).ok_or(BundleFileError::NoArtifact)
}

/// Reads a log entry in any of its forms.
fn log_entry(json: &[u8]) -> Option<TransparencyLogEntry> {
    parse_log_entry(json)
        .ok()
        .or_else(|| parse_entry_v1(json))
        .or_else(|| LogPromise::parse(json).and_then(LogPromise::entry).ok())
}

/// Reads a timestamp: cosign's JSON around base64, base64 alone, or DER.
fn timestamp(bytes: &[u8]) -> Option<Vec<u8>> {
    #[derive(serde::Deserialize)]
    struct Stored {
        #[serde(rename = "SignedRFC3161Timestamp")]
        der: String,
    }
    let der = match bytes.first()? {
        b'{' => decode_base64(&serde_json::from_slice::<Stored>(bytes).ok()?.der)?,
        0x30 => bytes.to_vec(),
        _ => decode_base64(std::str::from_utf8(bytes).ok()?.trim())?,
    };
    (der.first() == Some(&0x30)).then_some(der)
}

/// Returns base64 of a signature that may be base64 already.
fn as_base64(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes)
        .map(str::trim)
        .unwrap_or_default();
    match decode_base64(text).filter(|_| !text.is_empty()) {
        Some(_) => text.to_owned(),
        None => encode_base64(bytes),
    }
}

/// Returns a certificate as text: DER in PEM, everything else as it is.
fn as_pem(bytes: &[u8]) -> String {
    match bytes.first() {
        Some(0x30) => pem::encode("CERTIFICATE", bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_in_every_form_they_come_in() {
        assert_eq!(as_base64(b" c2ln\n"), "c2ln");
        assert_eq!(as_base64(&[0x30, 0xff]), "MP8=");
        assert_eq!(timestamp(&[0x30, 1]), Some(vec![0x30, 1]));
        assert_eq!(timestamp(b"MAE="), Some(vec![0x30, 1]));
        assert_eq!(
            timestamp(br#"{"SignedRFC3161Timestamp":"MAE="}"#),
            Some(vec![0x30, 1])
        );
        for none in [&b""[..], b"{}", b"text!", b"AAAA"] {
            assert_eq!(timestamp(none), None, "{none:?}");
        }
        assert!(as_pem(&[0x30, 0]).starts_with("-----BEGIN CERTIFICATE-----"));
        assert_eq!(as_pem(b"-----BEGIN"), "-----BEGIN");
        assert!(log_entry(b"{}").is_none());
    }
}
