//! Floor 3: the ephemeral key. It lives for one invocation, signs once, and is gone.
//!
//! [`EphemeralKey`] proves possession; with a certificate that stands every check it becomes a
//! [`CertifiedKey`], which signs all payloads in one call that consumes it. The one thing this floor
//! draws from the machine is randomness.

pub mod ephemeral_key;

pub use ephemeral_key::{CertifiedKey, CertifyError, EphemeralKey, SignedPayloads};
