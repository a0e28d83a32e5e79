//! PEM (RFC 7468): written with 64 columns, read with lines of any length, as Go's encoder and the logs'
//! canonical forms have them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Wraps DER in PEM: 64 columns, final newline.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        out.extend(line.iter().map(|b| char::from(*b)));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// Reads the first block at or after the start of the text; returns label, DER and what follows. `None`
/// where there is no whole block. Headers are not a part of our formats and are refused.
pub fn decode(text: &str) -> Option<(&str, Vec<u8>, &str)> {
    let begin = text.find("-----BEGIN ")?;
    let rest = &text[begin + "-----BEGIN ".len()..];
    let (label, rest) = rest.split_once("-----")?;
    let end = format!("-----END {label}-----");
    let (body, after) = rest.split_once(end.as_str())?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    Some((label, STANDARD.decode(body).ok()?, after))
}

/// Reads a text that is one block and white space around it.
pub fn decode_one(text: &str) -> Option<(&str, Vec<u8>)> {
    let text = text.trim();
    let (label, der, after) = decode(text)?;
    (text.starts_with("-----BEGIN ") && after.is_empty()).then_some((label, der))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_length() {
        let pem = encode("X", &[7; 100]);
        assert_eq!(decode_one(&pem), Some(("X", vec![7; 100])));
        assert_eq!(
            decode_one(&pem.replace("\n", "\r\n")),
            Some(("X", vec![7; 100]))
        );
        let one_line = pem
            .replacen('\n', "", 2)
            .replace("-----BwcH", "-----\nBwcH");
        assert_eq!(decode_one(&one_line), Some(("X", vec![7; 100])));
        assert!(decode_one(&format!("text {pem}")).is_none());
        assert!(decode_one(&format!("{pem}{pem}")).is_none());
        assert!(decode_one("-----BEGIN X-----\nBwc=\n-----END Y-----").is_none());
        assert!(decode_one("-----BEGIN X-----\nA: b\n\nBwc=\n-----END X-----").is_none());
    }

    #[test]
    fn what_is_written_has_64_columns() {
        let pem = encode("X", &[0; 50]);
        let line = "A".repeat(64);
        assert_eq!(
            pem,
            format!("-----BEGIN X-----\n{line}\nAAA=\n-----END X-----\n")
        );
    }
}
