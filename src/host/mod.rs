//! Floor 4: what this machine keeps, such as files, environment and helper programs.

pub mod registry_auth;
