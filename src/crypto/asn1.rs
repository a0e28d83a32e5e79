//! A DER walker over borrowed bytes, for the places where the exact bytes that were signed matter:
//! a TBSCertificate, a precertificate, signed attributes.
//!
//! Typed decoding is the business of `x509-cert`, `der` and `cms`; this only finds element borders.

/// One DER element (X.690 §8.1): tag, content, and the element as it stood in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Identifier octet; high tag numbers do not occur in our formats and are refused.
    pub tag: u8,
    /// Content octets.
    pub content: &'a [u8],
    /// The whole element, header included.
    pub raw: &'a [u8],
}

/// SEQUENCE.
pub const SEQUENCE: u8 = 0x30;
/// SET.
pub const SET: u8 = 0x31;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// UTF8String.
pub const UTF8_STRING: u8 = 0x0c;
/// `[0]`, constructed.
pub const CONTEXT_0: u8 = 0xa0;
/// `[3]`, constructed.
pub const CONTEXT_3: u8 = 0xa3;

impl<'a> Tlv<'a> {
    /// Reads one element off the front of the input. `None` unless it is definite-length DER with a
    /// minimal length that fits.
    pub fn read(input: &mut &'a [u8]) -> Option<Tlv<'a>> {
        let whole = *input;
        let (&tag, rest) = whole.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, mut rest) = rest.split_first()?;
        let len = if first < 0x80 {
            usize::from(first)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 || rest.len() < count {
                return None;
            }
            let (len_bytes, after) = rest.split_at(count);
            rest = after;
            let len = len_bytes
                .iter()
                .fold(0usize, |len, b| (len << 8) | usize::from(*b));
            if len < 0x80 || (count > 1 && len_bytes[0] == 0) {
                return None;
            }
            len
        };
        if rest.len() < len {
            return None;
        }
        let (content, after) = rest.split_at(len);
        let raw = &whole[..whole.len() - after.len()];
        *input = after;
        Some(Tlv { tag, content, raw })
    }

    /// Reads one element of the given tag.
    pub fn expect(input: &mut &'a [u8], tag: u8) -> Option<Tlv<'a>> {
        let mut ahead = *input;
        let tlv = Tlv::read(&mut ahead)?;
        if tlv.tag != tag {
            return None;
        }
        *input = ahead;
        Some(tlv)
    }

    /// Reads the one element that makes up the whole input; trailing bytes are refused.
    pub fn only(mut input: &'a [u8], tag: u8) -> Option<Tlv<'a>> {
        let tlv = Tlv::expect(&mut input, tag)?;
        input.is_empty().then_some(tlv)
    }
}

/// Encodes an element.
pub fn encode(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    let len = content.len();
    if len < 0x80 {
        out.push(len as u8);
    } else {
        let bytes = len.to_be_bytes();
        let skip = bytes.iter().take_while(|b| **b == 0).count();
        out.push(0x80 | (bytes.len() - skip) as u8);
        out.extend_from_slice(&bytes[skip..]);
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_non_der() {
        for len in [0usize, 1, 127, 128, 255, 256, 70_000] {
            let encoded = encode(SEQUENCE, &vec![7; len]);
            let tlv = Tlv::only(&encoded, SEQUENCE).unwrap();
            assert_eq!(tlv.content.len(), len);
            assert_eq!(tlv.raw, encoded);
        }
        assert!(
            Tlv::only(&[0x30, 0x81, 0x01, 0x00], SEQUENCE).is_none(),
            "non-minimal length"
        );
        assert!(
            Tlv::only(&[0x30, 0x80, 0x00, 0x00], SEQUENCE).is_none(),
            "indefinite length"
        );
        assert!(Tlv::only(&[0x30, 0x02, 0x00], SEQUENCE).is_none(), "short");
        assert!(
            Tlv::only(&[0x30, 0x00, 0x00], SEQUENCE).is_none(),
            "trailing byte"
        );
        assert!(Tlv::only(&[0x1f, 0x01, 0x00], 0x1f).is_none(), "high tag");
    }

    #[test]
    fn lengths_are_minimal_and_of_at_most_four_bytes() {
        let zeros = |header: &[u8], count: usize| [header, &vec![0; count]].concat();
        for (bad, why) in [
            (
                zeros(&[0x30, 0x80], 128),
                "indefinite length, taken for 128",
            ),
            (zeros(&[0x30, 0x82, 0x00, 0x80], 128), "a leading zero"),
            (
                zeros(&[0x30, 0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0x80], 128),
                "a length beyond 64 bits, taken for its last ones",
            ),
            (vec![0x30, 0x82, 0x01], "a length that is cut"),
        ] {
            assert!(Tlv::only(&bad, SEQUENCE).is_none(), "{why}");
        }
        let large = encode(OCTET_STRING, &vec![7; 1 << 24]);
        assert_eq!(large[..6], [OCTET_STRING, 0x84, 1, 0, 0, 0]);
        let content = Tlv::only(&large, OCTET_STRING).map(|tlv| tlv.content.len());
        assert_eq!(content, Some(1 << 24));
    }
}
