//! A signature and a certificate in files of their own, as cosign wrote them before bundles: put together
//! into a bundle, with the timestamp and the log entry that are not in them.

use std::path::PathBuf;

use url::Url;

use crate::crypto::{Digest, HashAlgorithm};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::sign_blob::{BlobError, BlobSource};
use crate::flow::verify_blob::{VerifyBlobError, read_bundle};
use crate::format::bundle::{Bundle, Content, KeyMaterial};
use crate::format::legacy::{LegacyError, layer::timestamp_response, local_bundle};
use crate::format::limits;
use crate::format::log_entry::{propose_dsse_v001, propose_hashedrekord_v001};
use crate::host::files::{FileError, read_bounded};
use crate::net::{HttpClient, NetError, rekor};

/// A detached signature in base64, in bytes: an envelope may be one.
const SIGNATURE_LEN: u64 = limits::BUNDLE_LEN as u64;

/// What was given in place of a bundle, or beside an older one.
#[derive(Debug, Clone, Default)]
pub struct Detached {
    /// The signature: a file, or the base64 itself.
    pub signature: Option<String>,
    /// The certificate's file.
    pub certificate: Option<PathBuf>,
    /// An RFC 3161 response: DER, or the JSON that cosign wrote.
    pub timestamp: Option<PathBuf>,
    /// A Rekor v1 log to ask for the entry.
    pub log: Option<Url>,
}

/// Why no bundle can be put together.
#[derive(Debug, thiserror::Error)]
pub enum DetachedError {
    /// A file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// The file that is signed cannot be read.
    #[error("{0}")]
    Blob(#[from] BlobError),
    /// The bundle cannot be read.
    #[error("{0}")]
    Bundle(Box<VerifyBlobError>),
    /// A part cannot be read.
    #[error("{0}")]
    Part(#[from] LegacyError),
    /// The log cannot be asked.
    #[error("{0}")]
    Log(#[from] NetError),
    /// The log has no such entry.
    #[error("the log has no entry of this signature")]
    NoEntry {
        /// The log's address.
        url: String,
    },
    /// Without a certificate nothing can be looked up.
    #[error("a log is asked for the entry of a certificate, and there is none")]
    NoCertificate,
}

impl DetachedError {
    fn inner(&self) -> Option<&dyn Diagnostic> {
        match self {
            DetachedError::File(error) => Some(error),
            DetachedError::Blob(error) => Some(error),
            DetachedError::Bundle(error) => Some(error.as_ref()),
            DetachedError::Part(error) => Some(error),
            DetachedError::Log(error) => Some(error),
            DetachedError::NoEntry { .. } | DetachedError::NoCertificate => None,
        }
    }
}

impl Diagnostic for DetachedError {
    fn code(&self) -> &'static str {
        match (self, self.inner()) {
            (_, Some(error)) => error.code(),
            (DetachedError::NoCertificate, None) => "no-certificate",
            (_, None) => "log-entry-missing",
        }
    }

    fn exit(&self) -> Exit {
        match (self, self.inner()) {
            (_, Some(error)) => error.exit(),
            (DetachedError::NoCertificate, None) => Exit::NoCertificate,
            (_, None) => Exit::Log,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match (self, self.inner()) {
            (_, Some(error)) => error.details(),
            (DetachedError::NoEntry { url }, None) => vec![("log", url.clone())],
            (_, None) => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        self.inner().and_then(Diagnostic::hint)
    }
}

impl Detached {
    /// Returns whether nothing was given.
    pub fn is_none(&self) -> bool {
        self.signature.is_none() && self.timestamp.is_none() && self.log.is_none()
    }

    /// Puts a bundle together: of the signature and certificate, or of the bundle in `bundle`. What it says is
    /// judged elsewhere. Returns also the digest of the signature's, or the bundle's, bytes.
    ///
    /// # Errors
    /// [`DetachedError`].
    pub async fn assemble(
        &self,
        blob: &BlobSource,
        bundle: Option<&PathBuf>,
        http: &HttpClient,
    ) -> Result<(Bundle, Digest), DetachedError> {
        let (mut assembled, digest) = match (&self.signature, bundle) {
            (Some(signature), _) => self.of_signature(signature)?,
            (None, Some(path)) => {
                read_bundle(path).map_err(|error| DetachedError::Bundle(Box::new(error)))?
            }
            (None, None) => self.of_signature("")?,
        };
        if let Some(path) = &self.timestamp {
            let bytes = read_bounded(path, limits::TIMESTAMP_LEN as u64 * 2)?;
            let der = match bytes.first() {
                Some(b'{') => timestamp_response(&bytes)?,
                _ => bytes,
            };
            assembled.timestamps.push(der);
        }
        if let Some(url) = &self.log {
            let entry = find_entry(&assembled, blob, url, http).await?;
            // The log's own answer, and not what was there.
            assembled.log_entries = vec![entry];
        }
        Ok((assembled, digest))
    }

    fn of_signature(&self, signature: &str) -> Result<(Bundle, Digest), DetachedError> {
        let text = match std::path::Path::new(signature) {
            path if path.is_file() => {
                let bytes = read_bounded(path, SIGNATURE_LEN)?;
                String::from_utf8(bytes).unwrap_or_default()
            }
            _ => signature.to_owned(),
        };
        let certificate = match &self.certificate {
            Some(path) => {
                let bytes = read_bounded(path, limits::PEM_LEN as u64)?;
                String::from_utf8(bytes).unwrap_or_default()
            }
            None => String::new(),
        };
        let bundle = local_bundle::from_parts(&text, &certificate)?;
        Ok((bundle, Digest::sha256(text.as_bytes())))
    }
}

async fn find_entry(
    bundle: &Bundle,
    blob: &BlobSource,
    url: &Url,
    http: &HttpClient,
) -> Result<crate::format::bundle::TransparencyLogEntry, DetachedError> {
    let KeyMaterial::Certificate(leaf) = &bundle.key_material else {
        return Err(DetachedError::NoCertificate);
    };
    let proposal = match &bundle.content {
        Content::DsseEnvelope(envelope) => propose_dsse_v001(envelope, leaf),
        content => {
            let digest = blob.digests(&[HashAlgorithm::Sha256])?[0];
            propose_hashedrekord_v001(&digest, content.signature(), leaf)
        }
    };
    let found = rekor::find_entry_v1(http, url, &proposal).await?;
    found.ok_or_else(|| DetachedError::NoEntry {
        url: url.to_string(),
    })
}
