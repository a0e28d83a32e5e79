//! An in-toto statement, and the envelope around it: what is signed says how long each part is.

use keyless::crypto::{Digest, HashAlgorithm};
use keyless::format::dsse::PreAuthEncoding;
use keyless::format::limits;
use keyless::format::statement::{Statement, image_signature_payload};

use super::{Grammar, Target};

pub const TARGET: Target = Target {
    name: "statement",
    run,
    grammar: Grammar::Json,
    max_len: 8 * 1024,
    limit: 6 * 1024 * 1024, // of a bundle's 8 MiB, in base64
    weight: 1,
};

fn run(data: &[u8]) {
    encoding(data);
    let statement = match Statement::parse(data) {
        Ok(statement) => statement,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(statement.subjects.len() <= limits::SUBJECTS);
    for subject in &statement.subjects {
        assert!(subject.digests.len() <= limits::SUBJECT_DIGESTS);
        let Some(digest) = subject.digests.first() else {
            continue;
        };
        assert!(statement.names_any(&[Digest::sha256(b"no subject"), *digest]));
        let payload = image_signature_payload(digest, &subject.annotations);
        let again = Statement::parse(&payload).expect("what we sign is a statement");
        assert_eq!(again.subjects.len(), 1);
        assert_eq!(again.subjects[0].digests, [*digest]);
        assert_eq!(again.subjects[0].annotations, subject.annotations);
    }
}

/// Takes the first line for a type, the rest for a payload, and reads both back from their encoding.
fn encoding(data: &[u8]) {
    let cut = data.iter().position(|b| *b == b'\n').unwrap_or(0);
    let (first, payload) = data.split_at(cut);
    let Ok(payload_type) = std::str::from_utf8(first) else {
        return;
    };
    let encoding = PreAuthEncoding::new(payload_type, payload);
    let bytes = encoding.to_bytes();
    assert_eq!(
        encoding.digest(HashAlgorithm::Sha384),
        HashAlgorithm::Sha384.digest(&bytes)
    );
    fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let space = bytes.iter().position(|b| *b == b' ')?;
        let len: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
        bytes[space + 1..].split_at_checked(len)
    }
    let read = bytes.strip_prefix(b"DSSEv1 ").and_then(|rest| {
        let (first, rest) = part(rest)?;
        let (second, rest) = part(rest.strip_prefix(b" ")?)?;
        rest.is_empty().then_some((first, second))
    });
    assert_eq!(read, Some((payload_type.as_bytes(), payload)));
}
