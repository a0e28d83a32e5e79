//! A list of signed certificate timestamps, as the extension holds it.

use keyless::crypto::Digest;
use keyless::format::limits;
use keyless::format::sct::{SignedCertificateTimestamp, encode_list, parse_list};

use super::{Grammar, Target};

pub const TARGET: Target = Target {
    name: "sct_list",
    run,
    grammar: Grammar::Bytes,
    max_len: 2 * 1024,
    limit: 64 * 1024,
    weight: 1,
};

fn run(data: &[u8]) {
    let issuer = Digest::sha256(b"issuer");
    if let Ok(Some(sct)) = SignedCertificateTimestamp::parse(data) {
        assert_eq!(sct.encode(), data);
    }
    let Ok(list) = parse_list(data) else {
        return;
    };
    assert!(list.len() <= limits::SCTS);
    for sct in &list {
        assert_eq!(
            SignedCertificateTimestamp::parse(&sct.encode()).as_ref(),
            Ok(&Some(sct.clone()))
        );
        let input = sct.signed_input(&issuer, data);
        assert!(input.len() > data.len() + 32);
        assert!(!sct.time().rfc3339().is_empty());
    }
    let again = encode_list(&list);
    assert!(again.len() <= data.len());
    assert_eq!(parse_list(&again), Ok(list));
}
