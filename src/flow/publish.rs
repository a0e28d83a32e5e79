//! Attaching a verified bundle to its image, and keeping it where that fails.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::sign::SignedBundle;
use crate::format::limits;
use crate::format::oci::{BUNDLE_ARTIFACT_TYPE, Descriptor, EncodedManifest, LegacyTag};
use crate::host::clock;
use crate::host::files::FileError;
use crate::net::registry::{Attached, Attachment, DigestReference, RegistryClient, RegistryError};
use crate::verify::error::{shell_quoted, signer_options};
use crate::verify::{MatchedSigner, ObservedTimes};

/// A bundle was made and could not be attached. It is valid, and kept.
#[derive(Debug, thiserror::Error)]
#[error("the signature was made and logged, but could not be attached: {cause}")]
pub struct PublishError {
    /// The image.
    pub image: String,
    /// What the registry said.
    pub cause: Box<RegistryError>,
    /// File with the bundle, where it could be kept.
    pub kept: Option<PathBuf>,
    /// The command that attaches what was kept, where one can.
    attaching: Option<String>,
}

impl PublishError {
    /// Says what could not be attached, and keeps it unless a file that the user named has it.
    pub fn of(
        image: &DigestReference,
        cause: RegistryError,
        signed: &SignedBundle,
        kept: Option<PathBuf>,
    ) -> Self {
        let kept = kept.or_else(|| keep(&image.digest(), &signed.json));
        let attaching = kept
            .as_deref()
            .and_then(|kept| attaching(image, signed, kept));
        PublishError {
            image: image.to_string(),
            cause: Box::new(cause),
            kept,
            attaching,
        }
    }
}

/// Returns the command that attaches a bundle from a file, as it can be pasted; `None` for the older form, which
/// has no such command.
fn attaching(image: &DigestReference, signed: &SignedBundle, kept: &Path) -> Option<String> {
    if signed.layer.is_some() {
        return None;
    }
    let signer = match signed.verified.signer() {
        MatchedSigner::Identity(identity) => signer_options(identity)?,
        MatchedSigner::Key(_) => "--key …".to_owned(),
    };
    let mut command = format!(
        "keyless attach bundle {} {} {signer}",
        shell_quoted(&image.to_string()),
        shell_quoted(&kept.display().to_string()),
    );
    if signed.json.len() > limits::BUNDLE_LEN {
        command.push_str(&format!(" --max-attachment-size {}", signed.json.len()));
    }
    Some(command)
}

impl Diagnostic for PublishError {
    fn code(&self) -> &'static str {
        self.cause.code()
    }

    fn exit(&self) -> Exit {
        self.cause.exit()
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = self.cause.details();
        details.push(("image", self.image.clone()));
        if let Some(kept) = &self.kept {
            details.push(("bundle", kept.display().to_string()));
        }
        details
    }

    fn hint(&self) -> Option<String> {
        self.kept.as_ref()?;
        Some(match &self.attaching {
            Some(command) => format!("no new signature is needed: {command}"),
            None => {
                "what was kept is valid; the older form cannot be attached from a file, so sign again"
                    .to_owned()
            }
        })
    }
}

/// Attaches a bundle. Takes the verdict, so that nothing unverified is published, and none about another
/// image.
///
/// # Errors
/// [`RegistryError`].
pub async fn attach(
    registry: &RegistryClient,
    image: &DigestReference,
    subject: &Descriptor,
    signed: &SignedBundle,
) -> Result<Attached, RegistryError> {
    let SignedBundle {
        json,
        layer,
        verified,
    } = signed;
    let judged = verified.artifact().digests();
    if !judged.contains(&image.digest()) {
        return Err(RegistryError::DigestMismatch {
            what: "image of the verdict",
            expected: Box::new(image.digest()),
            found: Box::new(judged[0]),
        });
    }
    if let Some(layer) = layer {
        let tag = match verified.signature().statement() {
            Some(_) => LegacyTag::Attestations,
            None => LegacyTag::Signatures,
        };
        let written = registry.attach_layer(image, tag, layer).await?;
        return Ok(Attached::UnderTag(tag, written));
    }
    let predicate_type = verified
        .signature()
        .statement()
        .map_or("", |statement| statement.predicate_type.as_str());
    let layer = Descriptor::of(BUNDLE_ARTIFACT_TYPE, json.as_bytes());
    // The signature's own time, not now: attaching the same bundle again makes the same manifest.
    let created = verified
        .times()
        .map_or_else(clock::now, ObservedTimes::earliest);
    let attachment = Attachment {
        manifest: EncodedManifest::for_bundle(&layer, subject, predicate_type, created),
        layer: Bytes::copy_from_slice(json.as_bytes()),
    };
    registry.attach(image, &attachment).await
}

/// A bundle was made and logged, and its file could not be written. It is valid, and kept elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("the signature was made and logged, but its bundle could not be written: {error}")]
pub struct UnwrittenBundle {
    /// What the file's trouble is.
    error: FileError,
    /// File with the bundle, where it could be kept.
    kept: Option<PathBuf>,
}

impl UnwrittenBundle {
    /// Keeps what could not be written: the bundle, or several as JSON lines, of this artifact first.
    pub fn keep(error: FileError, artifact: &Digest, json: &str) -> Self {
        UnwrittenBundle {
            error,
            kept: keep(artifact, json),
        }
    }
}

impl Diagnostic for UnwrittenBundle {
    fn code(&self) -> &'static str {
        self.error.code()
    }

    fn exit(&self) -> Exit {
        self.error.exit()
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = self.error.details();
        if let Some(kept) = &self.kept {
            details.push(("bundle", kept.display().to_string()));
        }
        details
    }

    fn hint(&self) -> Option<String> {
        self.kept
            .as_ref()
            .map(|_| "no new signature is needed: the bundle named above is good".to_owned())
    }
}

/// Keeps a bundle that could not be attached and that no `--bundle` has kept: in a folder of its own among
/// the machine's temporary files, for this user alone. `None` if even that fails.
fn keep(artifact: &Digest, json: &str) -> Option<PathBuf> {
    let folder = tempfile::Builder::new()
        .prefix("keyless-bundle-")
        .tempdir()
        .ok()?;
    let name = format!("{}.sigstore.json", artifact.to_string().replace(':', "-"));
    let path: &Path = &folder.path().join(name);
    std::fs::write(path, json).ok()?;
    let _ = folder.keep();
    Some(path.to_owned())
}
