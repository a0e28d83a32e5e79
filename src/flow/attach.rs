//! `keyless attach bundle`: finishes a publication without a new signature, and repairs a fallback tag
//! that lost an entry.

use std::borrow::Cow;
use std::path::Path;

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::event::{Event, Reporter};
use crate::flow::publish;
use crate::flow::rules::Reason;
use crate::flow::sign::SignedBundle;
use crate::format::bundle::{Bundle, BundleError, BundleVersion, Content};
use crate::format::limits;
use crate::format::statement::{COSIGN_SIGN_V1, Statement};
use crate::host::files::{FileError, read_bounded};
use crate::net::registry::{
    Attached, DigestReference, ImageReference, RegistryClient, RegistryError, Target,
};
use crate::trust::TrustedRoot;
use crate::verify::{
    Artifact, ExpectedContent, Nearness, Policy, VerifiedBundle, VerifyError, verify,
};

/// Bundles in one file of JSON lines.
const MAX_LINES: usize = 1000;

/// Why nothing was attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// It holds no bundle.
    #[error("{path}: {error}")]
    Bundle {
        /// The file.
        path: String,
        /// Why.
        error: BundleError,
    },
    /// No bundle in the file is accepted for this image.
    #[error("bundle is not attached: {0}")]
    Refused(VerifyError),
    /// The registry.
    #[error("{0}")]
    Registry(#[from] RegistryError),
}

impl AttachError {
    fn inner(&self) -> &dyn Diagnostic {
        match self {
            AttachError::File(error) => error,
            AttachError::Bundle { error, .. } => error,
            AttachError::Refused(error) => error,
            AttachError::Registry(error) => error,
        }
    }
}

impl Diagnostic for AttachError {
    fn code(&self) -> &'static str {
        self.inner().code()
    }

    fn exit(&self) -> Exit {
        self.inner().exit()
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        self.inner().details()
    }

    fn hint(&self) -> Option<String> {
        match self {
            AttachError::File(FileError::TooLarge { .. })
            | AttachError::Bundle {
                error: BundleError::TooLarge { .. },
                ..
            } => Some(limits::TO_RAISE.to_owned()),
            error => error.inner().hint(),
        }
    }
}

/// What was attached.
#[derive(Debug)]
pub struct AttachedBundle {
    /// The image.
    pub image: DigestReference,
    /// Digest of the bundle's bytes.
    pub bundle: Digest,
    /// The verdict.
    pub verified: VerifiedBundle,
    /// How others will find it.
    pub attached: Attached,
}

/// Verifies the bundles of a file for an image and attaches those that hold; a file of several, as
/// `sign --bundle` writes for several images, holds those of other images too.
///
/// # Errors
/// [`AttachError`]; nothing unverified is sent to the registry.
pub async fn attach_bundle(
    registry: &RegistryClient,
    reference: &ImageReference,
    path: &Path,
    trust: &TrustedRoot,
    policy: &Policy,
    report: Reporter<'_>,
) -> Result<Vec<AttachedBundle>, AttachError> {
    let limit = registry.options().limits.bundle;
    let text = read_bounded(path, limit.saturating_mul(4))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let fetched = registry.resolve(reference).await?;
    let image = fetched.reference.clone();
    if let Target::Tag(_) = reference.target() {
        report(Event::TagResolved {
            reference: reference.to_string(),
            pinned: image.to_string(),
        });
    }
    let artifact = Artifact::from_digest(image.digest());
    let malformed = |error| AttachError::Bundle {
        path: path.display().to_string(),
        error,
    };
    let mut accepted = Vec::new();
    let mut refusal: Option<(VerifyError, Nearness)> = None;
    let bundles = bundles(&text, limit);
    if bundles.len() > MAX_LINES {
        return Err(malformed(BundleError::Rule {
            rule: "the file has more than 1000 bundles",
        }));
    }
    for json in bundles {
        let bundle = Bundle::parse_bounded(json, limit).map_err(malformed)?;
        if bundle.version < BundleVersion::V03 {
            return Err(malformed(BundleError::Rule {
                rule: "images carry bundles of v0.3",
            }));
        }
        match verify(&bundle, &artifact, trust, &policy_for(&bundle, policy)) {
            Ok(verified) => accepted.push((json, verified)),
            Err(error) => {
                let near = policy.nearness(&bundle.key_material);
                let known = refusal.as_ref();
                let known = known.map(|(known, near)| Reason::Verify(known, *near).rank());
                if known.is_none_or(|known| known < Reason::Verify(&error, near).rank()) {
                    refusal = Some((error, near));
                }
            }
        }
    }
    if accepted.is_empty() {
        return Err(match refusal {
            Some((error, _)) => AttachError::Refused(error),
            None => malformed(BundleError::Rule {
                rule: "the file is empty",
            }),
        });
    }
    let mut attached = Vec::new();
    for (json, verified) in accepted {
        report(Event::Attaching {
            image: image.to_string(),
        });
        let text = std::str::from_utf8(json).expect("what parsed as JSON is UTF-8");
        let signed = SignedBundle {
            json: text.to_owned(),
            layer: None,
            verified,
        };
        let how = publish::attach(registry, &image, &fetched.descriptor, &signed).await?;
        attached.push(AttachedBundle {
            image: image.clone(),
            bundle: Digest::sha256(json),
            verified: signed.verified,
            attached: how,
        });
    }
    Ok(attached)
}

/// Returns what is asked of a bundle: of an attestation, whatever it says, its signer and evidence. Annotations are
/// those of signatures, so that an attestation is none where they are asked for.
fn policy_for<'p>(bundle: &Bundle, policy: &'p Policy) -> Cow<'p, Policy> {
    let asks_for_annotations = matches!(
        policy.content(),
        ExpectedContent::Signature { annotations } if !annotations.is_empty()
    );
    let statement = match &bundle.content {
        Content::DsseEnvelope(envelope) => Statement::parse(&envelope.payload).ok(),
        _ => None,
    };
    match statement {
        Some(statement) if statement.predicate_type != COSIGN_SIGN_V1 && !asks_for_annotations => {
            let predicate_type = statement.predicate_type.into();
            let content = ExpectedContent::Attestation { predicate_type };
            Cow::Owned(policy.clone().with_content(content))
        }
        _ => Cow::Borrowed(policy),
    }
}

/// Splits JSON lines; a file with one bundle, however it is laid out, is one.
fn bundles(text: &[u8], limit: usize) -> Vec<&[u8]> {
    if Bundle::parse_bounded(text, limit).is_ok() {
        return vec![text.trim_ascii()];
    }
    text.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(MAX_LINES + 1)
        .collect()
}
