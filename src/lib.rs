//! Keyless signing and verification of container images and files.

pub mod cli;
pub mod crypto;
pub mod diagnostic;
pub mod flow;
pub mod format;
pub mod host;
pub mod net;
pub mod output;
pub mod sandbox;
pub mod sign;
pub mod trust;
pub mod verify;
