//! How a sandbox is to be started.

use std::path::PathBuf;

use super::faults::Faults;
use crate::trust::signing_config::RekorVersion;

/// How a sandbox is to be started.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Which Rekor the signing config names.
    pub rekor: RekorVersion,
    /// Where keys and logs are kept, so that a later start continues them; forgotten if `None`.
    pub dir: Option<PathBuf>,
    /// What is to go wrong.
    pub faults: Faults,
    /// Identity of the token in the environment.
    pub identity: String,
    /// Seconds that token lives.
    pub token_lifetime: i64,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        SandboxConfig {
            rekor: RekorVersion::V1,
            dir: None,
            faults: Faults::none(),
            identity: "dev@example.test".to_owned(),
            // A working day: people leave a sandbox running.
            token_lifetime: 12 * 3600,
        }
    }
}
