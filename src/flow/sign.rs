//! Signing, whatever is signed: token, key, certificate, signatures, timestamps, log entries, bundles,
//! and our own verdict on each before anybody else sees it.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use url::Url;

use crate::crypto::{Certificate, Digest};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::event::{Event, Reporter, Stage};
use crate::flow::identity::{IdentityError, TokenSource};
use crate::flow::trust::{self, TrustError, TrustSource};
use crate::format::bundle::{Bundle, BundleVersion, Content, KeyMaterial, TransparencyLogEntry};
use crate::format::dsse::{Envelope, IN_TOTO_PAYLOAD_TYPE, PreAuthEncoding};
use crate::format::identity_token::IdentityToken;
use crate::format::legacy::{Layer, LegacyError, LocalBundle, StoredEnvelope};
use crate::format::limits;
use crate::format::log_entry::{
    propose_dsse_v001, propose_hashedrekord_v001, propose_hashedrekord_v002,
};
use crate::host::clock;
use crate::net::fulcio::{self, FulcioError};
use crate::net::{HttpClient, NetError, rekor, tsa};
use crate::sign::{CertifyError, EphemeralKey, SignedPayloads};
use crate::trust::TrustedRoot;
use crate::trust::signing_config::{RekorVersion, SelectedServices, SigningConfigError};
use crate::verify::{Artifact, ExpectedContent, Policy, VerifiedBundle, VerifyError, verify};

/// Signatures that are timestamped and logged at a time. A log that makes tiles answers all of a second at once,
/// so that waiting for them one by one would take as many seconds.
const RECORDED_AT_A_TIME: usize = 256;

/// The step at which signing stopped. Nothing has been published then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Trusted root, signing config, choice of services.
    TrustMaterial,
    /// The identity token.
    IdentityToken,
    /// Fulcio's certificate.
    Certificate,
    /// The timestamp.
    Timestamp,
    /// The log entry.
    Log,
    /// Our own verdict on the bundle.
    Gate,
}

impl Step {
    /// Returns the step in words.
    pub fn name(self) -> &'static str {
        match self {
            Step::TrustMaterial => "loading trust material",
            Step::IdentityToken => "getting an identity token",
            Step::Certificate => "getting a certificate",
            Step::Timestamp => "timestamping",
            Step::Log => "recording in the transparency log",
            Step::Gate => "verifying our own bundle",
        }
    }
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Trust material.
    #[error("{0}")]
    Trust(#[from] TrustError),
    /// A log does not take as much; a v1 log is sent the whole envelope.
    #[error("the statement is too large for the transparency log at {url}")]
    TooLargeForLog {
        /// The log.
        url: String,
        /// Size of the request, in bytes.
        found: usize,
    },
    /// No usable service.
    #[error("{0}")]
    SigningConfig(#[from] SigningConfigError),
    /// A service's address is none.
    #[error("signing config has an unusable address {url:?}")]
    Address {
        /// The address.
        url: String,
    },
    /// Identity token.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// Fulcio.
    #[error("{0}")]
    Fulcio(#[from] FulcioError),
    /// The certificate was refused.
    #[error("{0}")]
    Certify(#[from] CertifyError),
    /// Timestamp authority.
    #[error("{0}")]
    Timestamp(NetError),
    /// Rekor.
    #[error("{0}")]
    Log(NetError),
    /// The older form cannot hold what the services gave.
    #[error(
        "the older form of a signature cannot hold it: it wants one certificate, and one promise by a Rekor v1 log"
    )]
    OlderForm,
    /// The bundle did not stand our own verification.
    #[error("{0}")]
    Gate(VerifyError),
}

impl SignError {
    /// Returns the step that failed.
    pub fn step(&self) -> Step {
        match self {
            SignError::Trust(_) | SignError::SigningConfig(_) | SignError::Address { .. } => {
                Step::TrustMaterial
            }
            SignError::TooLargeForLog { .. } => Step::Log,
            SignError::Identity(_) => Step::IdentityToken,
            SignError::Fulcio(_) | SignError::Certify(_) => Step::Certificate,
            SignError::Timestamp(_) => Step::Timestamp,
            SignError::Log(_) => Step::Log,
            SignError::Gate(_) | SignError::OlderForm => Step::Gate,
        }
    }

    fn inner(&self) -> Option<&dyn Diagnostic> {
        match self {
            SignError::Trust(error) => Some(error),
            SignError::SigningConfig(error) => Some(error),
            SignError::Address { .. } | SignError::OlderForm | SignError::TooLargeForLog { .. } => {
                None
            }
            SignError::Identity(error) => Some(error),
            SignError::Fulcio(error) => Some(error),
            SignError::Certify(error) => Some(error),
            SignError::Timestamp(error) | SignError::Log(error) => Some(error),
            SignError::Gate(error) => Some(error),
        }
    }
}

impl Diagnostic for SignError {
    fn code(&self) -> &'static str {
        let own = match self {
            SignError::TooLargeForLog { .. } => "log-entry-too-large",
            SignError::OlderForm => "older-form",
            _ => "signing-config-address",
        };
        self.inner().map_or(own, Diagnostic::code)
    }

    fn exit(&self) -> Exit {
        let own = match self {
            SignError::TooLargeForLog { .. } => Exit::Usage,
            _ => Exit::TrustMaterial,
        };
        self.inner().map_or(own, Diagnostic::exit)
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = self.inner().map(Diagnostic::details).unwrap_or_default();
        if let SignError::TooLargeForLog { found, .. } = self {
            details.push(("request", format!("{found} bytes")));
            details.push(("limit", format!("{} bytes", limits::REKOR_V1_REQUEST_LEN)));
        }
        details.push(("while", self.step().name().to_owned()));
        details
    }

    fn hint(&self) -> Option<String> {
        if let SignError::TooLargeForLog { .. } = self {
            return Some(
                "a Rekor v2 log is sent a digest alone: choose one with --signing-config"
                    .to_owned(),
            );
        }
        self.inner().and_then(Diagnostic::hint)
    }
}

/// What signing needs to know beside the payloads.
#[derive(Debug, Clone)]
pub struct SigningOptions {
    /// Trusted root, for the checks on certificate and bundle.
    pub trusted_root: TrustSource,
    /// Signing config.
    pub signing_config: TrustSource,
    /// Identity token.
    pub token: TokenSource,
    /// Identity to expect in the certificate, where the token's own is not it.
    pub expected_identity: Option<String>,
    /// Form in which signatures are stored.
    pub form: SignatureForm,
}

/// Form in which a signature is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignatureForm {
    /// A Sigstore bundle.
    #[default]
    Bundle,
    /// What cosign wrote before there were bundles, for readers that know nothing else.
    Legacy,
}

/// Something to sign.
#[derive(Debug, Clone)]
pub enum Payload {
    /// An artifact, by its SHA-256 digest.
    Artifact(Digest),
    /// The payload of an image signature in the older form.
    SimpleSigning {
        /// The payload's bytes.
        payload: Vec<u8>,
        /// Digest of the image.
        subject: Digest,
        /// What our own verifier is to ask for.
        expected: ExpectedContent,
    },
    /// An in-toto statement about an artifact.
    Statement {
        /// The statement's bytes.
        payload: Vec<u8>,
        /// Digest of the artifact.
        subject: Digest,
        /// What our own verifier is to ask for.
        expected: ExpectedContent,
    },
}

impl Payload {
    /// Digest that the key signs.
    fn signed_digest(&self) -> Digest {
        match self {
            Payload::Artifact(digest) => *digest,
            Payload::SimpleSigning { payload, .. } => Digest::sha256(payload),
            Payload::Statement { payload, .. } => {
                PreAuthEncoding::new(IN_TOTO_PAYLOAD_TYPE, payload)
                    .digest(crate::crypto::HashAlgorithm::Sha256)
            }
        }
    }

    fn content(&self, signature: Vec<u8>) -> Content {
        match self {
            Payload::Artifact(digest) => Content::MessageSignature {
                digest: Some(*digest),
                signature,
            },
            Payload::SimpleSigning { payload, .. } => Content::SimpleSigning {
                payload: payload.clone(),
                signature,
            },
            Payload::Statement { payload, .. } => Content::DsseEnvelope(Envelope {
                payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
                payload: payload.clone().into(),
                signature,
                keyid: String::new(),
            }),
        }
    }

    /// Bytes of the request that adds it to a v1 log, or a few more; the payload is encoded once, and the
    /// envelope's JSON is a string in the request's.
    fn rekor_v1_request_len(&self) -> usize {
        const BESIDE: usize = 16 * 1024;
        match self {
            Payload::Artifact(_) | Payload::SimpleSigning { .. } => BESIDE,
            Payload::Statement { payload, .. } => payload.len().div_ceil(3) * 4 + BESIDE,
        }
    }

    fn artifact(&self) -> Artifact {
        Artifact::from_digest(match self {
            Payload::Artifact(digest) => *digest,
            Payload::SimpleSigning { subject, .. } | Payload::Statement { subject, .. } => *subject,
        })
    }

    fn expected(&self) -> ExpectedContent {
        match self {
            Payload::Artifact(_) => ExpectedContent::ArtifactSignature,
            Payload::SimpleSigning { expected, .. } | Payload::Statement { expected, .. } => {
                expected.clone()
            }
        }
    }
}

/// A bundle that our own verifier has accepted.
#[derive(Debug, Clone)]
pub struct SignedBundle {
    /// The bundle's JSON, as it is stored in a file; of the older form the older JSON.
    pub json: String,
    /// In the older form, the layer that holds it in a registry; signatures of files have none.
    pub layer: Option<Layer>,
    /// The verdict.
    pub verified: VerifiedBundle,
}

/// Everything settled before a key exists: trust material, services, token.
pub struct Preparation {
    http: HttpClient,
    trust: TrustedRoot,
    services: Services,
    token: IdentityToken,
    expected_identity: Option<String>,
    form: SignatureForm,
}

struct Services {
    fulcio: Url,
    logs: Vec<(RekorVersion, Url)>,
    timestamp_authorities: Vec<Url>,
}

impl Services {
    fn parse(selected: &SelectedServices) -> Result<Self, SignError> {
        let url = |text: &str| match text.parse::<Url>() {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
            _ => Err(SignError::Address {
                url: text.chars().take(200).collect(),
            }),
        };
        let mut logs = Vec::new();
        for (version, address) in &selected.logs {
            logs.push((*version, url(address)?));
        }
        Ok(Services {
            fulcio: url(&selected.certificate_authority)?,
            logs,
            timestamp_authorities: selected
                .timestamp_authorities
                .iter()
                .map(|address| url(address))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Loads trust material, chooses services, gets and judges the token.
///
/// # Errors
/// [`SignError`], of these steps.
pub async fn prepare(
    http: &HttpClient,
    options: &SigningOptions,
    report: Reporter<'_>,
) -> Result<Preparation, SignError> {
    let now = clock::now();
    let trust = trust::trusted_root(&options.trusted_root)?;
    for warning in &trust.warnings {
        report(Event::Warning {
            text: warning.clone(),
        });
    }
    let config = trust::signing_config(&options.signing_config)?;
    let selected = match options.form {
        SignatureForm::Bundle => config.select(now)?,
        SignatureForm::Legacy => config.select_for_older_form(now)?,
    };
    let services = Services::parse(&selected)?;
    let token = options.token.token(http, now).await?;
    Ok(Preparation {
        http: http.clone(),
        trust,
        services,
        token,
        expected_identity: options.expected_identity.clone(),
        form: options.form,
    })
}

impl Preparation {
    /// Signs every payload with one key and one certificate; the bundles come in the payloads' order.
    ///
    /// # Errors
    /// [`SignError`]; all or nothing.
    pub async fn sign(
        self,
        payloads: &[Payload],
        report: Reporter<'_>,
    ) -> Result<Vec<SignedBundle>, SignError> {
        for (version, url) in &self.services.logs {
            let found = payloads.iter().map(Payload::rekor_v1_request_len).max();
            let found = found.unwrap_or_default();
            if *version == RekorVersion::V1 && found > limits::REKOR_V1_REQUEST_LEN {
                let url = url.to_string();
                return Err(SignError::TooLargeForLog { url, found });
            }
        }
        report(Event::RequestingCertificate {
            subject: self.token.subject().to_owned(),
            url: self.services.fulcio.to_string(),
        });
        let digests: Vec<Digest> = payloads.iter().map(Payload::signed_digest).collect();
        let (signed, chain) = {
            let key = EphemeralKey::generate();
            let proof = key.prove_possession(self.token.challenge());
            let issued = fulcio::request_certificate(
                &self.http,
                &self.services.fulcio,
                &self.token,
                &key.public_key(),
                &proof,
            )
            .await?;
            let expected = self.expected_identity.as_deref();
            let certified = key.certify(
                issued.leaf,
                &self.token,
                expected,
                &self.trust,
                clock::now(),
            )?;
            (certified.sign_each(&digests), issued.chain)
        };
        // From here on there is no key.
        report(Event::Recording {
            signatures: signed.signatures.len(),
        });
        let (done, total) = (&AtomicUsize::new(0), payloads.len());
        let (this, signed, chain) = (&self, &signed, chain.as_slice());
        let signatures = signed.signatures.iter().cloned();
        let bundles = payloads.iter().zip(digests).zip(signatures).map(
            |((payload, digest), signature)| async move {
                let bundle = this
                    .bundle(payload, digest, signature, signed, chain)
                    .await?;
                report(Event::Progress {
                    stage: Stage::Logged,
                    done: done.fetch_add(1, Ordering::Relaxed) + 1,
                    total,
                    refused: 0,
                });
                Ok(bundle)
            },
        );
        stream::iter(bundles)
            .buffered(RECORDED_AT_A_TIME)
            .try_collect()
            .await
    }

    async fn bundle(
        &self,
        payload: &Payload,
        digest: Digest,
        signature: Vec<u8>,
        signed: &SignedPayloads,
        chain: &[Certificate],
    ) -> Result<SignedBundle, SignError> {
        let (certificate, identity) = (&signed.certificate, &signed.identity);
        let content = payload.content(signature);
        // Older readers look for the timestamp of an attestation over the whole envelope.
        let stamped = match (self.form, &content) {
            (SignatureForm::Legacy, Content::DsseEnvelope(envelope)) => {
                Digest::sha256(StoredEnvelope::of(envelope).bytes())
            }
            _ => Digest::sha256(content.signature()),
        };
        let timestamps = try_join_all(
            self.services
                .timestamp_authorities
                .iter()
                .map(|url| tsa::request_timestamp(&self.http, url, &stamped)),
        );
        let entries =
            try_join_all(self.services.logs.iter().map(|(version, url)| {
                self.add_entry(*version, url, &content, &digest, certificate)
            }));
        // Both need nothing but the signature.
        let (timestamps, log_entries) = tokio::try_join!(
            async { timestamps.await.map_err(SignError::Timestamp) },
            async { entries.await.map_err(SignError::Log) },
        )?;
        let bundle = Bundle {
            version: BundleVersion::V03,
            key_material: KeyMaterial::Certificate(Box::new(certificate.clone())),
            content,
            log_entries,
            timestamps,
            stored_envelope: None,
        };
        // The gate judges what a verifier will read: the bytes, parsed again.
        let unreadable = || {
            SignError::Gate(VerifyError::EntryMismatch {
                what: "the bundle's own encoding",
            })
        };
        let (json, layer, read) = match self.form {
            SignatureForm::Bundle => {
                let json = bundle.encode();
                // How large it may be was settled before.
                let read =
                    Bundle::parse_bounded(json.as_bytes(), json.len()).map_err(|_| unreadable())?;
                (json, None, read)
            }
            SignatureForm::Legacy => {
                let (json, layer, read) = older_form(&bundle, chain).ok_or(SignError::OlderForm)?;
                (json, layer, read.map_err(|_| unreadable())?)
            }
        };
        let policy = Policy::identity(identity, payload.expected());
        let verified =
            verify(&read, &payload.artifact(), &self.trust, &policy).map_err(SignError::Gate)?;
        Ok(SignedBundle {
            json,
            layer,
            verified,
        })
    }

    async fn add_entry(
        &self,
        version: RekorVersion,
        url: &Url,
        content: &Content,
        digest: &Digest,
        certificate: &Certificate,
    ) -> Result<TransparencyLogEntry, NetError> {
        match version {
            RekorVersion::V1 => {
                let proposal = match content {
                    Content::MessageSignature { signature, .. } => {
                        propose_hashedrekord_v001(digest, signature, certificate)
                    }
                    Content::SimpleSigning { signature, .. } => {
                        propose_hashedrekord_v001(digest, signature, certificate)
                    }
                    Content::DsseEnvelope(envelope) => propose_dsse_v001(envelope, certificate),
                };
                rekor::add_entry_v1(&self.http, url, proposal).await
            }
            RekorVersion::V2 => {
                let proposal = propose_hashedrekord_v002(digest, content.signature(), certificate);
                let mut entry = rekor::add_entry_v2(&self.http, url, proposal).await?;
                self.complete_log_id(&mut entry);
                Ok(entry)
            }
        }
    }

    /// An entry that was read back from tiles knows four bytes of its log's id; the trusted root has the
    /// rest. Whether it is that log's entry is the gate's to say.
    fn complete_log_id(&self, entry: &mut TransparencyLogEntry) {
        if entry.log_id[4..].iter().any(|byte| *byte != 0) {
            return;
        }
        let known = self
            .trust
            .logs
            .iter()
            .find(|log| log.log_id.starts_with(&entry.log_id[..4]));
        if let Some(id) = known.and_then(|log| log.log_id.as_slice().try_into().ok()) {
            entry.log_id = id;
        }
    }
}

/// The older JSON, the layer, and the bundle as a reader of either makes it.
type OlderForm = (String, Option<Layer>, Result<Bundle, LegacyError>);

/// Writes a bundle in the older form, with the authority's certificates beside it; `None` if it cannot hold it.
fn older_form(bundle: &Bundle, chain: &[Certificate]) -> Option<OlderForm> {
    let file = LocalBundle::of(bundle)?;
    let json = file.encode();
    if let Content::MessageSignature { .. } = bundle.content {
        let read = LocalBundle::parse(json.as_bytes()).and_then(LocalBundle::bundle);
        // The older JSON has no room for timestamps; they are files of their own.
        return Some((json, None, read));
    }
    let layer = Layer::of(bundle)?.with_chain(chain);
    let read = layer.bundle();
    Some((json, Some(layer), read))
}
