//! Floor 4: what this machine keeps, such as files, clock, environment and helper programs.

pub mod clock;
pub mod confined;
pub mod files;
pub mod hardening;
pub mod image_layout;
pub mod registry_auth;
pub mod terminal;
