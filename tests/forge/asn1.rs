//! DER by hand: what certificates and tokens here are made of.

use der::asn1::ObjectIdentifier;
use keyless::crypto::UnixTime;
use keyless::crypto::asn1::encode;

pub const BOOLEAN: u8 = 0x01;
pub const BIT_STRING: u8 = 0x03;

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    encode(0x30, &parts.concat())
}

/// A SET OF in DER: elements in the order of their bytes.
pub fn set_of(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    encode(0x31, &parts.concat())
}

pub fn integer(value: u8) -> Vec<u8> {
    encode(0x02, &[value])
}

pub fn octets(bytes: &[u8]) -> Vec<u8> {
    encode(0x04, bytes)
}

pub fn bits(bytes: &[u8]) -> Vec<u8> {
    encode(BIT_STRING, &[&[0], bytes].concat())
}

pub fn utf8(text: &str) -> Vec<u8> {
    encode(0x0c, text.as_bytes())
}

pub fn oid(dotted: &str) -> Vec<u8> {
    encode(0x06, ObjectIdentifier::new_unwrap(dotted).as_bytes())
}

pub fn explicit(number: u8, inner: &[u8]) -> Vec<u8> {
    encode(0xa0 | number, inner)
}

fn digits(seconds: i64) -> String {
    let text = UnixTime::from_seconds(seconds).rfc3339();
    text.replace(['-', ':', 'T'], "")
}

pub fn utc_time(seconds: i64) -> Vec<u8> {
    encode(0x17, &digits(seconds).as_bytes()[2..])
}

pub fn generalized_time(seconds: i64) -> Vec<u8> {
    encode(0x18, digits(seconds).as_bytes())
}

/// A name with one common name; empty text is the empty name.
pub fn name(common_name: &str) -> Vec<u8> {
    if common_name.is_empty() {
        return sequence(&[]);
    }
    let attribute = sequence(&[oid("2.5.4.3"), utf8(common_name)]);
    sequence(&[set_of(vec![attribute])])
}
