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
