//! What is fuzzed: everything that reads bytes from outside, one file each.
//!
//! A target takes any bytes, and must neither panic nor take long. Where a format can be written it also writes what
//! it read and reads that again; where something is promised about what was read, it holds the promise. Nothing here
//! knows libFuzzer: `tests/fuzz_targets.rs` runs the same functions over the seeds and over what was found.

pub mod bundle;
pub mod captures;
pub mod certificate;
pub mod checkpoint;
pub mod identity_token;
pub mod image_list;
pub mod image_reference;
pub mod legacy;
pub mod log_body;
pub mod log_entry;
pub mod merkle;
pub mod oci_manifest;
pub mod oci_referrers;
pub mod primitives;
pub mod sct_list;
pub mod seeds;
pub mod signing_config;
pub mod statement;
pub mod tile;
pub mod timestamp;
pub mod trusted_root;
pub mod verify;

use keyless::diagnostic::Diagnostic;

/// What inputs are made of, so that they can be changed and enlarged in their own terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// JSON, with base64 in its strings.
    Json,
    /// DER, or PEM around it.
    Der,
    /// A JWS in compact form.
    Token,
    /// Lines of text.
    Text,
    /// Fields of fixed length.
    Bytes,
}

/// Up to here an input is read several times and in several ways; beyond, once, so that its time is the program's.
pub(crate) const SHORT: usize = 64 * 1024;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub grammar: Grammar,
    /// Longest input that the fuzzer makes, in bytes: room for a few real ones, short enough to be quick.
    pub max_len: usize,
    /// Longest input that the program reads, in bytes.
    pub limit: usize,
    /// Share of the time.
    pub weight: u32,
}

pub const ALL: [Target; 20] = [
    bundle::TARGET,
    certificate::TARGET,
    checkpoint::TARGET,
    identity_token::TARGET,
    image_list::TARGET,
    image_reference::TARGET,
    legacy::TARGET,
    log_body::TARGET,
    log_entry::TARGET,
    merkle::TARGET,
    oci_manifest::TARGET,
    oci_referrers::TARGET,
    primitives::TARGET,
    sct_list::TARGET,
    signing_config::TARGET,
    statement::TARGET,
    tile::TARGET,
    timestamp::TARGET,
    trusted_root::TARGET,
    verify::TARGET,
];

/// Presents a refusal as the program would.
pub(crate) fn present(error: &impl Diagnostic) {
    let code = error.code();
    assert!(
        !code.is_empty()
            && code
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    );
    assert!(!error.to_string().is_empty());
    drop((error.exit(), error.details(), error.hint()));
}
