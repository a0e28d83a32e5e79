//! The built program against a sandbox on loopback: exit code, standard output, standard error, files, and
//! what each service was asked. One file for each command, and some for what all commands promise.

mod attach;
mod attest;
mod attest_blob;
mod bundle;
mod clean;
mod copy;
mod download;
mod evidence;
mod explain;
mod faults;
mod help;
mod hostile;
mod image_lists;
mod inspect;
mod inspect_hostile;
mod json_schema;
mod key;
mod layout;
mod legacy;
mod local_image;
mod login;
mod output;
mod overwrite;
mod policy;
mod policy_init;
mod predicate_checks;
mod readme;
mod recursive;
mod registry_caps;
mod registry_manners;
mod registry_options;
mod sandbox;
mod schema;
mod sign;
mod sign_blob;
mod signing_config;
mod support;
mod tls;
mod tokens;
mod tree;
mod trusted_root;
mod verify;
mod verify_attestation;
mod verify_blob;

use std::path::Path;

#[test]
fn every_file_is_wired_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let wiring = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|name| *name != "main") {
            assert!(
                wiring.contains(&format!("\nmod {module};\n")),
                "tests/cli/{name} is not wired in"
            );
        }
    }
}
