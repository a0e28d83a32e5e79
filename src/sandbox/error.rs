//! Why a sandbox did not start, or could not keep its state.

use std::io;
use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, Exit};

use super::request_log::Service;

/// A sandbox could not be started, written out, or asked for a token.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No port of 127.0.0.1 could be bound.
    #[error("cannot listen on loopback for the sandbox's {service}")]
    Listen {
        /// Service that was to listen.
        service: Service,
        /// Reason given by the system.
        #[source]
        source: io::Error,
    },
    /// The port that a kept sandbox had before is taken; its certificates and logs name that port.
    #[error("port {port} of the sandbox's {service} is taken")]
    PortTaken {
        /// Service that was to listen.
        service: Service,
        /// Port recorded in the directory.
        port: u16,
    },
    /// A file of the sandbox's directory cannot be read or written.
    #[error("cannot use the sandbox file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Reason given by the system.
        #[source]
        source: io::Error,
    },
    /// Another sandbox holds the directory.
    #[error("another sandbox is running in {}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the directory is not what this program wrote there.
    #[error("the sandbox file {} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A certificate, key or timestamp could not be made.
    #[error("cannot make the sandbox's {what}")]
    Make {
        /// What was being made.
        what: &'static str,
        /// Reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An identity that no kind of token can carry.
    #[error("{identity:?} is no identity that the sandbox can issue a token for")]
    Identity {
        /// Identity given.
        identity: String,
    },
    /// A `--fault` value that names no fault.
    #[error("unknown sandbox fault {found:?}")]
    UnknownFault {
        /// Text given.
        found: String,
    },
    /// A `--fault` value whose number is missing or malformed.
    #[error("sandbox fault {found:?} needs {needs}")]
    FaultValue {
        /// Text given.
        found: String,
        /// What stands after the `=`.
        needs: &'static str,
    },
}

impl SandboxError {
    /// Wraps a failure to make something.
    pub(super) fn make<E>(what: &'static str) -> impl FnOnce(E) -> SandboxError
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| SandboxError::Make {
            what,
            source: source.into(),
        }
    }
}

impl Diagnostic for SandboxError {
    fn code(&self) -> &'static str {
        match self {
            SandboxError::Listen { .. } => "sandbox-listen",
            SandboxError::PortTaken { .. } => "sandbox-port-taken",
            SandboxError::File { .. } => "sandbox-file",
            SandboxError::Locked { .. } => "sandbox-locked",
            SandboxError::Damaged { .. } => "sandbox-damaged",
            SandboxError::Make { .. } => "sandbox-make",
            SandboxError::Identity { .. } => "sandbox-identity",
            SandboxError::UnknownFault { .. } => "sandbox-unknown-fault",
            SandboxError::FaultValue { .. } => "sandbox-fault-value",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            SandboxError::File { .. }
            | SandboxError::Locked { .. }
            | SandboxError::Damaged { .. } => Exit::File,
            SandboxError::Make { .. } => Exit::Internal,
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            SandboxError::PortTaken { .. } => {
                Some("stop the program that uses it, or start with another directory".to_owned())
            }
            SandboxError::Locked { .. } => {
                Some("stop that sandbox first, or start with another directory".to_owned())
            }
            SandboxError::Damaged { path, .. } => Some(format!(
                "remove {} or start with another directory; what it held is lost",
                path.display()
            )),
            SandboxError::Identity { .. } => Some(
                "use an e-mail address, an https:// or http:// URI, or a spiffe:// id".to_owned(),
            ),
            SandboxError::UnknownFault { .. } => Some(format!(
                "one of: {}",
                super::faults::Fault::names().collect::<Vec<_>>().join(", ")
            )),
            _ => None,
        }
    }
}
