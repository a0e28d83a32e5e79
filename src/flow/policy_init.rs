//! `keyless policy init`: a first policy, drafted from the signatures that are there.
//!
//! Every bundle is verified in full, but for whom to expect: that is what a person decides, reading the draft.

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::discover::{Budget, discover_all, discover_legacy};
use crate::flow::sign_blob::BlobSource;
use crate::flow::store::{ImageStore, StoreError};
use crate::flow::verify_blob::{VerifyBlobError, find_bundle, read_bundle};
use crate::flow::verify_image::pin;
use crate::format::bundle::KeyMaterial;
use crate::format::oci::LegacyTag;
use crate::format::statement::COSIGN_SIGN_V1;
use crate::net::registry::{ImageReference, RegistryClient, RegistryError};
use crate::trust::TrustedRoot;
use crate::verify::glob::image_name;
use crate::verify::policy_file::draft::{self, Sighting, Target};
use crate::verify::policy_file::{SIGNATURE, is_predicate_type};
use crate::verify::signature::needed_hashes;
use crate::verify::{Artifact, FoundSigner, Verifier, VerifyError};

/// Why there is no draft.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A registry could not be asked.
    #[error("{0}")]
    Registry(#[from] RegistryError),
    /// The image's place.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A file or its bundle cannot be used.
    #[error("{0}")]
    Blob(#[from] VerifyBlobError),
    /// A file's name has characters that patterns do not take as they are.
    #[error("no pattern can name {path:?}")]
    NoPattern {
        /// The file.
        path: String,
    },
    /// Nothing verifies.
    #[error("nothing to write a policy from: no signature holds")]
    Nothing {
        /// What was found, and why it does not count.
        found: Vec<LeftOut>,
    },
}

impl Diagnostic for InitError {
    fn code(&self) -> &'static str {
        match self {
            InitError::Registry(error) => error.code(),
            InitError::Store(error) => error.code(),
            InitError::Blob(error) => error.code(),
            InitError::NoPattern { .. } => "policy-glob",
            InitError::Nothing { .. } => "policy-nothing-found",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            InitError::Registry(error) => error.exit(),
            InitError::Store(error) => error.exit(),
            InitError::Blob(error) => error.exit(),
            InitError::NoPattern { .. } => Exit::Usage,
            InitError::Nothing { .. } => Exit::NoSignature,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            InitError::Registry(error) => error.details(),
            InitError::Store(error) => error.details(),
            InitError::Blob(error) => error.details(),
            InitError::NoPattern { .. } => Vec::new(),
            InitError::Nothing { found } => found
                .iter()
                .take(20)
                .map(|left_out| ("found", left_out.to_string()))
                .collect(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            InitError::Registry(error) => error.hint(),
            InitError::Store(error) => error.hint(),
            InitError::Blob(error) => error.hint(),
            InitError::NoPattern { .. } => Some(
                "in patterns, * ? [ ] { } \\ and a ! in front do not stand for themselves"
                    .to_owned(),
            ),
            InitError::Nothing { .. } => None,
        }
    }
}

/// A bundle that is not in the draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The image or file.
    pub target: String,
    /// Digest of the manifest that attaches it; `None` for a file's bundle, or where nothing was found.
    pub manifest: Option<Digest>,
    /// Why.
    pub reason: String,
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.target)?;
        if let Some(manifest) = &self.manifest {
            write!(f, "{manifest}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// A policy that nobody has read yet.
#[derive(Debug)]
pub struct DraftedPolicy {
    /// Its text.
    pub text: String,
    /// What was found and is not in it.
    pub left_out: Vec<LeftOut>,
}

#[derive(Default)]
struct Findings {
    sightings: Vec<Sighting>,
    left_out: Vec<LeftOut>,
}

impl Findings {
    /// Takes a signer in; an image's signature is a statement of cosign's type, a file's is over its bytes.
    fn add(
        &mut self,
        target: &Target,
        shown: &str,
        manifest: Option<Digest>,
        found: Result<FoundSigner, String>,
    ) {
        let signer = found.and_then(|found| {
            let content = match (target, found.predicate_type.as_deref()) {
                (Target::Image(_), Some(COSIGN_SIGN_V1)) | (Target::File(_), None) => SIGNATURE,
                (_, Some(other)) if is_predicate_type(other) => other,
                _ => return Err("a signature of another kind".to_owned()),
            };
            Ok((content.to_owned(), found))
        });
        match signer {
            Ok((content, found)) => self.sightings.push(Sighting {
                target: target.clone(),
                content,
                signer: found.identity,
                time: found.time,
            }),
            Err(reason) => self.left_out.push(LeftOut {
                target: shown.to_owned(),
                manifest,
                reason,
            }),
        }
    }
}

/// Drafts a policy from what is attached to images, and from the bundles beside files.
///
/// # Errors
/// [`InitError`].
pub async fn draft_policy(
    registry: &RegistryClient,
    images: &[ImageReference],
    files: &[String],
    trust: &TrustedRoot,
) -> Result<DraftedPolicy, InitError> {
    let verifier = Verifier::new(trust);
    let mut findings = Findings::default();
    for file in files {
        find_beside(file, &verifier, &mut findings)?;
    }
    for image in images {
        find_attached(registry, image, &verifier, &mut findings).await?;
    }
    let Findings {
        sightings,
        left_out,
    } = findings;
    match draft::write(&sightings) {
        Some(text) => Ok(DraftedPolicy { text, left_out }),
        None => Err(InitError::Nothing { found: left_out }),
    }
}

fn find_beside(
    file: &str,
    verifier: &Verifier<'_>,
    findings: &mut Findings,
) -> Result<(), InitError> {
    let target = Target::File(file.to_owned());
    if !target.is_pattern() {
        return Err(InitError::NoPattern {
            path: file.to_owned(),
        });
    }
    let blob = BlobSource::parse(file);
    let (bundle, _) = read_bundle(&find_bundle(&blob, None)?)?;
    let found = match &bundle.key_material {
        KeyMaterial::PublicKey { .. } => Err(VerifyError::NoCertificate),
        KeyMaterial::Certificate(leaf) => {
            let needed = needed_hashes(&bundle.content, leaf.public_key().kind());
            let digests = blob.digests(&needed).map_err(VerifyBlobError::from)?;
            let artifact = Artifact::from_digests(digests);
            artifact
                .ok_or(VerifyError::DigestNeeded {
                    algorithm: "sha256",
                })
                .and_then(|artifact| verifier.find_signer(&bundle, &artifact))
        }
    };
    let found = found.map_err(|error| error.to_string());
    findings.add(&target, file, None, found);
    Ok(())
}

async fn find_attached(
    registry: &RegistryClient,
    reference: &ImageReference,
    verifier: &Verifier<'_>,
    findings: &mut Findings,
) -> Result<(), InitError> {
    let image = pin(registry, reference).await?;
    let artifact = Artifact::from_digest(image.digest());
    let store = ImageStore::registry(registry, &image);
    let discovery = discover_all(&store, &image.digest(), &Budget::default(), |found| {
        verifier.find_signer(&found.bundle, &artifact)
    })
    .await?;
    let tags = [LegacyTag::Signatures, LegacyTag::Attestations];
    let older = discover_legacy(
        &store,
        &image.digest(),
        &tags,
        &discovery.older,
        &Budget::default(),
        |found| verifier.find_signer(&found.bundle, &artifact),
    )
    .await;
    let unread = discovery.unread.or(older.unread);
    if let Some(error) = discovery.cut.or(unread) {
        return Err(error.into());
    }
    let all: Vec<_> = discovery.found.into_iter().chain(older.found).collect();
    // An empty list is also what a registry gives for an image that is not there.
    if all.is_empty() && reference.pinned().is_some() {
        registry.resolve(&image.clone().into()).await?;
    }
    let repository = image.repository();
    let target = Target::Image(image_name(repository.registry(), repository.name()));
    let shown = image.to_string();
    if all.is_empty() {
        findings.add(&target, &shown, None, Err("nothing is attached".to_owned()));
    }
    for found in all {
        let signer = match found.outcome {
            Ok(judged) => judged.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        findings.add(&target, &shown, Some(found.manifest), signer);
    }
    Ok(())
}
