//! A forged bundle that passes, the one thing that is changed, and the code of the refusal.

use keyless::crypto::Certificate;
use keyless::diagnostic::Diagnostic as _;
use keyless::format::bundle::{Bundle, KeyMaterial, TransparencyLogEntry};
use serde_json::Value;

use crate::forge::{Forge, Scene};
use crate::log::Logged;

pub const PASSES: &str = "";

/// The code of the refusal; empty where it passes.
pub fn code(scene: &Scene) -> &'static str {
    scene.verify().map_or_else(|error| error.code(), |_| PASSES)
}

/// The code of the refusal of a bundle's JSON, read or judged.
pub fn code_of_json(json: &str, judged_as: &Scene) -> &'static str {
    match Bundle::parse(json.as_bytes()) {
        Ok(bundle) => code(&Scene {
            bundle,
            ..judged_as.clone()
        }),
        Err(error) => error.code(),
    }
}

/// Changes one thing before anything is signed.
#[track_caller]
pub fn forged(base: fn() -> Forge, change: impl FnOnce(&mut Forge), expected: &str) {
    let mut forge = base();
    assert_eq!(code(&forge.make()), PASSES, "the base");
    change(&mut forge);
    assert_eq!(code(&forge.make()), expected);
}

/// Changes one thing in the finished bundle, or in what it is judged against.
#[track_caller]
pub fn changed(base: fn() -> Forge, change: impl FnOnce(&mut Scene), expected: &str) {
    let mut scene = base().make();
    assert_eq!(code(&scene), PASSES, "the base");
    change(&mut scene);
    assert_eq!(code(&scene), expected);
}

/// Changes one thing in the bundle's JSON.
#[track_caller]
pub fn rewritten(base: fn() -> Forge, change: impl FnOnce(&mut Value), expected: &str) {
    let scene = base().make();
    let mut json: Value = serde_json::from_str(&scene.bundle.encode()).unwrap();
    assert_eq!(code_of_json(&json.to_string(), &scene), PASSES, "the base");
    change(&mut json);
    assert_eq!(code_of_json(&json.to_string(), &scene), expected);
}

pub fn leaf(scene: &Scene) -> &Certificate {
    match &scene.bundle.key_material {
        KeyMaterial::Certificate(leaf) => leaf,
        KeyMaterial::PublicKey { .. } => panic!("signed with a key"),
    }
}

/// A genuine entry, of the log that the forge's first one is in, about something else.
pub fn foreign_entry(forge: &Forge, about: &Logged<'_>) -> TransparencyLogEntry {
    forge.entries[0].issue(about)
}
