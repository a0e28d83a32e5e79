//! Floor 1: the formats of the field, parsed and encoded. Nothing here is judged or fetched.

pub mod oci;
