//! Floor 5: one file for each story a user tells. Flows take requests, never the command line; they
//! report progress as events and print nothing.

pub mod attach;
pub mod attest;
pub mod attest_blob;
pub mod attest_image;
pub mod author;
pub mod bundle_file;
pub mod clean;
pub mod copy;
pub mod demo;
pub mod detached;
pub mod discover;
pub mod download;
pub mod event;
pub mod identity;
pub mod image_list;
pub mod image_tree;
pub mod inspect;
pub mod load;
pub mod policy;
pub mod policy_init;
pub mod publish;
pub mod push;
pub mod rego;
pub mod rules;
pub mod save;
pub mod sign;
pub mod sign_blob;
pub mod sign_image;
pub mod store;
pub mod survey;
pub mod trust;
pub mod verify_attestation;
pub mod verify_blob;
pub mod verify_blob_rules;
pub mod verify_image;

pub use event::{Event, Reporter, Stage};
