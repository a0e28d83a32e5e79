//! Floor 2: what is trusted and which services are used. Data only: where it comes from is the
//! business of higher floors.

pub mod embedded;
pub mod signing_config;
pub mod trusted_root;

pub use signing_config::SigningConfig;
pub use trusted_root::TrustedRoot;
