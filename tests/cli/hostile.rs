//! Bundles that somebody has been at: cut, flipped, repeated, retyped. None is accepted for what it was
//! not, and none brings the program down.

use keyless::format::bundle::{Bundle, Content};
use keyless::sandbox::RekorVersion;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use crate::support::World;
use crate::verify_blob::signed;

/// Cases for each Rekor version; one run of the program each.
const CASES: u32 = 100;

/// What is done to a bundle. Numbers choose a place modulo what there is.
#[derive(Debug, Clone)]
enum Mutation {
    /// Ends the text here.
    Cut(usize),
    /// Changes one bit of the text.
    FlipText(usize, u8),
    /// Repeats a part of the text.
    Repeat(usize, usize),
    /// Takes a member or item out.
    Remove(usize),
    /// Puts something of another type in its place.
    Retype(usize, Replacement),
    /// Puts one value where another was.
    Swap(usize, usize),
    /// Has an item or a member's value twice.
    Double(usize),
    /// Changes one bit of a member's bytes.
    FlipBytes(usize, usize, u8),
    /// Cuts a member's text.
    CutMember(usize, usize),
}

#[derive(Debug, Clone, Copy)]
enum Replacement {
    Null,
    True,
    Zero,
    Negative,
    Huge,
    Empty,
    Text,
    List,
    Object,
}

impl Replacement {
    fn value(self) -> Value {
        match self {
            Replacement::Null => Value::Null,
            Replacement::True => true.into(),
            Replacement::Zero => 0.into(),
            Replacement::Negative => "-1".into(),
            Replacement::Huge => "18446744073709551615".into(),
            Replacement::Empty => "".into(),
            Replacement::Text => "AAAA".into(),
            Replacement::List => json!([]),
            Replacement::Object => json!({}),
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = || any::<u16>().prop_map(usize::from);
    let replacement = prop::sample::select(vec![
        Replacement::Null,
        Replacement::True,
        Replacement::Zero,
        Replacement::Negative,
        Replacement::Huge,
        Replacement::Empty,
        Replacement::Text,
        Replacement::List,
        Replacement::Object,
    ]);
    prop_oneof![
        1 => at().prop_map(Mutation::Cut),
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::FlipText(at, bit)),
        1 => (at(), at()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
        3 => at().prop_map(Mutation::Remove),
        4 => (at(), replacement).prop_map(|(at, new)| Mutation::Retype(at, new)),
        2 => (at(), at()).prop_map(|(from, to)| Mutation::Swap(from, to)),
        1 => at().prop_map(Mutation::Double),
        6 => (at(), at(), 0..8_u8).prop_map(|(at, byte, bit)| Mutation::FlipBytes(at, byte, bit)),
        2 => (at(), at()).prop_map(|(at, to)| Mutation::CutMember(at, to)),
    ]
}

/// Pointers to every value of a document but the document itself.
fn pointers(value: &Value, prefix: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, v)| (i.to_string(), v))
            .collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let pointer = format!("{prefix}/{name}");
        pointers(child, &pointer, found);
        found.push(pointer);
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn mutate(good: &str, mutation: &Mutation) -> Vec<u8> {
    let mut text = good.as_bytes().to_vec();
    let len = text.len();
    let mut json: Value = serde_json::from_str(good).unwrap();
    let mut all = Vec::new();
    pointers(&json, "", &mut all);
    let place = |at: usize| all[at % all.len()].clone();
    let texts: Vec<String> = all
        .iter()
        .filter(|p| json.pointer(p).unwrap().is_string())
        .cloned()
        .collect();
    let member = |at: usize| texts[at % texts.len()].clone();
    match *mutation {
        Mutation::Cut(at) => {
            text.truncate(at % len);
            return text;
        }
        Mutation::FlipText(at, bit) => {
            text[at % len] ^= 1 << bit;
            return text;
        }
        Mutation::Repeat(from, to) => {
            let (from, to) = (from % len, to % len);
            let part = text[from.min(to)..from.max(to)].to_vec();
            text.splice(from.max(to)..from.max(to), part);
            return text;
        }
        Mutation::Remove(at) => {
            let pointer = place(at);
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match json.pointer_mut(parent).unwrap() {
                Value::Object(members) => drop(members.shift_remove(name)),
                Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                _ => unreachable!("only these have children"),
            }
        }
        Mutation::Retype(at, new) => *json.pointer_mut(&place(at)).unwrap() = new.value(),
        Mutation::Swap(from, to) => {
            let value = json.pointer(&place(from)).unwrap().clone();
            *json.pointer_mut(&place(to)).unwrap() = value;
        }
        Mutation::Double(at) => {
            let pointer = place(at);
            match json.pointer_mut(&pointer).unwrap() {
                Value::Array(items) => items.extend(items.clone()),
                _ => {
                    // A member twice cannot be said in a `Value`.
                    let name = pointer.rsplit('/').next().unwrap();
                    let value = json.pointer(&pointer).unwrap();
                    let twice = format!("{{\"{name}\":{value},");
                    let once = format!("{{\"{name}\":{value}");
                    return good
                        .replacen(&once, &format!("{twice}\"{name}\":{value}"), 1)
                        .into();
                }
            }
        }
        Mutation::FlipBytes(at, byte, bit) => {
            let value = json.pointer_mut(&member(at)).unwrap();
            let mut bytes = decode(value.as_str().unwrap()).unwrap_or_default();
            if !bytes.is_empty() {
                let byte = byte % bytes.len();
                bytes[byte] ^= 1 << bit;
                *value = encode(&bytes).into();
            }
        }
        Mutation::CutMember(at, to) => {
            let value = json.pointer_mut(&member(at)).unwrap();
            let cut: String = value.as_str().unwrap().to_owned();
            let to = to % (cut.len() + 1);
            *value = cut.chars().take(to).collect::<String>().into();
        }
    }
    json.to_string().into_bytes()
}

/// What a verdict rests on. Left out is what may go or change without anybody being misled: a digest that
/// is a hint, and evidence of which enough is left. The verdict itself is compared beside this.
fn essence(bundle: &Bundle) -> (Value, Vec<u8>, Vec<Vec<u8>>) {
    let content = match &bundle.content {
        Content::MessageSignature { .. } => "message signature",
        Content::DsseEnvelope(_) => "envelope",
        Content::SimpleSigning { .. } => "in no bundle",
    };
    let entries = bundle.log_entries.iter();
    (
        json!([content, format!("{:?}", bundle.key_material)]),
        bundle.content.signature().to_vec(),
        entries
            .map(|entry| entry.canonicalized_body.clone())
            .collect(),
    )
}

fn judge(world: &World, bundle: &[u8]) -> crate::support::Run {
    world.write("mutated.json", bundle);
    world
        .keyless("verify-blob file --bundle mutated.json --output json")
        .args(world.expecting())
        .run()
}

/// Asserts that nothing is claimed of a mutated bundle that was not claimed of the good one.
fn no_more_than(found: &Value, good: &Value) -> bool {
    match (found, good) {
        (Value::Array(found), Value::Array(good)) => found
            .iter()
            .all(|item| good.iter().any(|good| no_more_than(item, good))),
        (Value::Object(found), Value::Object(good)) => found
            .iter()
            .all(|(name, value)| good.get(name).is_some_and(|good| no_more_than(value, good))),
        // A promise that was taken out: its time and its presence are no longer claimed.
        (Value::Null | Value::Bool(false), _) => true,
        (found, good) => found == good,
    }
}

fn property(rekor: RekorVersion) {
    let world = signed(rekor);
    let good = world.read("file.sigstore.json");
    let parsed = Bundle::parse(good.as_bytes()).unwrap();
    let verdict = judge(&world, good.as_bytes()).exits(0).json()["blobs"][0]["signature"].clone();
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        max_shrink_iters: 50,
        failure_persistence: None,
        ..Config::default()
    });
    let property = |mutation: Mutation| {
        let mutated = mutate(&good, &mutation);
        let run = judge(&world, &mutated);
        let code = run.code.unwrap_or(-1);
        if code != 0 {
            prop_assert!((10..40).contains(&code), "{:?}: {:?}", mutation, run);
            return Ok(());
        }
        let Ok(found) = Bundle::parse(&mutated) else {
            return Err(TestCaseError::fail("accepted, and does not parse"));
        };
        if found != parsed {
            prop_assert_eq!(essence(&found), essence(&parsed), "{:?}", mutation);
            let signature = &run.json()["blobs"][0]["signature"];
            prop_assert!(
                no_more_than(signature, &verdict),
                "{:?}: {:?}",
                mutation,
                run
            );
        }
        Ok(())
    };
    // What can be left out is few enough to try all of it.
    let mut all = Vec::new();
    pointers(&serde_json::from_str(&good).unwrap(), "", &mut all);
    for at in 0..all.len() {
        property(Mutation::Remove(at)).unwrap();
    }
    let result = runner.run(&mutation(), property);
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

#[test]
fn no_mutation_of_a_bundle_of_rekor_v1_is_accepted() {
    property(RekorVersion::V1);
}

#[test]
fn no_mutation_of_a_bundle_of_rekor_v2_is_accepted() {
    property(RekorVersion::V2);
}
