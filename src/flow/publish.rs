//! Attaching a verified bundle to its image, and keeping it where that fails.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::sign::SignedBundle;
use crate::format::oci::{BUNDLE_ARTIFACT_TYPE, Descriptor, EncodedManifest, LegacyTag};
use crate::host::clock;
use crate::host::files::FileError;
use crate::net::registry::{Attached, Attachment, DigestReference, RegistryClient, RegistryError};
use crate::verify::ObservedTimes;

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
        use crate::verify::error::shell_quoted;
        let kept = self.kept.as_ref()?;
        Some(format!(
            "no new signature is needed: keyless attach bundle {} {} --certificate-identity … \
             --certificate-oidc-issuer …",
            shell_quoted(&self.image),
            shell_quoted(&kept.display().to_string())
        ))
    }
}

/// Attaches a bundle. Takes the verdict, so that nothing unverified is published, and none about another
/// image. What is attached is found again by the way that a verifier goes.
///
/// # Errors
/// [`RegistryError`].
pub async fn attach(
    registry: &RegistryClient,
    image: &DigestReference,
    subject: &Descriptor,
    signed: &SignedBundle,
) -> Result<Attached, RegistryError> {
    let stored = store(registry, image, subject, signed).await?;
    match stored {
        Stored::Attached(how) => Ok(how),
        Stored::Unlisted(manifest) => registry.list_referrers(image, &[*manifest]).await,
    }
}

/// Attaches several bundles of one image as [`attach`] does one; the registry is asked once whether it lists them all.
///
/// # Errors
/// [`RegistryError`].
pub async fn attach_all(
    registry: &RegistryClient,
    image: &DigestReference,
    subject: &Descriptor,
    signed: impl IntoIterator<Item = &SignedBundle>,
) -> Result<Vec<Attached>, RegistryError> {
    let mut stored = Vec::new();
    for signed in signed {
        stored.push(store(registry, image, subject, signed).await?);
    }
    let unlisted = stored.iter().filter_map(|stored| match stored {
        Stored::Unlisted(manifest) => Some(Descriptor::clone(manifest)),
        Stored::Attached(_) => None,
    });
    let unlisted: Vec<Descriptor> = unlisted.collect();
    let listed = match unlisted.is_empty() {
        true => None,
        false => Some(registry.list_referrers(image, &unlisted).await?),
    };
    let all = stored.into_iter().filter_map(|stored| match stored {
        Stored::Attached(how) => Some(how),
        Stored::Unlisted(_) => listed,
    });
    Ok(all.collect())
}

/// What was sent.
enum Stored {
    /// It is attached, and was read back.
    Attached(Attached),
    /// It is there, and nobody has looked whether it is listed.
    Unlisted(Box<Descriptor>),
}

async fn store(
    registry: &RegistryClient,
    image: &DigestReference,
    subject: &Descriptor,
    signed: &SignedBundle,
) -> Result<Stored, RegistryError> {
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
        return Ok(Stored::Attached(Attached::UnderTag(tag, written)));
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
    registry.store_attachment(image, &attachment).await?;
    Ok(Stored::Unlisted(Box::new(attachment.manifest.descriptor)))
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
pub fn keep(artifact: &Digest, json: &str) -> Option<PathBuf> {
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
