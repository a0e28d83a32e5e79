//! Floor 0: digests, keys, signatures, certificates, Merkle proofs, time, secrets.
//!
//! Pure functions over bytes. Verification goes through aws-lc-rs; nothing here knows a log, a
//! bundle or a policy. Read [`crate::format`] next.

pub mod asn1;
pub mod certificate;
pub mod chain;
pub mod digest;
pub mod key;
pub mod memo;
pub mod merkle;
pub mod pem;
pub mod secret;
pub mod time;

pub use certificate::Certificate;
pub use digest::{Digest, HashAlgorithm, Hasher};
pub use key::PublicKey;
pub use memo::SignatureMemo;
pub use secret::Secret;
pub use time::{TimeRange, UnixTime};
