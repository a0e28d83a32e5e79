//! Changes in an input's own terms. Bits flipped in a document mostly make no document; here members are taken
//! out, doubled and moved, and what is within base64, PEM and DER is changed with its frame kept right.

use keyless::crypto::asn1::{Tlv, encode};
use keyless::crypto::pem;
use keyless::format::protojson::{decode_base64, encode_base64};
use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Map, Value};

use crate::targets::captures::BUNDLES;
use crate::targets::{Grammar, Target};

/// Deterministic choices from libFuzzer's seed (splitmix64).
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn number(&mut self) -> &'static str {
        NUMBERS[self.below(NUMBERS.len())]
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Changes an input in place and returns its new length; libFuzzer's custom mutator.
pub fn mutate(target: &Target, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut choices = Choices(seed.into());
    let input = &data[..size];
    let changed = match target.grammar {
        _ if choices.below(3) == 0 => None,
        Grammar::Json => json(input, &mut choices, 3),
        Grammar::Der => der_or_pem(input, &mut choices),
        Grammar::Token => token(input, &mut choices),
        Grammar::Text => lines(input, &mut choices),
        Grammar::Bytes => None,
    };
    match changed {
        Some(changed) if changed.len() <= max_size && changed != input => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
}

/// What libFuzzer does, dictionary and all, to a part of the input.
fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut room = bytes.to_vec();
    room.resize(bytes.len() + 32, 0);
    let most = room.len();
    let len = fuzzer_mutate(&mut room, bytes.len(), most);
    room.truncate(len);
    room
}

const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "255",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "0.5",
];

fn json(input: &[u8], choices: &mut Choices, depth: u32) -> Option<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(input).ok()?;
    if choices.below(12) == 0 {
        return doubled_member(&document, choices);
    }
    for _ in 0..=choices.below(3) {
        let mut donor = document.clone();
        let place = choices.below(nodes(&document));
        let node = nth(&mut document, &mut { place })?;
        if choices.below(12) == 0 {
            // What stands there in a recorded bundle, if this is one.
            let (other, _) = choices.pick(&BUNDLES);
            donor = serde_json::from_slice(other).ok()?;
            if let Some(theirs) = nth(&mut donor, &mut { place }) {
                *node = theirs.take();
            }
            continue;
        }
        change(node, &donor, choices, depth);
    }
    serde_json::to_vec(&document).ok()
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(members) => members.values().map(nodes).sum(),
        _ => 0usize,
    }
}

/// The node with a number, counted from the outside in.
fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
        Value::Object(members) => members.values_mut().find_map(|member| nth(member, left)),
        _ => None,
    }
}

/// Copies of some node of a document.
fn some_node(donor: &Value, choices: &mut Choices) -> Value {
    let mut donor = donor.clone();
    let mut place = choices.below(nodes(&donor));
    nth(&mut donor, &mut place).map_or(Value::Null, |node| node.take())
}

fn change(node: &mut Value, donor: &Value, choices: &mut Choices, depth: u32) {
    match (choices.below(10), &mut *node) {
        (0, _) => *node = some_node(donor, choices),
        (1, _) => {
            *node = match choices.below(6) {
                0 => Value::Null,
                1 => Value::Bool(true),
                2 => Value::Array(vec![node.take()]),
                3 => Value::Object(Map::new()),
                4 => Value::String(choices.number().to_owned()),
                _ => serde_json::from_str(choices.number()).unwrap_or(Value::Null),
            };
        }
        (2, Value::String(text)) => {
            *text = String::from_utf8_lossy(&plain(text.as_bytes())).into_owned();
        }
        (_, Value::String(text)) => *text = string(text, choices, depth),
        (_, Value::Number(_)) => {
            let number: &str = choices.number();
            *node = serde_json::from_str(number).unwrap_or(Value::Null);
        }
        (_, Value::Array(items)) if !items.is_empty() => {
            let (one, other) = (choices.below(items.len()), choices.below(items.len()));
            match choices.below(3) {
                0 => drop(items.remove(one)),
                1 => items.insert(other, items[one].clone()),
                _ => items.swap(one, other),
            }
        }
        (_, Value::Object(members)) if !members.is_empty() => {
            let name = members
                .keys()
                .nth(choices.below(members.len()))
                .cloned()
                .unwrap_or_default();
            let member = members.shift_remove(&name);
            match choices.below(3) {
                0 => {}
                1 => {
                    members.insert(name, some_node(donor, choices));
                }
                _ => {
                    let renamed = String::from_utf8_lossy(&plain(name.as_bytes())).into_owned();
                    members.insert(renamed, member.unwrap_or(Value::Null));
                }
            }
        }
        _ => *node = some_node(donor, choices),
    }
}

/// Changes what a text holds: base64 of DER, of JSON, of PEM, of base64; a document; digits; or just text.
fn string(text: &str, choices: &mut Choices, depth: u32) -> String {
    if depth > 0 && text.starts_with('{') {
        if let Some(changed) = json(text.as_bytes(), choices, depth - 1) {
            return String::from_utf8_lossy(&changed).into_owned();
        }
    }
    if text.len() < 20 && text.parse::<i64>().is_ok() {
        return choices.number().to_owned();
    }
    if text.contains('\n') {
        if let Some(changed) = lines(text.as_bytes(), choices) {
            return String::from_utf8_lossy(&changed).into_owned();
        }
    }
    let Some(bytes) = decode_base64(text).filter(|bytes| bytes.len() > 2) else {
        return String::from_utf8_lossy(&plain(text.as_bytes())).into_owned();
    };
    let within = match bytes.first() {
        Some(b'{') if depth > 0 => json(&bytes, choices, depth - 1),
        Some(b'-' | 0x30) => der_or_pem(&bytes, choices),
        _ => match std::str::from_utf8(&bytes) {
            Ok(inner) if depth > 0 => Some(string(inner, choices, depth - 1).into_bytes()),
            _ => None,
        },
    };
    let text = encode_base64(&within.unwrap_or_else(|| plain(&bytes)));
    match choices.below(8) {
        0 => text.replace('+', "-").replace('/', "_"),
        1 => text.trim_end_matches('=').to_owned(),
        _ => text,
    }
}

/// Writes a document with one of its members twice, which a value cannot hold.
fn doubled_member(document: &Value, choices: &mut Choices) -> Option<Vec<u8>> {
    let text = serde_json::to_string(document).ok()?;
    let places: Vec<usize> = text.match_indices("{\"").map(|(at, _)| at + 1).collect();
    let at = *places.get(choices.below(places.len().max(1)))?;
    let name = text[at + 1..].split('"').next()?;
    let value = some_node(document, choices);
    let (before, after) = text.split_at(at);
    Some(format!("{before}\"{name}\":{value},{after}").into_bytes())
}

fn der_or_pem(input: &[u8], choices: &mut Choices) -> Option<Vec<u8>> {
    if input.starts_with(b"-----BEGIN ") {
        let (label, der, after) = pem::decode(std::str::from_utf8(input).ok()?)?;
        let changed = match choices.below(8) {
            0 => [input, input].concat(),
            1 => plain(input),
            _ => {
                let der = der_or_pem(&der, choices).unwrap_or_else(|| plain(&der));
                [pem::encode(label, &der).as_bytes(), after.as_bytes()].concat()
            }
        };
        return Some(changed);
    }
    elements(input, choices, 24)
}

/// Changes one element among those that a DER string is made of; its lengths stay right all the way up.
fn elements(input: &[u8], choices: &mut Choices, depth: u32) -> Option<Vec<u8>> {
    let mut rest = input;
    let mut list: Vec<(u8, Vec<u8>)> = Vec::new();
    while !rest.is_empty() {
        let element = Tlv::read(&mut rest)?;
        list.push((element.tag, element.content.to_vec()));
    }
    if list.is_empty() || depth == 0 {
        return None;
    }
    let at = choices.below(list.len());
    let (tag, content) = &mut list[at];
    let is_constructed = *tag & 0x20 != 0;
    let down = choices.below(10) < if is_constructed { 9 } else { 5 };
    // Octet and bit strings hold more of the same now and then.
    let (head, inner) = match (*tag, content.first()) {
        (0x03, Some(0)) => content.split_at(1),
        _ => content.split_at(0),
    };
    let deeper = (down && (is_constructed || matches!(*tag, 0x03 | 0x04)))
        .then(|| elements(inner, choices, depth - 1))
        .flatten();
    if let Some(deeper) = deeper {
        *content = [head, &deeper].concat();
    } else {
        match choices.below(9) {
            0 => drop(list.remove(at)),
            1 => {
                let copy = list[at].clone();
                list.insert(choices.below(list.len()), copy);
            }
            2 => {
                let other = choices.below(list.len());
                list.swap(at, other);
            }
            3 => {
                *tag = *choices.pick(&[
                    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0a, 0x0c, 0x13, 0x16, 0x17, 0x18, 0x30,
                    0x31, 0x80, 0x82, 0x86, 0xa0, 0xa1, 0xa3,
                ]);
            }
            4 => {
                let wrapped = encode(*tag, content);
                list[at] = (0x30, wrapped);
            }
            _ => *content = plain(content),
        }
    }
    Some(
        list.iter()
            .flat_map(|(tag, content)| encode(*tag, content))
            .collect(),
    )
}

/// Changes the JSON within a token's parts.
fn token(input: &[u8], choices: &mut Choices) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(input).ok()?;
    let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
    let at = choices.below(parts.len().min(2));
    let bytes = decode_base64(&parts[at])?;
    let changed = json(&bytes, choices, 1).unwrap_or_else(|| plain(&bytes));
    parts[at] = encode_base64(&changed)
        .replace('+', "-")
        .replace('/', "_")
        .trim_end_matches('=')
        .to_owned();
    Some(parts.join(".").into_bytes())
}

/// Changes one line, takes it out, doubles it or moves it.
fn lines(input: &[u8], choices: &mut Choices) -> Option<Vec<u8>> {
    let mut list: Vec<Vec<u8>> = input
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    if list.len() < 2 {
        return None;
    }
    let (at, other) = (choices.below(list.len()), choices.below(list.len()));
    match choices.below(6) {
        0 => drop(list.remove(at)),
        1 => list.insert(other, list[at].clone()),
        2 => list.swap(at, other),
        3 => list[at] = b"\n".to_vec(),
        _ => {
            // The last word is often base64.
            let line = String::from_utf8_lossy(&list[at]).into_owned();
            let bare = line.trim_end_matches('\n');
            let (head, last) = bare.split_at(bare.rfind(' ').map_or(0, |space| space + 1));
            list[at] = match decode_base64(last) {
                Some(bytes) if !bytes.is_empty() => {
                    format!("{head}{}\n", encode_base64(&plain(&bytes))).into_bytes()
                }
                _ => plain(&list[at]),
            };
        }
    }
    Some(list.concat())
}
