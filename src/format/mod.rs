//! Floor 1: the formats on the wire and on disk, parsed strictly and written exactly.
//!
//! A format here knows its own rules and nothing of trust: who may sign is judged in `verify`.

pub mod bundle;
pub mod certificate_identity;
pub mod checkpoint;
pub mod dsse;
#[cfg(feature = "cli")]
pub mod identity_token;
#[cfg(feature = "cli")]
pub mod image_list;
pub mod legacy;
pub mod limits;
pub mod log_entry;
pub mod oci;
pub mod predicate;
pub mod protojson;
pub mod sct;
pub mod statement;
pub mod tile;
pub mod timestamp;
