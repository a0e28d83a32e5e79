//! Where a trust policy comes from: a file that was named.

use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::rego::ConfinedPolicy;
use crate::format::limits;
use crate::host::files::{FileError, read_bounded};
use crate::verify::policy_file::{Fault, PolicyFile, PolicyFileError};
use crate::verify::rego::{RegoError, StatementPolicy};

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// The policy is refused.
    #[error("{path}: {error}")]
    Policy {
        /// The file.
        path: String,
        /// Why.
        error: PolicyFileError,
    },
    /// The Rego policy is refused.
    #[error("{0}")]
    Rego(#[from] RegoError),
}

impl PolicyError {
    fn diagnostic(&self) -> &dyn Diagnostic {
        match self {
            PolicyError::File(error) => error,
            PolicyError::Policy { error, .. } => error,
            PolicyError::Rego(error) => error,
        }
    }
}

impl Diagnostic for PolicyError {
    fn code(&self) -> &'static str {
        self.diagnostic().code()
    }

    fn exit(&self) -> Exit {
        self.diagnostic().exit()
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        self.diagnostic().details()
    }

    fn hint(&self) -> Option<String> {
        self.diagnostic().hint()
    }
}

/// Reads a policy file.
///
/// # Errors
/// [`PolicyError`].
pub fn read_policy(path: &Path) -> Result<PolicyFile, PolicyError> {
    let bytes = read_bounded(path, limits::POLICY_LEN as u64)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| PolicyFileError {
        position: None,
        fault: Fault::Syntax {
            reason: "the policy is not UTF-8".to_owned(),
        },
    });
    text.and_then(PolicyFile::parse)
        .map_err(|error| PolicyError::Policy {
            path: path.display().to_string(),
            error,
        })
}

/// Reads a Rego policy over predicates.
///
/// # Errors
/// [`PolicyError`].
pub fn read_rego(path: &Path) -> Result<Arc<dyn StatementPolicy>, PolicyError> {
    let bytes = read_bounded(path, limits::REGO_LEN as u64)?;
    let name = path.display().to_string();
    let text = std::str::from_utf8(&bytes).map_err(|_| RegoError::Malformed {
        name: name.clone(),
        cause: "it is not UTF-8".to_owned(),
    })?;
    Ok(ConfinedPolicy::read(&name, text)?)
}
