//! `keyless sign-blob`: files, or digests of them, one bundle for each.

use std::path::PathBuf;

use crate::crypto::{Digest, HashAlgorithm};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::event::Reporter;
use crate::flow::publish::UnwrittenBundle;
use crate::flow::sign::{Payload, SignError, SignedBundle, SigningOptions, prepare};
use crate::format::bundle::{Bundle, KeyMaterial};
use crate::format::dsse::PRE_AUTH_PREFIX;
use crate::format::legacy::LocalBundle;
use crate::format::protojson::encode_base64;
use crate::host::files::{FileError, OutputFile, digest};
use crate::net::HttpClient;

/// Why a file has no digest to sign or verify.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// It is what the signature of an envelope covers.
    #[error("{path} is a DSSE pre-authentication encoding, which is not signed as a file")]
    PreAuthEncoding {
        /// The file.
        path: String,
    },
}

impl Diagnostic for BlobError {
    fn code(&self) -> &'static str {
        match self {
            BlobError::File(error) => error.code(),
            BlobError::PreAuthEncoding { .. } => "blob-is-pre-auth-encoding",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            BlobError::File(error) => error.exit(),
            BlobError::PreAuthEncoding { .. } => Exit::ContentMismatch,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            BlobError::File(error) => error.details(),
            BlobError::PreAuthEncoding { .. } => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            BlobError::File(error) => error.hint(),
            BlobError::PreAuthEncoding { .. } => {
                Some("its signature could be passed off as that of the statement within".to_owned())
            }
        }
    }
}

/// A file to sign or verify: by its path, `-` for standard input, or by its digest alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobSource {
    /// Read and hashed, at constant memory.
    File(PathBuf),
    /// The file's digest, known already.
    Digest(Digest),
}

impl BlobSource {
    /// Reads what the command line says: whatever is written as a digest is one. A file of such a name is
    /// written `./sha256:…`; otherwise whoever plants it would decide what was asked about.
    pub fn parse(text: &str) -> Self {
        match text.parse::<Digest>() {
            Ok(digest) => BlobSource::Digest(digest),
            Err(_) => BlobSource::File(PathBuf::from(text)),
        }
    }

    /// Computes digests, or looks the known one up. What a digest given as such is of, nobody can see.
    ///
    /// # Errors
    /// [`BlobError`]: the file cannot be read, or is a DSSE pre-authentication encoding.
    pub fn digests(&self, algorithms: &[HashAlgorithm]) -> Result<Vec<Digest>, BlobError> {
        match self {
            BlobSource::Digest(digest) => Ok(vec![*digest]),
            BlobSource::File(path) => {
                let hashed = digest(path, algorithms)?;
                if hashed.head.starts_with(PRE_AUTH_PREFIX) {
                    return Err(BlobError::PreAuthEncoding {
                        path: path.display().to_string(),
                    });
                }
                Ok(hashed.digests)
            }
        }
    }
}

impl std::fmt::Display for BlobSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BlobSource::Digest(digest) => write!(f, "{digest}"),
            BlobSource::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What `keyless sign-blob` is asked to do.
#[derive(Debug)]
pub struct SignBlobRequest {
    /// Files with the place of each bundle.
    pub blobs: Vec<(BlobSource, OutputFile)>,
    /// Where to write the signature of the only file too, base64.
    pub signature: Option<OutputFile>,
    /// Where to write the certificate too, PEM.
    pub certificate: Option<OutputFile>,
    /// Trust material and token.
    pub signing: SigningOptions,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignBlobError {
    /// A file cannot be read, or is not to be signed.
    #[error("{0}")]
    Blob(#[from] BlobError),
    /// A bundle cannot be written; those of other files are.
    #[error("{0}")]
    Unwritten(#[from] UnwrittenBundle),
    /// A digest that is not SHA-256.
    #[error("a blob is signed by its SHA-256 digest")]
    DigestAlgorithm {
        /// The digest given.
        found: Digest,
    },
    /// Signing stopped.
    #[error("{0}")]
    Sign(#[from] SignError),
}

impl Diagnostic for SignBlobError {
    fn code(&self) -> &'static str {
        match self {
            SignBlobError::Blob(error) => error.code(),
            SignBlobError::Unwritten(error) => error.code(),
            SignBlobError::DigestAlgorithm { .. } => "digest-algorithm",
            SignBlobError::Sign(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            SignBlobError::Blob(error) => error.exit(),
            SignBlobError::Unwritten(error) => error.exit(),
            SignBlobError::DigestAlgorithm { .. } => Exit::Usage,
            SignBlobError::Sign(error) => error.exit(),
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            SignBlobError::Blob(error) => error.details(),
            SignBlobError::Unwritten(error) => error.details(),
            SignBlobError::DigestAlgorithm { found } => vec![("found", found.to_string())],
            SignBlobError::Sign(error) => error.details(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            SignBlobError::Blob(error) => error.hint(),
            SignBlobError::Unwritten(error) => error.hint(),
            SignBlobError::DigestAlgorithm { .. } => None,
            SignBlobError::Sign(error) => error.hint(),
        }
    }
}

/// A signed file.
#[derive(Debug)]
pub struct SignedBlob {
    /// As given.
    pub source: BlobSource,
    /// Its digest.
    pub digest: Digest,
    /// The bundle.
    pub bundle: SignedBundle,
    /// Where the bundle is.
    pub path: PathBuf,
}

/// Signs files and writes a bundle for each.
///
/// # Errors
/// [`SignBlobError`].
pub async fn sign_blobs(
    http: &HttpClient,
    request: SignBlobRequest,
    report: Reporter<'_>,
) -> Result<Vec<SignedBlob>, SignBlobError> {
    let preparation = prepare(http, &request.signing, report).await?;
    let mut digests = Vec::new();
    for (source, _) in &request.blobs {
        let digest = source.digests(&[HashAlgorithm::Sha256])?[0];
        if digest.algorithm() != HashAlgorithm::Sha256 {
            return Err(SignBlobError::DigestAlgorithm { found: digest });
        }
        digests.push(digest);
    }
    let payloads: Vec<Payload> = digests.iter().copied().map(Payload::Artifact).collect();
    let bundles = preparation.sign(&payloads, report).await?;
    let mut request = request;
    let mut signed = Vec::new();
    let mut unwritten: Option<UnwrittenBundle> = None;
    if let Some(bundle) = bundles.first() {
        for (output, text) in detached(&mut request, bundle) {
            if let Err(error) = output.write(text.as_bytes()) {
                let kept = UnwrittenBundle::keep(error, &digests[0], &bundle.json);
                unwritten.get_or_insert(kept);
            }
        }
    }
    for (((source, output), digest), bundle) in request.blobs.into_iter().zip(digests).zip(bundles)
    {
        let path = output.path().to_owned();
        if let Err(error) = output.write(bundle.json.as_bytes()) {
            let kept = UnwrittenBundle::keep(error, &digest, &bundle.json);
            unwritten.get_or_insert(kept);
            continue;
        }
        signed.push(SignedBlob {
            source,
            digest,
            bundle,
            path,
        });
    }
    match unwritten {
        Some(error) => Err(error.into()),
        None => Ok(signed),
    }
}

/// Signature and certificate with the files that they were asked for in.
fn detached(request: &mut SignBlobRequest, bundle: &SignedBundle) -> Vec<(OutputFile, String)> {
    let signature = encode_base64(bundle.verified.signature().bytes());
    let mut outputs = Vec::new();
    if let Some(output) = request.signature.take() {
        outputs.push((output, signature));
    }
    if let Some(output) = request.certificate.take()
        && let Some(pem) = certificate_pem(&bundle.json)
    {
        outputs.push((output, pem));
    }
    outputs
}

fn certificate_pem(json: &str) -> Option<String> {
    let bundle = match LocalBundle::is_one(json.as_bytes()) {
        true => LocalBundle::parse(json.as_bytes()).ok()?.bundle().ok()?,
        false => Bundle::parse(json.as_bytes()).ok()?,
    };
    match bundle.key_material {
        KeyMaterial::Certificate(leaf) => Some(leaf.to_pem()),
        KeyMaterial::PublicKey { .. } => None,
    }
}
