//! Inputs as long as the program reads, of the shapes that make a careless reader slow or deep: made from a good one
//! by enlarging each of its parts in turn.

use std::rc::Rc;

use keyless::crypto::asn1::{Tlv, encode};
use keyless::crypto::pem;
use keyless::format::protojson::{decode_base64, encode_base64};
use serde_json::Value;

use keyless_fuzz::targets::Grammar;

/// A way to enlarge an input.
#[derive(Clone)]
pub struct Shape {
    pub name: String,
    build: Rc<dyn Fn(usize) -> Vec<u8>>,
}

impl Shape {
    fn new(name: impl Into<String>, build: impl Fn(usize) -> Vec<u8> + 'static) -> Self {
        let (name, build) = (name.into(), Rc::new(build));
        Shape { name, build }
    }

    /// Builds the input, about as long as told.
    pub fn build(&self, len: usize) -> Vec<u8> {
        (self.build)(len)
    }
}

/// Lists the ways to enlarge a good input.
pub fn shapes(grammar: Grammar, good: &[u8]) -> Vec<Shape> {
    let mut shapes = match grammar {
        Grammar::Json => json(good),
        Grammar::Der => der(good),
        Grammar::Token => token(good),
        Grammar::Text => text(good),
        Grammar::Bytes => Vec::new(),
    };
    for byte in *b"\0[{\"90\xa0\xff\n-.=" {
        let name = format!("all {byte:#04x}");
        shapes.push(Shape::new(name, move |len| vec![byte; len]));
    }
    let good = good.to_vec();
    shapes.push(Shape::new("repeated", move |len| repeated(&good, len)));
    shapes
}

/// A part again and again, whole.
fn repeated(part: &[u8], len: usize) -> Vec<u8> {
    part.repeat(len / part.len().max(1))
}

/// What stands in a hole: elements or members, as many as fit.
fn list(open: &str, close: char, len: usize, element: impl Fn(usize) -> String) -> String {
    let mut out = open.to_owned();
    for i in 0.. {
        let next = element(i);
        if out.len() + next.len() + 2 > len {
            break;
        }
        if i > 0 {
            out.push(',');
        }
        out.push_str(&next);
    }
    out.push(close);
    out
}

fn members(own: &str, len: usize, name: impl Fn(usize) -> String) -> String {
    let member = |i| format!("\"{}\":0", name(i));
    list(&format!("{{{own}"), '}', len, member)
}

type Filling = (&'static str, fn(usize) -> String);

/// What may stand anywhere.
const ANYWHERE: [Filling; 6] = [
    ("nested arrays", |len| {
        format!("{}{}", "[".repeat(len / 2), "]".repeat(len / 2))
    }),
    ("nested objects", |len| {
        format!("{}1{}", "{\"a\":".repeat(len / 6), "}".repeat(len / 6))
    }),
    ("digits", |len| "9".repeat(len)),
    ("text", |len| format!("\"{}\"", "A".repeat(len / 4 * 4))),
    ("distinct members", |len| {
        members("", len, |i| format!("m{i:x}"))
    }),
    ("numbers", |len| list("[", ']', len, |_| "1".to_owned())),
];

/// What is tried at the outermost only, and where a list or an object stands.
const AROUND: [Filling; 10] = [
    ("digits behind the point", |len| {
        format!("0.{}", "9".repeat(len))
    }),
    ("exponent", |len| format!("1e{}", "9".repeat(len))),
    ("digits as text", |len| format!("\"{}\"", "9".repeat(len))),
    ("escapes", |len| {
        format!("\"{}\"", "\\u0041".repeat(len / 6))
    }),
    ("controls", |len| {
        format!("\"{}\"", "\\u001b".repeat(len / 6))
    }),
    ("line breaks", |len| {
        format!("\"{}\"", "\\n".repeat(len / 2))
    }),
    ("white space", |len| " ".repeat(len)),
    ("empty lists", |len| {
        list("[", ']', len, |_| "[]".to_owned())
    }),
    ("empty objects", |len| {
        list("[", ']', len, |_| "{}".to_owned())
    }),
    ("one member again and again", |len| {
        members("", len, |_| "m".to_owned())
    }),
];

fn json(good: &[u8]) -> Vec<Shape> {
    let mut shapes = Vec::new();
    let Ok(document) = serde_json::from_slice::<Value>(good) else {
        return shapes;
    };
    for (place, before, after, stood) in holes(&document) {
        let mut fillings: Vec<Shape> = Vec::new();
        let mut fill = |name: &str, build: Box<dyn Fn(usize) -> String>| {
            fillings.push(Shape::new(name, move |len| build(len).into_bytes()));
        };
        for (name, filling) in ANYWHERE {
            fill(name, Box::new(filling));
        }
        if !matches!(stood, Value::String(_) | Value::Number(_)) {
            for (name, filling) in AROUND {
                fill(name, Box::new(filling));
            }
            // A document with nothing wrong but its depth.
            let own = stood.to_string();
            let deep = move |_| format!("{}{own}{}", "[".repeat(120), "]".repeat(120));
            fill("depth within the reader's bound", Box::new(deep));
        }
        match &stood {
            Value::Object(known) => {
                let text = stood.to_string();
                let own = text[1..text.len() - 1].to_owned();
                let own = own + if known.is_empty() { "" } else { "," };
                let more = own.clone();
                fill(
                    "more members",
                    Box::new(move |len| members(&more, len, |i| format!("m{i:x}"))),
                );
                if let Some(name) = known.keys().next().cloned() {
                    fill(
                        "the first member again",
                        Box::new(move |len| members(&own, len, |_| name.clone())),
                    );
                }
            }
            Value::Array(items) => {
                if let Some(first) = items.first().cloned() {
                    let same = first.to_string();
                    fill(
                        "elements",
                        Box::new(move |len| list("[", ']', len, |_| same.clone())),
                    );
                    fill(
                        "distinct elements",
                        Box::new(move |len| list("[", ']', len, |i| distinct(&first, i))),
                    );
                }
            }
            _ => {}
        }
        for filling in fillings {
            let (before, after) = (before.clone(), after.clone());
            let name = format!("{} at {place}", filling.name);
            shapes.push(Shape::new(name, move |len| {
                let room = len.saturating_sub(before.len() + after.len());
                [before.as_bytes(), &filling.build(room), after.as_bytes()].concat()
            }));
        }
    }
    shapes
}

/// Every node of a document by its pointer, with the text before and after it and what stood there.
fn holes(document: &Value) -> Vec<(String, String, String, Value)> {
    fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
        let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
        match value {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    pointers(item, &format!("{at}/{i}"), found);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    pointers(member, &format!("{at}/{}", escaped(name)), found);
                }
            }
            _ => {}
        }
        found.push(at.to_owned());
    }
    let mut places = Vec::new();
    pointers(document, "", &mut places);
    let hole = Value::from("\u{1}hole\u{1}");
    let cut = |place: String| {
        let mut document = document.clone();
        let stood = std::mem::replace(document.pointer_mut(&place)?, hole.clone());
        let text = document.to_string();
        let (before, after) = text.split_once(&hole.to_string())?;
        Some((place, before.to_owned(), after.to_owned(), stood))
    };
    places.into_iter().filter_map(cut).collect()
}

/// An element that differs from its neighbours in its first number, or in the end of its first digest.
fn distinct(element: &Value, number: usize) -> String {
    fn renumber(value: &mut Value, number: usize) -> bool {
        match value {
            Value::Number(_) => *value = number.into(),
            Value::String(text) if text.len() >= 40 && text.is_ascii() => {
                text.truncate(text.len() - 8);
                text.push_str(&format!("{number:08x}"));
            }
            Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                *text = number.to_string();
            }
            Value::Array(items) => return items.iter_mut().any(|item| renumber(item, number)),
            Value::Object(members) => {
                return members.values_mut().any(|member| renumber(member, number));
            }
            _ => return false,
        }
        true
    }
    let mut element = element.clone();
    renumber(&mut element, number);
    element.to_string()
}

fn der(good: &[u8]) -> Vec<Shape> {
    if good.starts_with(b"-----BEGIN ") {
        return in_pem(good);
    }
    if good.first() != Some(&0x30) {
        return Vec::new();
    }
    let mut shapes = vec![
        Shape::new("nesting", nesting),
        Shape::new("nesting without end", |len| {
            repeated(&[0x30, 0x80], len.min(400_000))
        }),
    ];
    let good: Rc<[u8]> = good.into();
    let count = replaced(&good, usize::MAX, &mut |content, _| content.to_vec()).1;
    type Change = fn(&[u8], bool, usize) -> Vec<u8>;
    const CHANGES: [(&str, Change); 7] = [
        ("zeros", |_, _, room| vec![0; room]),
        ("ones", |_, _, room| vec![0xff; room]),
        ("letters", |_, _, room| vec![b'a'; room]),
        ("sequences", |_, _, room| repeated(&[0x30, 0], room)),
        ("nesting", |_, _, room| nesting(room)),
        (
            "children again",
            |content, constructed, room| match Tlv::read(&mut { content }) {
                Some(first) if constructed => repeated(first.raw, room),
                _ => repeated(content, room),
            },
        ),
        ("distinct children", |content, constructed, room| {
            let Some(first) = Tlv::read(&mut { content }).filter(|_| constructed) else {
                return content.to_vec();
            };
            let primitive = first_primitive(first.raw);
            let child =
                |i| replaced(first.raw, primitive, &mut |content, _| numbered(content, i)).0;
            let added = (0..room / first.raw.len()).flat_map(child);
            content.iter().copied().chain(added).collect()
        }),
    ];
    for place in 0..count {
        for (name, change) in CHANGES {
            let good = good.clone();
            shapes.push(Shape::new(
                format!("{name} at element {place}"),
                move |len| {
                    let room = len.saturating_sub(good.len() + 64);
                    replaced(&good, place, &mut |content, constructed| {
                        change(content, constructed, room)
                    })
                    .0
                },
            ));
        }
    }
    shapes
}

/// Sequences in sequences; enough of them to end a stack, and not so many that building them takes long.
fn nesting(len: usize) -> Vec<u8> {
    let mut nest = vec![5, 0];
    while nest.len() < len.min(30_000) {
        nest = encode(0x30, &nest);
    }
    nest
}

fn in_pem(good: &[u8]) -> Vec<Shape> {
    let decoded = std::str::from_utf8(good).ok().and_then(pem::decode);
    let Some((label, bytes, _)) = decoded else {
        return Vec::new();
    };
    let label = label.to_owned();
    let inner = der(&bytes).into_iter().map(|shape| {
        let label = label.clone();
        // A certificate is read up to 64 KiB.
        Shape::new(format!("{} in PEM", shape.name), move |len| {
            pem::encode(&label, &shape.build((len / 66 * 48).min(64_000))).into_bytes()
        })
    });
    let mut shapes: Vec<Shape> = inner.collect();
    let open = format!("-----BEGIN {label}-----\n");
    let empty = format!("{open}-----END {label}-----\n");
    for (name, part) in [
        ("beginnings", open.into_bytes()),
        ("empty blocks", empty.into_bytes()),
        ("blocks", good.to_vec()),
    ] {
        shapes.push(Shape::new(name, move |len| repeated(&part, len)));
    }
    shapes
}

/// The last octets become a number, each below 128 as an object identifier has them.
fn numbered(content: &[u8], number: usize) -> Vec<u8> {
    let mut content = content.to_vec();
    for (i, byte) in content.iter_mut().rev().take(3).enumerate() {
        *byte = ((number >> (7 * i)) & 0x7f) as u8;
    }
    content
}

/// The place of the first element that is not made of elements.
fn first_primitive(der: &[u8]) -> usize {
    let (mut rest, mut place) = (der, 0);
    while let Some(element) = Tlv::read(&mut rest).filter(|element| element.tag & 0x20 != 0) {
        rest = element.content;
        place += 1;
    }
    place
}

/// Replaces the content of the element at a place, counted from the outside in, and counts the elements. Octet and
/// bit strings that hold elements are gone into.
fn replaced(
    input: &[u8],
    place: usize,
    change: &mut dyn FnMut(&[u8], bool) -> Vec<u8>,
) -> (Vec<u8>, usize) {
    fn walk(
        mut input: &[u8],
        place: usize,
        change: &mut dyn FnMut(&[u8], bool) -> Vec<u8>,
        at: &mut usize,
    ) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        while !input.is_empty() {
            let element = Tlv::read(&mut input)?;
            let (tag, content) = (element.tag, element.content);
            let constructed = tag & 0x20 != 0;
            let is_here = *at == place;
            *at += 1;
            if is_here {
                out.extend(encode(tag, &change(content, constructed)));
                continue;
            }
            let head = usize::from(tag == 0x03 && content.first() == Some(&0));
            let holds = constructed
                || matches!(tag, 0x03 | 0x04)
                    && matches!(content.get(head), Some(0x04 | 0x06 | 0x30 | 0x31));
            let walked = holds.then(|| walk(&content[head..], place, change, at));
            match walked.flatten() {
                Some(walked) => out.extend(encode(tag, &[&content[..head], &walked].concat())),
                None => out.extend_from_slice(element.raw),
            }
        }
        Some(out)
    }
    let mut at = 0;
    let out = walk(input, place, change, &mut at);
    (out.unwrap_or_else(|| input.to_vec()), at)
}

fn token(good: &[u8]) -> Vec<Shape> {
    let good = String::from_utf8_lossy(good).into_owned();
    let parts: Vec<String> = good.split('.').map(str::to_owned).collect();
    let mut shapes = Vec::new();
    for at in 0..parts.len().min(2) {
        for shape in decode_base64(&parts[at])
            .map(|bytes| json(&bytes))
            .unwrap_or_default()
        {
            let mut parts = parts.clone();
            let rest = good.len();
            let name = format!("{} in part {at}", shape.name);
            parts[at].clear();
            shapes.push(Shape::new(name, move |len| {
                let text = encode_base64(&shape.build(len.saturating_sub(rest) / 4 * 3));
                let mut parts = parts.clone();
                parts[at] = text.replace('+', "-").replace('/', "_").replace('=', "");
                parts.join(".").into_bytes()
            }));
        }
    }
    shapes.push(Shape::new("a long signature", move |len| {
        format!("{good}{}", "A".repeat(len.saturating_sub(good.len()))).into_bytes()
    }));
    shapes.push(Shape::new("parts", |len| repeated(b"A.", len)));
    shapes
}

fn text(good: &[u8]) -> Vec<Shape> {
    let lines: Vec<Vec<u8>> = good
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let own = good.len();
    let mut shapes = Vec::new();
    for at in 0..lines.len() {
        let (before, after) = (lines[..at].concat(), lines[at + 1..].concat());
        let line = lines[at].clone();
        let mut put = |name: String, change: Box<dyn Fn(&[u8], usize) -> Vec<u8>>| {
            let (before, line, after) = (before.clone(), line.clone(), after.clone());
            shapes.push(Shape::new(format!("{name} in line {at}"), move |len| {
                let changed = change(&line, len.saturating_sub(own));
                [&before[..], &changed, &after].concat()
            }));
        };
        put("repetition".to_owned(), Box::new(repeated));
        for byte in *b"09A /:-_.=\n" {
            let run = move |room| vec![byte; room];
            put(
                format!("{byte:#04x} first"),
                Box::new(move |line, room| [&run(room), line].concat()),
            );
            put(
                format!("{byte:#04x} amid"),
                Box::new(move |line, room| {
                    let (first, last) = line.split_at(line.len() / 2);
                    [first, &run(room), last].concat()
                }),
            );
        }
    }
    shapes
}
