//! Bundles that are right but for one thing.
//!
//! A forge makes keys, certificates, logs and timestamps, independently of the sandbox's encoders, and
//! from them bundles that verify. Every case changes one thing and names the code of its refusal; the
//! same base without the change must pass. The tables are the list of what the verifier checks: deleting
//! any one check in `src/verify` or `src/crypto/chain.rs` should fail a line here.

mod asn1;
mod carried_chain;
mod certificate;
mod chain;
mod content;
mod entries;
mod explain;
mod export;
mod forge;
mod identity;
mod json;
mod key;
mod keys;
mod log;
mod messages;
mod predicates;
mod requirements;
mod responses;
mod sct;
mod several;
mod timestamps;
mod token;
mod varieties;
mod verdict;

use std::panic::Location;

use keyless::diagnostic::Diagnostic as _;

use forge::{Forge, Scene};

/// The one thing that is changed.
#[derive(Clone, Copy)]
enum Change {
    /// Before anything is signed.
    Forge(fn(&mut Forge)),
    /// In the finished bundle, or in what it is judged against.
    Scene(fn(&mut Scene)),
}

/// Makes what passes.
type Base = fn() -> Forge;

/// A defect: its name, the base that passes, the change, and the code of the refusal.
struct Case(&'static str, Base, Change, &'static str);

const PASSES: &str = "";

/// Judges every case: its base must pass, and it must be refused with its code, or pass where there is none.
#[track_caller]
fn judge(cases: &[Case]) {
    let table = Location::caller();
    report(cases.iter().filter_map(|case| judge_one(case, table, "")));
}

/// Judges the refusals of one base again, from another.
#[track_caller]
fn judge_from(from: Base, to: Base, suffix: &str, cases: &[Case]) {
    let table = Location::caller();
    let kind = export::describe(&from());
    let same = |case: &&Case| case.3 != PASSES && export::describe(&(case.1)()) == kind;
    report(cases.iter().filter(same).filter_map(|case| {
        let Case(name, _, change, code) = case;
        judge_one(&Case(name, to, *change, code), table, suffix)
    }));
}

/// What is wrong with a verdict, if anything.
fn judge_one(case: &Case, table: &Location<'_>, suffix: &str) -> Option<String> {
    let Case(name, base, change, code) = case;
    let mut forge = base();
    let unchanged = forge.clone();
    if let Err(error) = forge.make().verify() {
        return Some(format!("{name}: the base is refused: {}", error.code()));
    }
    let scene = match change {
        Change::Forge(change) => {
            change(&mut forge);
            forge.make()
        }
        Change::Scene(change) => {
            let mut scene = forge.make();
            change(&mut scene);
            scene
        }
    };
    export::scene(table, &format!("{name}{suffix}"), &unchanged, &scene);
    let (found, told) = match scene.verify() {
        Ok(_) => (PASSES, "it passes".to_owned()),
        Err(error) => (error.code(), error.to_string()),
    };
    (found != *code).then(|| format!("{name}{suffix}: expected {code}, found {found} ({told})"))
}

#[track_caller]
fn report(wrong: impl Iterator<Item = String>) {
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_right_passes() {
    let bases: [(&str, Base); 16] = [
        ("blob in v1", Forge::blob1),
        ("envelope in v1", Forge::envelope1),
        ("envelope in v1 as intoto", Forge::intoto1),
        ("envelope in v2 as dsse", Forge::dsse2),
        ("blob in v2", Forge::blob2),
        ("envelope in v2", Forge::envelope2),
        ("blob in v1 with timestamp", Forge::stamped1),
        ("timestamp by an anchor", Forge::stamped_by_anchor),
        ("key in v1", Forge::key1),
        ("key in v2", Forge::key2),
        ("blob in v2 without its digest", Forge::unhinted2),
        ("key in v2 without time", Forge::timeless_key2),
        ("blob in v2 of an ECDSA key", Forge::blob2_ecdsa),
        ("blob in v1 without promise", Forge::unpromised1),
        ("blob in v1 and v2", Forge::logged_twice),
        ("key over an envelope", Forge::key_envelope1),
    ];
    for (name, base) in bases {
        let forge = base();
        if let Err(error) = forge.make().verify() {
            panic!("{name}: {error:?}");
        }
        export::base(&forge);
    }
}
