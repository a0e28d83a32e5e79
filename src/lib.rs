//! Keyless signing and verification of container images and files, wire-compatible with cosign 3.
//!
//! An ephemeral P-256 key is made in memory, an OIDC identity token is traded with Fulcio for a
//! ten-minute certificate, the digest is signed, the signature is timestamped and logged in Rekor, the
//! bundle is attached to the image, and the key is zeroized. A verifier later needs only a bundle, a
//! trusted root, and the identity it expects.
//!
//! # Floors
//!
//! Higher floors use lower ones; nothing reaches up. `tests/architecture.rs` holds the code to it.
//!
//! | floor | modules | hold | may touch |
//! |---|---|---|---|
//! | 6 roof | [`cli`], [`output`], `main.rs` | arguments; text and JSON; exit codes | terminal |
//! | 5 | [`flow`] | one file for each story a user tells | async |
//! | 4 | [`net`], [`host`] | Fulcio, Rekor, timestamp authority, registry · files, clock, credentials | sockets, disk, time |
//! | 3 | [`sign`], [`verify`] | the ephemeral key · the verdict (`sign` may use `verify`) | nothing |
//! | 2 | [`trust`] | trusted root, signing config, choice of services | nothing |
//! | 1 | [`mod@format`] | bundle, DSSE, statement, log bodies, checkpoint, tile, SCT, RFC 3161, OCI, tokens | nothing |
//! | 0 | [`crypto`] | digests, keys, certificates, Merkle proofs, time | nothing |
//! | ground | [`diagnostic`] | how refusals present themselves; the exit-code table | nothing |
//! | annex | [`sandbox`] | a whole Sigstore on loopback, for demos and tests | sockets, disk, time; floors 0 to 2 |
//!
//! Floors 0 to 3 are pure: they name no clock, socket, file, environment or runtime. The one thing that
//! floor 3 draws from the machine is randomness, in [`sign::EphemeralKey::generate`].
//!
//! # Where to read
//!
//! - Signing: `cli/sign.rs` → [`flow::sign_image`] → [`flow::sign`] → [`sign::ephemeral_key`].
//! - Verifying: `cli/verify.rs` → [`flow::verify_image`] → [`verify::verify`].
//! - Room is kept for the log monitor: a folder `monitor/` on floor 3 beside `verify`, over the checkpoints,
//!   tiles and proofs that floors 0 and 1 already have, and exit codes in the fifties.
//!
//! # As a library
//!
//! Without default features this crate is the verifier and its formats: floors 0 to 3 without signing, no
//! network, no disk, no runtime.
//!
//! ```
//! use keyless::crypto::Digest;
//! use keyless::format::bundle::Bundle;
//! use keyless::trust::TrustedRoot;
//! use keyless::verify::policy::ValueMatcher;
//! use keyless::verify::{Artifact, ExpectedContent, IdentityMatcher, Policy, verify};
//!
//! # fn read(name: &str) -> Vec<u8> {
//! #     std::fs::read(format!("{}/fixtures/captures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let trust = TrustedRoot::parse(&read("trusted_root.json"))?;
//! let bundle = Bundle::parse(&read("blob/bundle.rekor1.json"))?;
//! let artifact = Artifact::from_digest(Digest::sha256(&read("blob/blob.bin")));
//! let signer = ValueMatcher::exact("dev@test.invalid").expect("not empty");
//! let issuer = ValueMatcher::exact("http://127.0.0.1:25557").expect("not empty");
//! let expected = vec![IdentityMatcher::new(signer, issuer)];
//! let policy = Policy::identities(expected, ExpectedContent::ArtifactSignature).expect("not empty");
//! let verified = verify(&bundle, &artifact, &trust, &policy)?;
//! println!("signed at {}", verified.times().expect("a certificate needs a time").earliest());
//! # Ok(())
//! # }
//! ```
//!
//! A check that is left out does not compile. What a verdict rests on has private fields and one maker, the check
//! itself; each of these stands beside a twin that differs in one word and compiles.
//!
//! ```
//! fn times(verified: &keyless::verify::VerifiedBundle) -> Option<&keyless::verify::ObservedTimes> {
//!     verified.times()
//! }
//! ```
//! ```compile_fail
//! fn times(verified: &keyless::verify::VerifiedBundle) -> Option<&keyless::verify::ObservedTimes> {
//!     Some(&keyless::verify::ObservedTimes(Vec::new()))
//! }
//! ```
//! ```
//! fn chain(evidence: keyless::verify::VerifiedChain) -> keyless::verify::VerifiedChain {
//!     evidence.clone()
//! }
//! ```
//! ```compile_fail
//! fn chain(evidence: keyless::verify::VerifiedChain) -> keyless::verify::VerifiedChain {
//!     Default::default()
//! }
//! ```
//! ```
//! fn claimed(signer: keyless::verify::MatchedSigner, verified: keyless::verify::VerifiedBundle) {
//!     let keyless::verify::VerifiedBundle { .. } = verified;
//! }
//! ```
//! ```compile_fail
//! fn claimed(signer: keyless::verify::MatchedSigner, verified: keyless::verify::VerifiedBundle) {
//!     let keyless::verify::VerifiedBundle { .. } = keyless::verify::VerifiedBundle { signer, ..verified };
//! }
//! ```

#[cfg(feature = "cli")]
pub mod cli;
pub mod crypto;
pub mod diagnostic;
#[cfg(feature = "cli")]
pub mod flow;
pub mod format;
#[cfg(feature = "cli")]
pub mod host;
#[cfg(feature = "cli")]
pub mod net;
#[cfg(feature = "cli")]
pub mod output;
#[cfg(feature = "cli")]
pub mod sandbox;
#[cfg(feature = "cli")]
pub mod sign;
pub mod trust;
pub mod verify;
