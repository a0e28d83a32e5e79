//! What was sent as a secret, so that no error repeats it: services put what they got into their refusals, as it
//! was or encoded, and one service may pass it on to another.
//!
//! [`super::HttpClient`] notes every sensitive header and every secret of a body before it is sent; [`hide`] takes
//! them out of the text of an error, whoever wrote it. Stretches of eight characters count, as text is cut.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// What is looked for of a longer secret.
const STRETCH: usize = 8;
/// A secret, or what is certain of its encoding, that is looked for at all.
const SHORTEST: usize = 3;
/// Secrets that are kept; a batch buys one token for each repository.
const MOST: usize = 4_096;
/// How often encodings are undone: percent within JSON within a form.
const ROUNDS: usize = 3;

static SENT: Mutex<Vec<Zeroizing<String>>> = Mutex::new(Vec::new());

/// Notes a secret that is about to be sent.
pub fn note(secret: &str) {
    let mut sent = SENT.lock().unwrap_or_else(PoisonError::into_inner);
    let is_known = sent.iter().any(|known| known.as_str() == secret);
    if secret.len() >= SHORTEST && !is_known && sent.len() < MOST {
        sent.push(Zeroizing::new(secret.to_owned()));
    }
}

/// Notes the value of a header: what follows the scheme, and the password within it (RFC 7617).
pub(super) fn note_header(value: &str) {
    let (scheme, secret) = value.split_once(' ').unwrap_or(("", value));
    note(secret);
    if scheme.eq_ignore_ascii_case("basic")
        && let Some(pair) = STANDARD.decode(secret).ok().map(Zeroizing::new)
        && let Ok(pair) = std::str::from_utf8(&pair)
        && let Some((_, password)) = pair.split_once(':')
    {
        note(password);
    }
}

/// Takes everything that was sent as a secret out of a text, in whichever encoding.
pub fn hide(text: &str) -> String {
    let sent = SENT.lock().unwrap_or_else(PoisonError::into_inner);
    let secrets: Vec<&str> = sent.iter().map(|secret| secret.as_str()).collect();
    hide_these(&secrets, text)
}

fn hide_these(secrets: &[&str], text: &str) -> String {
    if secrets.is_empty() || text.len() < SHORTEST {
        return text.to_owned();
    }
    let mut hidden = vec![false; text.len()];
    let mut layer: Vec<(u8, usize, usize)> = text
        .bytes()
        .enumerate()
        .map(|(at, byte)| (byte, at, at + 1))
        .collect();
    for _ in 0..=ROUNDS {
        mark(secrets, &layer, &mut hidden);
        let next = undone(&layer);
        if next.len() == layer.len() {
            break;
        }
        layer = next;
    }
    let mut shown = String::with_capacity(text.len());
    let mut within = false;
    for (at, c) in text.char_indices() {
        let is_hidden = hidden[at..at + c.len_utf8()].contains(&true);
        match (is_hidden, within) {
            (true, false) => shown.push_str(".."),
            (true, true) => {}
            (false, _) => shown.push(c),
        }
        within = is_hidden;
    }
    shown
}

/// Marks where a secret stands, in bytes of the original.
fn mark(secrets: &[&str], layer: &[(u8, usize, usize)], hidden: &mut [bool]) {
    let bytes: Vec<u8> = layer.iter().map(|(byte, ..)| *byte).collect();
    let lower = bytes.to_ascii_lowercase();
    let mut at: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for text in [&bytes, &lower] {
        for (start, stretch) in text.windows(STRETCH).enumerate() {
            at.entry(stretch).or_default().push(start);
        }
    }
    let mut hide = |start: usize, length: usize| {
        for (_, from, to) in &layer[start..start + length] {
            hidden[*from..*to].fill(true);
        }
    };
    for form in secrets.iter().flat_map(|secret| forms(secret)) {
        if form.len() < STRETCH {
            for text in [&bytes, &lower] {
                let found = text.windows(form.len()).enumerate();
                for (start, _) in found.filter(|(_, window)| *window == form.as_bytes()) {
                    hide(start, form.len());
                }
            }
            continue;
        }
        for stretch in form.as_bytes().windows(STRETCH) {
            for start in at.get(stretch).into_iter().flatten() {
                hide(*start, STRETCH);
            }
        }
    }
}

/// Returns the ways in which a secret may stand in a text whose escapes are undone: as it is, in hexadecimal, and
/// in base64 with whatever before and after it.
fn forms(secret: &str) -> Vec<Zeroizing<String>> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let form = secret.replace(' ', "+");
    let mut forms = vec![secret.to_owned(), secret.to_ascii_lowercase(), form, hex];
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        for before in 0..3 {
            let mut bytes = vec![0; before];
            bytes.extend_from_slice(secret.as_bytes());
            let encoded = engine.encode(&bytes);
            // Characters that hold bits of the secret alone.
            let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
            if last > first {
                forms.push(encoded[first..last].to_owned());
            }
        }
    }
    let long = forms.into_iter().filter(|form| form.len() >= SHORTEST);
    long.map(Zeroizing::new).collect()
}

/// Undoes percent, form, JSON and HTML escapes, each byte with its place in the original.
fn undone(layer: &[(u8, usize, usize)]) -> Vec<(u8, usize, usize)> {
    let bytes: Vec<u8> = layer.iter().map(|(byte, ..)| *byte).collect();
    let mut out = Vec::with_capacity(layer.len());
    let mut at = 0;
    while at < bytes.len() {
        let (decoded, length) = escape(&bytes[at..]).unwrap_or((bytes[at].into(), 0));
        if length == 0 {
            out.push(layer[at]);
            at += 1;
            continue;
        }
        let (from, to) = (layer[at].1, layer[at + length - 1].2);
        let mut utf8 = [0; 4];
        let decoded: &[u8] = match decoded {
            Escaped::Byte(byte) => &[byte],
            Escaped::Char(c) => c.encode_utf8(&mut utf8).as_bytes(),
        };
        out.extend(decoded.iter().map(|byte| (*byte, from, to)));
        at += length;
    }
    out
}

enum Escaped {
    Byte(u8),
    Char(char),
}

impl From<u8> for Escaped {
    fn from(byte: u8) -> Self {
        Escaped::Byte(byte)
    }
}

/// Reads an escape at the start, and how long it is.
fn escape(bytes: &[u8]) -> Option<(Escaped, usize)> {
    let number = |digits: &[u8], radix| {
        let digits = std::str::from_utf8(digits).ok()?;
        let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
        (plain && !digits.is_empty())
            .then(|| u32::from_str_radix(digits, radix).ok())
            .flatten()
    };
    match bytes {
        [b'%', high, low, ..] => {
            let byte = number(&[*high, *low], 16)?;
            Some((Escaped::Byte(u8::try_from(byte).ok()?), 3))
        }
        [b'\\', b'u', rest @ ..] => {
            let c = char::from_u32(number(rest.get(..4)?, 16)?)?;
            Some((Escaped::Char(c), 6))
        }
        [b'\\', c @ (b'"' | b'\\' | b'/'), ..] => Some((Escaped::Byte(*c), 2)),
        [b'&', rest @ ..] => {
            let end = rest.iter().take(10).position(|byte| *byte == b';')?;
            let c = match &rest[..end] {
                b"amp" => '&',
                b"lt" => '<',
                b"gt" => '>',
                b"quot" => '"',
                b"apos" => '\'',
                [b'#', b'x' | b'X', hex @ ..] => char::from_u32(number(hex, 16)?)?,
                [b'#', decimal @ ..] => char::from_u32(number(decimal, 10)?)?,
                _ => return None,
            };
            Some((Escaped::Char(c), end + 2))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_every_encoding() {
        let percent = |text: &str| -> String {
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
        };
        let all = |text: &str| -> String { text.bytes().map(|b| format!("%{b:02X}")).collect() };
        let hex = |text: &str| -> String { text.bytes().map(|b| format!("{b:02X}")).collect() };
        let unicode = |text: &str| -> String {
            text.chars()
                .map(|c| format!("\\u{:04x}", c as u32))
                .collect()
        };
        let json = |text: &str| serde_json::to_string(text).unwrap();
        for secret in [
            "p&ss \"w/rd\\1+",
            "pw1%",
            "correct-horse-battery",
            "a.b.c-_d==",
        ] {
            let pair = STANDARD.encode(format!("ann:{secret}"));
            let forms = [
                secret.to_owned(),
                percent(secret),
                all(secret),
                all(&all(secret)),
                hex(secret),
                hex(secret).to_lowercase(),
                unicode(secret),
                json(secret),
                json(&json(secret)),
                percent(&json(secret)),
                STANDARD.encode(secret),
                pair.clone(),
                percent(&pair),
                URL_SAFE_NO_PAD.encode(format!("xy{secret}z")),
            ];
            for form in forms {
                let shown = hide_these(&[secret], &format!("told {form} so"));
                assert!(shown.starts_with("told "), "{shown}");
                assert!(shown.ends_with(" so"), "{shown}");
                let core: Vec<&str> = shown.split("..").collect();
                assert!(core.len() > 1, "{secret}: {form} is shown as {shown}");
                assert!(
                    !shown.contains(secret),
                    "{secret}: {form} is shown as {shown}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        let text = "registry answered 401: é denied %zz \\q &nope; %";
        assert_eq!(hide_these(&["correct-horse"], text), text);
        assert_eq!(hide_these(&[], text), text);
    }

    #[test]
    fn a_secret_that_was_cut_is_hidden_as_far_as_it_goes() {
        let shown = hide_these(&["0123456789abcdef"], "told 0123456789…");
        assert_eq!(shown, "told ..…");
    }
}
