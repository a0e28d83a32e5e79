//! Where trust material comes from: a file that was named, or what was built in.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Exit};
use crate::format::limits;
use crate::host::files::{FileError, read_bounded};
use crate::trust::signing_config::SigningConfigError;
use crate::trust::trusted_root::TrustedRootError;
use crate::trust::{SigningConfig, TrustedRoot, embedded};

/// Why there is no trust material.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// The trusted root is refused.
    #[error("{path}: {error}")]
    TrustedRoot {
        /// The file.
        path: String,
        /// Why.
        error: TrustedRootError,
    },
    /// The signing config is refused.
    #[error("{path}: {error}")]
    SigningConfig {
        /// The file.
        path: String,
        /// Why.
        error: SigningConfigError,
    },
}

impl Diagnostic for TrustError {
    fn code(&self) -> &'static str {
        match self {
            TrustError::File(error) => error.code(),
            TrustError::TrustedRoot { error, .. } => error.code(),
            TrustError::SigningConfig { error, .. } => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            TrustError::File(error) => error.exit(),
            TrustError::TrustedRoot { error, .. } => error.exit(),
            TrustError::SigningConfig { error, .. } => error.exit(),
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            TrustError::File(error) => error.details(),
            TrustError::TrustedRoot { error, .. } => error.details(),
            TrustError::SigningConfig { error, .. } => error.details(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            TrustError::File(error) => error.hint(),
            TrustError::TrustedRoot { error, .. } => error.hint(),
            TrustError::SigningConfig { error, .. } => error.hint(),
        }
    }
}

/// Where the trusted root is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustSource {
    /// A file that the user named.
    File(PathBuf),
    /// The public-good instance, as built in.
    Embedded,
}

impl From<Option<PathBuf>> for TrustSource {
    fn from(path: Option<PathBuf>) -> Self {
        path.map_or(TrustSource::Embedded, TrustSource::File)
    }
}

/// Loads a trusted root.
///
/// # Errors
/// [`TrustError`].
pub fn trusted_root(source: &TrustSource) -> Result<TrustedRoot, TrustError> {
    let TrustSource::File(path) = source else {
        return Ok(embedded::trusted_root());
    };
    TrustedRoot::parse(&read(path)?).map_err(|error| TrustError::TrustedRoot {
        path: path.display().to_string(),
        error,
    })
}

/// Loads a signing config.
///
/// # Errors
/// [`TrustError`].
pub fn signing_config(source: &TrustSource) -> Result<SigningConfig, TrustError> {
    let TrustSource::File(path) = source else {
        return Ok(embedded::signing_config());
    };
    SigningConfig::parse(&read(path)?).map_err(|error| TrustError::SigningConfig {
        path: path.display().to_string(),
        error,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    read_bounded(path, limits::TRUST_FILE_LEN as u64)
}
