//! What cosign wrote before the bundle (cosign, `specs/SIGNATURE_SPEC.md`): simple signing payloads and envelopes as
//! layers of a manifest under the tag `sha256-<hex>.sig` or `.att`, with certificate, log promise and timestamp in
//! the layer's annotations; and the older JSON bundle of files.
//!
//! Each is read into a [`Bundle`](super::bundle::Bundle), so that one verifier judges everything. What these forms
//! cannot carry, an inclusion proof among it, is missing there, and the verifier says so.

pub mod layer;
pub mod local_bundle;
pub mod manifest;
pub mod promise;
pub mod simple_signing;

use crate::crypto::certificate::{Certificate, CertificateError};
use crate::crypto::pem;
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::bundle::KeyMaterial;

pub use layer::{Layer, StoredEnvelope};
pub use local_bundle::LocalBundle;
pub use manifest::LegacyManifest;
pub use promise::LogPromise;
pub use simple_signing::SimpleSigning;

/// Why an older signature was refused before any signature was looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LegacyError {
    /// A part is not JSON, or not of its form.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// What the parser met.
        reason: String,
    },
    /// A certificate cannot be read.
    #[error("certificate of an older signature: {0}")]
    Certificate(#[from] CertificateError),
}

impl Diagnostic for LegacyError {
    fn code(&self) -> &'static str {
        "legacy-malformed"
    }

    fn exit(&self) -> Exit {
        Exit::Malformed
    }
}

fn malformed<T>(what: &'static str, reason: impl Into<String>) -> Result<T, LegacyError> {
    Err(LegacyError::Malformed {
        what,
        reason: reason.into(),
    })
}

/// Reads a signer's PEM: a certificate, or a public key, which the verifier must already have. A chain is not
/// looked at: it is not trusted.
fn key_material(text: &str) -> Result<KeyMaterial, LegacyError> {
    match pem::decode(text.trim_start()) {
        Some(("CERTIFICATE", der, _)) => Ok(KeyMaterial::Certificate(Box::new(
            Certificate::from_der(&der)?,
        ))),
        Some(("PUBLIC KEY", _, _)) => Ok(KeyMaterial::PublicKey {
            hint: String::new(),
        }),
        _ => malformed("certificate of an older signature", "no PEM block of one"),
    }
}
