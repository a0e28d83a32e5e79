//! What every format is made of: digests, times, base64, PEM, DER elements, public keys.

use keyless::crypto::asn1::{Tlv, encode};
use keyless::crypto::{Digest, PublicKey, UnixTime, pem};
use keyless::diagnostic::clean;
use keyless::format::limits;
use keyless::format::protojson::{decode_base64, encode_base64};

use super::{Grammar, Target};

pub const TARGET: Target = Target {
    name: "primitives",
    run,
    grammar: Grammar::Text,
    max_len: 1024,
    limit: limits::PEM_LEN,
    weight: 1,
};

fn run(data: &[u8]) {
    elements(data, 0);
    if let Ok(key) = PublicKey::from_spki_der(data) {
        assert_eq!(key.spki_der(), data);
        assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key));
    }
    if let Ok(key) = PublicKey::from_pkcs1_der(data) {
        assert_eq!(key.raw(), data);
        assert_eq!(PublicKey::from_spki_der(key.spki_der()), Ok(key));
    }
    assert_eq!(decode_base64(&encode_base64(data)).as_deref(), Some(data));
    let label = "CERTIFICATE";
    let written = pem::encode(label, data);
    assert_eq!(pem::decode_one(&written), Some((label, data.to_vec())));
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Some(time) = UnixTime::parse_rfc3339(text) {
        assert_eq!(UnixTime::parse_rfc3339(&time.rfc3339()), Some(time));
        assert_eq!(
            UnixTime::from_seconds(time.seconds()).seconds(),
            time.seconds()
        );
    }
    if let Some(bytes) = decode_base64(text) {
        // One spelling of what is encoded, whatever padding and alphabet it came in.
        let plain = text.replace('-', "+").replace('_', "/");
        assert_eq!(
            encode_base64(&bytes).trim_end_matches('='),
            plain.trim_end_matches('=')
        );
    }
    if let Some((label, der, after)) = pem::decode(text) {
        assert!(text.ends_with(after) && text.contains(label) && der.len() <= text.len());
    }
    let shown = clean(text, 100);
    assert!(shown.chars().count() <= 101);
    assert!(!shown.chars().any(char::is_control));
    assert_eq!(clean(&shown, 101), shown);
}

/// Walks elements: each is a part of the input, and encodes to itself.
fn elements(mut input: &[u8], depth: u32) {
    while let Some(tlv) = Tlv::read(&mut input) {
        assert_eq!(encode(tlv.tag, tlv.content), tlv.raw);
        if tlv.tag & 0x20 != 0 && depth < 16 {
            elements(tlv.content, depth + 1);
        }
    }
}
