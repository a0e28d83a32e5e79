//! `keyless sandbox demo`: an image of real files pushed, signed, verified; then tampered with and refused.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::json;

use crate::crypto::{Digest, Secret};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::identity::TokenSource;
use crate::flow::sign::{SignatureForm, SigningOptions};
use crate::flow::sign_image::{SignImageError, SignImageRequest, SignedImage, sign_images};
use crate::flow::trust::{self, TrustError, TrustSource};
use crate::flow::verify_image::{ImageRequest, ImageVerdict, Scope, verify_images};
use crate::format::identity_token::DEFAULT_AUDIENCE;
use crate::format::oci::{BUNDLE_ARTIFACT_TYPE, Descriptor, EncodedManifest, OCI_MANIFEST};
use crate::format::statement::COSIGN_SIGN_V1;
use crate::host::clock;
use crate::host::files::{FileError, read_bounded};
use crate::net::HttpClient;
use crate::net::registry::{
    Attachment, DigestReference, RegistryClient, RegistryError, Repository,
};
use crate::trust::TrustedRoot;
use crate::verify::policy::ValueMatcher;
use crate::verify::{ExpectedContent, IdentityMatcher, Policy};

const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const IMAGE_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Largest file that goes into the demo's image.
const FILE_LEN: u64 = 200 * 1024 * 1024;

/// Why the demo stopped.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// The image could not be pushed.
    #[error("{0}")]
    Registry(#[from] RegistryError),
    /// Signing failed.
    #[error("{0}")]
    Sign(#[from] SignImageError),
    /// The sandbox's trusted root cannot be read.
    #[error("{0}")]
    Trust(#[from] TrustError),
    /// A step ended otherwise than it must.
    #[error("the demo expected exit code {expected} of a verification and got {found}")]
    Unexpected {
        /// Exit code expected.
        expected: Exit,
        /// Exit code found.
        found: Exit,
    },
}

impl Diagnostic for DemoError {
    fn code(&self) -> &'static str {
        match self {
            DemoError::File(error) => error.code(),
            DemoError::Registry(error) => error.code(),
            DemoError::Sign(error) => error.code(),
            DemoError::Trust(error) => error.code(),
            DemoError::Unexpected { .. } => "demo-unexpected",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            DemoError::File(error) => error.exit(),
            DemoError::Registry(error) => error.exit(),
            DemoError::Sign(error) => error.exit(),
            DemoError::Trust(error) => error.exit(),
            DemoError::Unexpected { .. } => Exit::Internal,
        }
    }
}

/// Where the demo's Sigstore is.
#[derive(Debug, Clone)]
pub struct DemoSetting {
    /// `host:port` of the registry.
    pub registry: String,
    /// The sandbox's trusted root.
    pub trusted_root: PathBuf,
    /// The sandbox's signing config.
    pub signing_config: PathBuf,
    /// A token.
    pub token: Secret,
    /// Whom it is for.
    pub identity: String,
    /// Who issued it.
    pub issuer: String,
    /// Files that the image is made of.
    pub files: Vec<PathBuf>,
}

/// One step of the demo, for whoever shows it.
#[derive(Debug)]
pub enum DemoStep<'a> {
    /// An image was pushed.
    Pushed {
        /// Its reference.
        image: &'a DigestReference,
        /// Names and sizes of its files.
        files: &'a [(String, u64)],
    },
    /// It was signed.
    Signed(&'a SignedImage),
    /// A verification, and what was asked.
    Judged {
        /// What is being tried.
        scene: &'static str,
        /// Identity asked for.
        identity: &'a str,
        /// The verdict.
        verdict: &'a ImageVerdict,
    },
}

/// Runs the demo.
///
/// # Errors
/// [`DemoError`]; also when a verdict is not the one that it must be.
pub async fn demo(
    setting: &DemoSetting,
    show: &(dyn Fn(DemoStep<'_>) + Sync),
) -> Result<(), DemoError> {
    let http = HttpClient::new();
    let auth = crate::host::registry_auth::RegistryAuth::anonymous();
    let registry = RegistryClient::new(http.clone(), auth, Default::default());
    let repository: Repository = format!("{}/demo/app", setting.registry).parse()?;

    let mut contents = Vec::new();
    for path in &setting.files {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        contents.push((name, read_bounded(path, FILE_LEN)?));
    }
    let sizes: Vec<(String, u64)> = contents
        .iter()
        .map(|(name, c)| (name.clone(), c.len() as u64))
        .collect();
    let (image, _) = push(&registry, &repository, &contents).await?;
    show(DemoStep::Pushed {
        image: &image,
        files: &sizes,
    });

    let request = SignImageRequest {
        images: vec![image.clone().into()],
        annotations: [("demo".to_owned(), "true".to_owned())].into(),
        recursive: false,
        bundle: None,
        upload: true,
        jobs: 1,
        signing: SigningOptions {
            trusted_root: TrustSource::File(setting.trusted_root.clone()),
            signing_config: TrustSource::File(setting.signing_config.clone()),
            token: TokenSource {
                given: Some(setting.token.clone()),
                audience: DEFAULT_AUDIENCE.to_owned(),
                ..TokenSource::default()
            },
            expected_identity: None,
            form: SignatureForm::Bundle,
        },
    };
    let mut signed = sign_images(&http, &registry, request, &|_| {}).await?;
    let signed = signed.remove(0);
    show(DemoStep::Signed(&signed));
    let judge = Judge {
        registry: &registry,
        setting,
        trust: trust::trusted_root(&TrustSource::File(setting.trusted_root.clone()))?,
        show,
    };

    judge
        .expect(
            Exit::Accepted,
            "the image, and who signed it",
            &image,
            &setting.identity,
        )
        .await?;
    let other = one_character_off(&setting.identity);
    judge
        .expect(
            Exit::IdentityMismatch,
            "the same with one character of the identity changed",
            &image,
            &other,
        )
        .await?;

    // One byte of one file is changed: another image, which nobody has signed.
    if let Some(byte) = contents
        .last_mut()
        .and_then(|(_, content)| content.last_mut())
    {
        *byte ^= 1;
    }
    let (tampered, descriptor) = push(&registry, &repository, &contents).await?;
    let scene = "one byte of a file changed";
    judge
        .expect(Exit::NoSignature, scene, &tampered, &setting.identity)
        .await?;
    // The genuine signature, hung on the tampered image by hand: `keyless attach` would refuse.
    let json = Bytes::from(signed.bundle.json.into_bytes());
    let layer = Descriptor::of(BUNDLE_ARTIFACT_TYPE, &json);
    let manifest = EncodedManifest::for_bundle(&layer, &descriptor, COSIGN_SIGN_V1, clock::now());
    registry
        .attach(
            &tampered,
            &Attachment {
                manifest,
                layer: json,
            },
        )
        .await?;
    let scene = "the tampered image with the genuine signature attached to it";
    judge
        .expect(Exit::ContentMismatch, scene, &tampered, &setting.identity)
        .await
}

struct Judge<'a> {
    registry: &'a RegistryClient,
    setting: &'a DemoSetting,
    trust: TrustedRoot,
    show: &'a (dyn Fn(DemoStep<'_>) + Sync),
}

impl Judge<'_> {
    async fn expect(
        &self,
        expected: Exit,
        scene: &'static str,
        image: &DigestReference,
        identity: &str,
    ) -> Result<(), DemoError> {
        let matcher = IdentityMatcher::new(
            ValueMatcher::Exact(identity.to_owned()),
            ValueMatcher::Exact(self.setting.issuer.clone()),
        );
        let content = ExpectedContent::Signature {
            annotations: Default::default(),
        };
        let policy = Policy::identities(vec![matcher], content).expect("one matcher is not none");
        let request = ImageRequest {
            expectation: &policy.into(),
            trust: &self.trust,
            explain: false,
            scope: Scope::default(),
            jobs: 1,
        };
        let images = [image.clone().into()];
        let verdicts = verify_images(self.registry, &images, &request, &|_| {}).await;
        for verdict in &verdicts {
            (self.show)(DemoStep::Judged {
                scene,
                identity,
                verdict,
            });
            if verdict.exit() != expected {
                return Err(DemoError::Unexpected {
                    expected,
                    found: verdict.exit(),
                });
            }
        }
        Ok(())
    }
}

fn one_character_off(identity: &str) -> String {
    let mut other = identity.to_owned();
    let last = other.pop().unwrap_or('x');
    other.push(if last == 'x' { 'y' } else { 'x' });
    other
}

/// Pushes an image of one layer with these files.
async fn push(
    registry: &RegistryClient,
    repository: &Repository,
    files: &[(String, Vec<u8>)],
) -> Result<(DigestReference, Descriptor), RegistryError> {
    let layer = layer(files);
    let config = json!({
        "architecture": std::env::consts::ARCH,
        "os": std::env::consts::OS,
        "rootfs": { "type": "layers", "diff_ids": [Digest::sha256(&layer).to_string()] },
    })
    .to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor::of(IMAGE_CONFIG, config.as_bytes()),
        "layers": [Descriptor::of(IMAGE_LAYER, &layer)],
    })
    .to_string();
    registry.upload_blob(repository, Bytes::from(layer)).await?;
    registry
        .upload_blob(repository, Bytes::from(config))
        .await?;
    let descriptor = Descriptor::of(OCI_MANIFEST, manifest.as_bytes());
    let encoded = EncodedManifest {
        bytes: manifest.into_bytes(),
        descriptor: descriptor.clone(),
    };
    registry.push_manifest(repository, &encoded).await?;
    Ok((
        DigestReference::new(repository.clone(), descriptor.digest),
        descriptor,
    ))
}

/// Makes an uncompressed layer; the same files give the same bytes.
fn layer(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        archive
            .append_data(&mut header, format!("app/{name}"), content.as_slice())
            .expect("short names and memory take every archive");
    }
    archive.into_inner().expect("memory takes every archive")
}
