//! `keyless inspect`: what bundles, images and certificates say of themselves. Nothing is verified; what is
//! read here is shown, and decides nothing.

pub mod bundle;
pub mod certificate;
pub mod part;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;

use self::bundle::BundleFacts;
use self::certificate::CertificateFacts;
use self::part::{Part, cut, unreadable};
use crate::crypto::certificate::CertificateError;
use crate::crypto::{Certificate, Digest, pem};
use crate::diagnostic::{Diagnostic, Exit, counted};
use crate::flow::discover::{Budget, FindError, discover_all, discover_legacy};
use crate::flow::store::{ImageStore, StoreError};
use crate::format::bundle::{Bundle, BundleError};
use crate::format::limits;
use crate::format::oci::LegacyTag;
use crate::format::protojson::decode_base64;
use crate::host::files::{FileError, read_bounded};
use crate::net::registry::{DigestReference, ImageReference, RegistryClient, RegistryError};

/// A file of JSON lines, as `sign --bundle` writes them, is as large as this many bundles at most.
const LARGEST_FILE: u64 = 4;
/// Bundles in one file of JSON lines.
const MAX_LINES: usize = 1000;
/// Endings of names of files, in lower case. A name without registry, tag and digest that ends so is one,
/// whether it is there or not: nobody wants a slip of the pen looked up on Docker Hub.
const FILE_ENDINGS: [&str; 8] = [
    ".json",
    ".jsonl",
    ".sigstore",
    ".pem",
    ".crt",
    ".cer",
    ".cert",
    ".der",
];

/// What is inspected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, or standard input for `-`; its content says what it is.
    File(PathBuf),
    /// An image, whose bundles are in its registry.
    Image(ImageReference),
}

impl Source {
    /// Reads what the command line says: a file where there is one of that name, else an image.
    ///
    /// # Errors
    /// [`InspectError::Neither`].
    pub fn parse(text: &str) -> Result<Self, InspectError> {
        let path = Path::new(text);
        let found = std::fs::metadata(path);
        let is_file = match &found {
            _ if text == "-" => true,
            Ok(found) => !found.is_dir(),
            // Whatever else keeps it from being looked at, it is there.
            Err(error) => error.kind() == ErrorKind::PermissionDenied,
        };
        if is_file || is_named_like_a_file(text) {
            return Ok(Source::File(path.to_owned()));
        }
        match text.parse() {
            Ok(image) => Ok(Source::Image(image)),
            Err(_) if found.is_ok() => Ok(Source::File(path.to_owned())),
            Err(error) => Err(InspectError::Neither {
                given: text.chars().take(200).collect(),
                image: Box::new(error),
            }),
        }
    }
}

fn is_named_like_a_file(text: &str) -> bool {
    let name = text.rsplit('/').next().unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    let has_ending = FILE_ENDINGS.iter().any(|ending| lower.ends_with(ending));
    let is_path = ["/", "./", "../"]
        .iter()
        .any(|start| text.starts_with(start));
    is_path || (has_ending && !name.contains([':', '@']))
}

/// Why something is not shown, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There is no such file, and no image can have that name.
    #[error("{given:?} is neither a file nor an image reference")]
    Neither {
        /// As given, cut.
        given: String,
        /// Why it is no image.
        image: Box<RegistryError>,
    },
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// The file is of another kind.
    #[error("{path} is neither a bundle nor a certificate")]
    Unknown {
        /// The file.
        path: String,
    },
    /// A bundle cannot be read.
    #[error("{path}: {error}")]
    Bundle {
        /// The file; with the line where there are several.
        path: String,
        /// Why.
        error: BundleError,
    },
    /// A certificate cannot be read.
    #[error("{path}: {error}")]
    Certificate {
        /// The file.
        path: String,
        /// Why.
        error: CertificateError,
    },
    /// The registry could not be asked, or not for everything.
    #[error("{0}")]
    Registry(#[from] RegistryError),
    /// The image's place.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Nothing is attached that is a bundle.
    #[error("no bundle is attached to {image}")]
    NothingAttached {
        /// The image.
        image: String,
        /// What else is attached.
        others: usize,
    },
    /// Bundles are attached, and none can be read; the first of them.
    #[error("no bundle of {image} can be read: {error}")]
    NoneReadable {
        /// The image.
        image: String,
        /// Why.
        error: BundleError,
    },
}

impl Diagnostic for InspectError {
    fn code(&self) -> &'static str {
        match self {
            InspectError::Neither { .. } => "neither-file-nor-image",
            InspectError::File(error) => error.code(),
            InspectError::Unknown { .. } => "neither-bundle-nor-certificate",
            InspectError::Bundle { error, .. } | InspectError::NoneReadable { error, .. } => {
                error.code()
            }
            InspectError::Certificate { .. } => "certificate-malformed",
            InspectError::Registry(error) => error.code(),
            InspectError::Store(error) => error.code(),
            InspectError::NothingAttached { .. } => "no-signature",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            InspectError::Neither { .. } => Exit::Usage,
            InspectError::File(error) => error.exit(),
            InspectError::Unknown { .. }
            | InspectError::Certificate { .. }
            | InspectError::Bundle { .. }
            | InspectError::NoneReadable { .. } => Exit::Malformed,
            InspectError::Registry(error) => error.exit(),
            InspectError::Store(error) => error.exit(),
            InspectError::NothingAttached { .. } => Exit::NoSignature,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            InspectError::Neither { image, .. } => {
                let mut details = vec![("as a file", "not found".to_owned())];
                let causes = image.details().into_iter();
                details.extend(causes.map(|(_, cause)| ("as an image", cause)));
                details
            }
            InspectError::File(error) => error.details(),
            InspectError::Registry(error) => error.details(),
            InspectError::Store(error) => error.details(),
            InspectError::NothingAttached {
                others: others @ 1..,
                ..
            } => vec![("found", counted(*others, "other referrer"))],
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            InspectError::File(FileError::Read { path, source })
                if source.kind() == ErrorKind::NotFound
                    && path.parse::<ImageReference>().is_ok() =>
            {
                Some("an image of such a name is written with its tag or digest".to_owned())
            }
            InspectError::Unknown { .. } => Some(
                "bundles are JSON, certificates PEM or DER; an image is named as REGISTRY/NAME:TAG"
                    .to_owned(),
            ),
            InspectError::File(FileError::TooLarge { .. })
            | InspectError::Bundle {
                error: BundleError::TooLarge { .. },
                ..
            } => Some(limits::TO_RAISE.to_owned()),
            InspectError::File(error) => error.hint(),
            InspectError::Registry(error) => error.hint(),
            InspectError::Store(error) => error.hint(),
            _ => None,
        }
    }
}

/// What one argument turned out to be, and what is known of it.
#[derive(Debug)]
pub struct Inspected {
    /// As given.
    pub argument: String,
    /// What it is.
    pub shown: Shown,
    /// Why nothing is shown, or not everything.
    pub error: Option<InspectError>,
}

impl Inspected {
    /// Returns the exit code of this argument alone.
    pub fn exit(&self) -> Exit {
        self.error.as_ref().map_or(Exit::Accepted, Diagnostic::exit)
    }
}

/// What can be shown.
#[derive(Debug)]
pub enum Shown {
    /// Nothing could be read.
    Nothing,
    /// The bundles of a file.
    Bundles(Vec<Part<BundleFacts>>),
    /// The certificates of a file.
    Certificates(Vec<Part<CertificateFacts>>),
    /// What is attached to an image.
    Image(Box<ImageFacts>),
}

/// An image, and what is attached to it.
#[derive(Debug)]
pub struct ImageFacts {
    /// The image, its tag resolved.
    pub image: DigestReference,
    /// Its bundles in the registry's order, each with the digest of the manifest that attaches it.
    pub bundles: Vec<(Digest, BundleFacts)>,
    /// Referrers that are no bundles, or cannot be read, each with the digest of its manifest.
    pub others: Vec<(Digest, FindError)>,
    /// Set where the list was cut.
    pub cut: Option<StoreError>,
}

/// Reads everything that is asked for; a fault of one does not hide the others.
pub async fn inspect(registry: &RegistryClient, arguments: &[String]) -> Vec<Inspected> {
    let budget = Budget::default();
    let all = arguments.iter().map(|argument| {
        let budget = &budget;
        let limit = registry.options().limits.bundle;
        async move {
            let outcome = match Source::parse(argument) {
                Ok(Source::File(path)) => inspect_file(&path, limit),
                Ok(Source::Image(reference)) => inspect_image(registry, &reference, budget).await,
                Err(error) => Err(error),
            };
            let (shown, error) = match outcome {
                Ok((shown, error)) => (shown, error),
                Err(error) => (Shown::Nothing, Some(error)),
            };
            Inspected {
                argument: argument.clone(),
                shown,
                error,
            }
        }
    });
    join_all(all).await
}

type Outcome = Result<(Shown, Option<InspectError>), InspectError>;

fn inspect_file(path: &Path, limit: u64) -> Outcome {
    let bytes = read_bounded(path, limit.saturating_mul(LARGEST_FILE))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let name = match path.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => path.display().to_string(),
    };
    inspect_bytes(&name, &bytes, true, limit)
}

/// Tells by the content what a file is.
fn inspect_bytes(name: &str, bytes: &[u8], may_be_base64: bool, limit: usize) -> Outcome {
    const PEM_BEGIN: &[u8] = b"-----BEGIN ";
    let text = bytes.trim_ascii();
    if text.starts_with(b"{") || text.starts_with(b"[") {
        return inspect_bundles(name, bytes, limit);
    }
    // A SEQUENCE of more than 127 bytes; no certificate is shorter.
    let is_der = matches!(bytes, [0x30, 0x81..=0x84, ..]);
    if is_der {
        return match Certificate::from_der(bytes) {
            Ok(certificate) => {
                let facts = vec![Ok(CertificateFacts::of(&certificate))];
                Ok((Shown::Certificates(facts), None))
            }
            Err(error) => Err(InspectError::Certificate {
                path: name.to_owned(),
                error,
            }),
        };
    }
    if text.windows(PEM_BEGIN.len()).any(|part| part == PEM_BEGIN) {
        return inspect_pem(name, text);
    }
    // cosign writes PEM in base64.
    let squeezed: Vec<u8> = match may_be_base64 && text.len() <= limits::PEM_LEN {
        true => text
            .iter()
            .filter(|b| !b.is_ascii_whitespace())
            .copied()
            .collect(),
        false => Vec::new(),
    };
    match std::str::from_utf8(&squeezed).ok().and_then(decode_base64) {
        Some(decoded) if !decoded.is_empty() => inspect_bytes(name, &decoded, false, limit),
        _ => Err(InspectError::Unknown {
            path: name.to_owned(),
        }),
    }
}

fn inspect_bundles(name: &str, bytes: &[u8], limit: usize) -> Outcome {
    let read = |json: &[u8]| {
        let bundle = Bundle::parse_bounded(json, limit)?;
        Ok(BundleFacts::of(&bundle, Digest::sha256(json)))
    };
    let refused = |path: String, error: BundleError| InspectError::Bundle { path, error };
    let whole = match read(bytes) {
        Ok(facts) => return Ok((Shown::Bundles(vec![Ok(facts)]), None)),
        Err(error) => refused(name.to_owned(), error),
    };
    let mut lines = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .peekable();
    // JSON lines have a whole document in the first, and more after it.
    let is_document = |json: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok();
    if !lines.peek().is_some_and(|(_, first)| is_document(first)) {
        return Err(whole);
    }
    let (mut shown, mut failure) = (Vec::new(), None);
    for (index, line) in lines {
        if shown.len() == MAX_LINES {
            let rule = "the file has more than 1000 bundles";
            failure.get_or_insert(refused(name.to_owned(), BundleError::Rule { rule }));
            break;
        }
        shown.push(read(line).map_err(|error| {
            let text = unreadable(&error);
            failure.get_or_insert(refused(format!("{name}, line {}", index + 1), error));
            text
        }));
    }
    match failure {
        Some(_) if shown.len() < 2 => Err(whole),
        Some(failure) if shown.iter().all(Result::is_err) => Err(failure),
        failure => Ok((Shown::Bundles(shown), failure)),
    }
}

fn inspect_pem(name: &str, text: &[u8]) -> Outcome {
    let malformed = |reason: String| CertificateError::Malformed { reason };
    if text.len() > limits::PEM_LEN {
        return Err(FileError::TooLarge {
            path: name.to_owned(),
            limit: limits::PEM_LEN as u64,
        }
        .into());
    }
    // Text around the blocks, of any encoding, is nothing to us.
    let text = String::from_utf8_lossy(text);
    let mut rest = text.as_ref();
    let (mut shown, mut failure) = (Vec::new(), None);
    while rest.contains("-----BEGIN ") {
        let read = match pem::decode(rest) {
            None => {
                rest = "";
                Err(malformed("a PEM block cannot be read".to_owned()))
            }
            Some((label, der, after)) => {
                rest = after;
                match label {
                    "CERTIFICATE" => Certificate::from_der(&der),
                    _ => Err(malformed(format!("a PEM block is a {}", cut(label)))),
                }
            }
        };
        shown.push(match read {
            Ok(certificate) => Ok(CertificateFacts::of(&certificate)),
            Err(error) => {
                let text = unreadable(&error);
                failure.get_or_insert(InspectError::Certificate {
                    path: name.to_owned(),
                    error,
                });
                Err(text)
            }
        });
    }
    match failure {
        Some(failure) if shown.iter().all(Result::is_err) => Err(failure),
        failure => Ok((Shown::Certificates(shown), failure)),
    }
}

async fn inspect_image(
    registry: &RegistryClient,
    reference: &ImageReference,
    budget: &Budget,
) -> Outcome {
    let image = match reference.pinned() {
        Some(pinned) => pinned,
        None => registry.resolve(reference).await?.reference,
    };
    let store = ImageStore::registry(registry, &image);
    let discovery = discover_all(&store, &image.digest(), budget, |found| {
        BundleFacts::of(&found.bundle, found.digest)
    })
    .await?;
    let tags = [LegacyTag::Signatures, LegacyTag::Attestations];
    let older = discover_legacy(
        &store,
        &image.digest(),
        &tags,
        &discovery.older,
        budget,
        |found| BundleFacts::of(&found.bundle, found.digest),
    )
    .await?;
    let (mut bundles, mut others) = (Vec::new(), Vec::new());
    for found in discovery.found.into_iter().chain(older) {
        match found.outcome {
            Ok(bundle) => bundles.push((found.manifest, bundle)),
            Err(error) => others.push((found.manifest, error)),
        }
    }
    let cut = discovery.cut;
    // What could not be fetched always counts: it may be what is looked for.
    let unfetched = others.iter().find_map(|(_, error)| match error {
        FindError::Store(error) => Some(error),
        _ => None,
    });
    let failure = unfetched
        .or(cut.as_ref())
        .map(|error| InspectError::Store(error.clone()));
    if !bundles.is_empty() {
        let facts = ImageFacts {
            image,
            bundles,
            others,
            cut,
        };
        return Ok((Shown::Image(Box::new(facts)), failure));
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    // An empty list is also what a registry gives for an image that is not there.
    if others.is_empty() && reference.pinned().is_some() {
        registry.resolve(&image.clone().into()).await?;
    }
    Err(nothing(&image, others))
}

/// Says why an image has nothing to show. A broken bundle counts only here; anybody may attach one.
fn nothing(image: &DigestReference, others: Vec<(Digest, FindError)>) -> InspectError {
    let image = image.to_string();
    let count = others.len();
    let broken = others.into_iter().find_map(|(_, error)| match error {
        FindError::Bundle(error) => Some(error),
        _ => None,
    });
    match broken {
        Some(error) => InspectError::NoneReadable { image, error },
        None => InspectError::NothingAttached {
            image,
            others: count,
        },
    }
}
