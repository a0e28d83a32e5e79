//! `keyless verify-blob`: a file against its bundle. Synchronous, and without any network.

use std::path::{Path, PathBuf};

use crate::crypto::key::KeyKind;
use crate::crypto::{Digest, HashAlgorithm};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::rules::RuleError;
use crate::flow::sign_blob::{BlobError, BlobSource};
use crate::format::bundle::{Bundle, BundleError, KeyMaterial};
use crate::format::legacy::{LegacyError, LocalBundle};
use crate::format::limits;
use crate::host::files::{FileError, check_readable, read_bounded};
use crate::trust::TrustedRoot;
use crate::verify::policy_file::NoRule;
use crate::verify::signature::needed_hashes;
use crate::verify::{
    Artifact, ExpectedSigner, Explanation, Policy, VerifiedBundle, Verifier, VerifyError,
};

/// Why a file was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyBlobError {
    /// A file cannot be read.
    #[error("{0}")]
    Blob(#[from] BlobError),
    /// A bundle cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// No bundle was named and none lies beside the file.
    #[error("no bundle for {blob}")]
    NoBundle {
        /// The file.
        blob: String,
        /// Where bundles were looked for.
        looked: Vec<PathBuf>,
    },
    /// The bundle breaks its format.
    #[error("{path}: {error}")]
    Bundle {
        /// The bundle's file.
        path: String,
        /// Why.
        error: BundleError,
    },
    /// The older JSON bundle breaks its format.
    #[error("{path}: {error}")]
    Legacy {
        /// The bundle's file.
        path: String,
        /// Why.
        error: LegacyError,
    },
    /// The bundle was judged and refused.
    #[error("{0}")]
    Refused(#[from] VerifyError),
    /// The policy file has no rule for the file.
    #[error("{0}")]
    NoRule(#[from] NoRule),
    /// A rule of the policy file is not met.
    #[error("{0}")]
    Rule(#[from] Box<RuleError>),
}

impl Diagnostic for VerifyBlobError {
    fn code(&self) -> &'static str {
        match self {
            VerifyBlobError::Blob(error) => error.code(),
            VerifyBlobError::File(error) => error.code(),
            VerifyBlobError::NoBundle { .. } => "no-signature",
            VerifyBlobError::Bundle { error, .. } => error.code(),
            VerifyBlobError::Legacy { error, .. } => error.code(),
            VerifyBlobError::Refused(error) => error.code(),
            VerifyBlobError::NoRule(error) => error.code(),
            VerifyBlobError::Rule(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            VerifyBlobError::Blob(error) => error.exit(),
            VerifyBlobError::File(error) => error.exit(),
            VerifyBlobError::NoBundle { .. } => Exit::NoSignature,
            VerifyBlobError::Bundle { error, .. } => error.exit(),
            VerifyBlobError::Legacy { error, .. } => error.exit(),
            VerifyBlobError::Refused(error) => error.exit(),
            VerifyBlobError::NoRule(error) => error.exit(),
            VerifyBlobError::Rule(error) => error.exit(),
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            VerifyBlobError::Blob(error) => error.details(),
            VerifyBlobError::File(error) => error.details(),
            VerifyBlobError::NoBundle { looked, .. } => looked
                .iter()
                .map(|path| ("looked for", path.display().to_string()))
                .collect(),
            VerifyBlobError::Bundle { error, .. } => error.details(),
            VerifyBlobError::Legacy { error, .. } => error.details(),
            VerifyBlobError::Refused(error) => error.details(),
            VerifyBlobError::NoRule(error) => error.details(),
            VerifyBlobError::Rule(error) => error.details(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            VerifyBlobError::Blob(error) => error.hint(),
            VerifyBlobError::File(error) => error.hint(),
            VerifyBlobError::NoBundle { .. } => Some("name the bundle with --bundle".to_owned()),
            VerifyBlobError::Bundle { error, .. } => error.hint(),
            VerifyBlobError::Legacy { error, .. } => error.hint(),
            VerifyBlobError::Refused(error) => error.hint(),
            VerifyBlobError::NoRule(error) => error.hint(),
            VerifyBlobError::Rule(error) => error.hint(),
        }
    }
}

/// A file that is accepted.
#[derive(Debug)]
pub struct VerifiedBlob {
    /// Its digests.
    pub digests: Vec<Digest>,
    /// The bundle's file.
    pub bundle_path: PathBuf,
    /// Digest of the bundle's bytes.
    pub bundle: Digest,
    /// The verdict.
    pub verified: VerifiedBundle,
}

/// Returns the bundle's default name: `FILE.sigstore.json` (Sigstore Client Spec 4.1.1).
pub fn default_bundle_path(file: &Path) -> PathBuf {
    with_suffix(file, ".sigstore.json")
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Finds the bundle of a file: as named, else `FILE.sigstore.json`, else `FILE.sigstore`.
///
/// # Errors
/// [`VerifyBlobError::NoBundle`]; [`VerifyBlobError::Blob`] where the file is not there either.
pub fn find_bundle(blob: &BlobSource, named: Option<&Path>) -> Result<PathBuf, VerifyBlobError> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let looked = match blob {
        BlobSource::File(path) if path != Path::new("-") => {
            vec![default_bundle_path(path), with_suffix(path, ".sigstore")]
        }
        _ => Vec::new(),
    };
    if let Some(found) = looked.iter().find(|path| path.exists()) {
        return Ok(found.clone());
    }
    // Where the file itself is not there, that is what is wrong.
    if let BlobSource::File(path) = blob {
        blob_is_readable(path).map_err(BlobError::from)?;
    }
    Err(VerifyBlobError::NoBundle {
        blob: blob.to_string(),
        looked,
    })
}

fn blob_is_readable(path: &Path) -> Result<(), FileError> {
    match path == Path::new("-") {
        true => Ok(()),
        false => check_readable(path),
    }
}

/// Reads a bundle from a file; also one of the form that cosign wrote before.
///
/// # Errors
/// [`VerifyBlobError::File`] and [`VerifyBlobError::Bundle`].
pub fn read_bundle(path: &Path) -> Result<(Bundle, Digest), VerifyBlobError> {
    read_bundle_bounded(path, limits::BUNDLE_LEN as u64)
}

/// Reads a bundle of at most `limit` bytes.
///
/// # Errors
/// As [`read_bundle`].
pub fn read_bundle_bounded(path: &Path, limit: u64) -> Result<(Bundle, Digest), VerifyBlobError> {
    let json = read_bounded(path, limit)?;
    if LocalBundle::is_one(&json) {
        let older = LocalBundle::parse(&json).and_then(LocalBundle::bundle);
        let bundle = older.map_err(|error| VerifyBlobError::Legacy {
            path: path.display().to_string(),
            error,
        })?;
        return Ok((bundle, Digest::sha256(&json)));
    }
    let parsed = Bundle::parse_bounded(&json, json.len());
    let bundle = parsed.map_err(|error| VerifyBlobError::Bundle {
        path: path.display().to_string(),
        error,
    })?;
    Ok((bundle, Digest::sha256(&json)))
}

/// Verifies a file against its bundle. The bundle is read first: what cannot be accepted costs no hashing.
/// Where an explanation is asked for, it is left in `explanation` whatever the verdict.
///
/// # Errors
/// [`VerifyBlobError`].
pub fn verify_blob(
    blob: &BlobSource,
    bundle_path: &Path,
    trust: &TrustedRoot,
    policy: &Policy,
    explanation: Option<&mut Option<Explanation>>,
) -> Result<VerifiedBlob, VerifyBlobError> {
    let read = read_bundle(bundle_path)?;
    judge_blob(blob, bundle_path, &read, trust, policy, explanation)
}

/// Verifies a file against a bundle that has been read, see [`verify_blob`].
///
/// # Errors
/// [`VerifyBlobError`].
pub fn judge_blob(
    blob: &BlobSource,
    bundle_path: &Path,
    (bundle, bundle_digest): &(Bundle, Digest),
    trust: &TrustedRoot,
    policy: &Policy,
    explanation: Option<&mut Option<Explanation>>,
) -> Result<VerifiedBlob, VerifyBlobError> {
    let kind = match (&bundle.key_material, policy.signer()) {
        (KeyMaterial::Certificate(leaf), _) => leaf.public_key().kind(),
        (KeyMaterial::PublicKey { .. }, ExpectedSigner::Key(key)) => key.kind(),
        (KeyMaterial::PublicKey { .. }, _) => KeyKind::EcdsaP256,
    };
    let algorithms: Vec<HashAlgorithm> = needed_hashes(&bundle.content, kind);
    let digests = blob.digests(&algorithms)?;
    let artifact = Artifact::from_digests(digests.clone()).ok_or(VerifyError::DigestNeeded {
        algorithm: HashAlgorithm::Sha256.name(),
    })?;
    let verifier = Verifier::new(trust);
    let verified = match explanation {
        None => verifier.verify(bundle, &artifact, policy),
        Some(told) => {
            let (verified, explanation) = verifier.explain(bundle, &artifact, policy);
            *told = Some(explanation);
            verified
        }
    }?;
    Ok(VerifiedBlob {
        digests,
        bundle_path: bundle_path.to_owned(),
        bundle: *bundle_digest,
        verified,
    })
}
