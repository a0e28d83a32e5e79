//! Floor 0: digests, keys, signatures, certificates, Merkle proofs, time, secrets.
//!
//! Pure functions over bytes. Verification goes through aws-lc-rs; nothing here knows a log, a
//! bundle or a policy. Read [`crate::format`] next.

pub mod digest;
pub mod secret;
pub mod time;

pub use digest::{Digest, HashAlgorithm, Hasher};
pub use secret::Secret;
pub use time::{TimeRange, UnixTime};
