//! The public-good instance as it was when this program was built. `fixtures/README.md` says where the
//! files come from.

use super::{SigningConfig, TrustedRoot};

/// The public-good trusted root, as JSON.
pub const TRUSTED_ROOT: &[u8] = include_bytes!("../../fixtures/roots/production/trusted_root.json");
/// The public-good signing config, as JSON.
pub const SIGNING_CONFIG: &[u8] =
    include_bytes!("../../fixtures/roots/production/signing_config.v0.2.json");

/// Returns the public-good trusted root.
pub fn trusted_root() -> TrustedRoot {
    TrustedRoot::parse(TRUSTED_ROOT).expect("the embedded trusted root is parsed by a test")
}

/// Returns the public-good signing config.
pub fn signing_config() -> SigningConfig {
    SigningConfig::parse(SIGNING_CONFIG).expect("the embedded signing config is parsed by a test")
}

#[cfg(test)]
mod tests {
    #[test]
    fn embedded_files_parse() {
        let root = super::trusted_root();
        assert!(root.warnings.is_empty(), "{:?}", root.warnings);
        assert!(
            !root.certificate_authorities.is_empty()
                && !root.logs.is_empty()
                && !root.ct_logs.is_empty()
        );
        assert!(!super::signing_config().certificate_authorities.is_empty());
    }
}
