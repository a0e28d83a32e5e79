//! An RFC 3161 response. Whatever is done to one, the recorded authority vouches for no other time and no other
//! signature.

use keyless::crypto::UnixTime;
use keyless::format::limits;
use keyless::format::timestamp::{TimestampResponse, encode_request};
use keyless::verify::Verifier;
use keyless::verify::timestamp::verify_timestamp;
use std::sync::OnceLock;

use super::captures::{genuine, trust};
use super::{Grammar, Target};

pub const TARGET: Target = Target {
    name: "timestamp",
    run,
    grammar: Grammar::Der,
    max_len: 4 * 1024,
    limit: limits::TIMESTAMP_LEN,
    weight: 2,
};

fn run(data: &[u8]) {
    let response = match TimestampResponse::parse(data) {
        Ok(response) => response,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(response.certificates.len() <= limits::CHAIN_CERTIFICATES);
    assert!(!response.time.rfc3339().is_empty());
    assert!(!encode_request(&response.imprint, &[0; 8]).is_empty());
    let verifier = Verifier::new(trust());
    for (signature, time) in stamped() {
        if let Ok(Some(verified)) = verify_timestamp(&response, signature, &verifier) {
            assert_eq!(verified.time(), *time, "vouched for another time");
        }
    }
}

/// Signatures that the recorded authority has stamped, each with its time.
fn stamped() -> &'static [(Vec<u8>, UnixTime)] {
    static STAMPED: OnceLock<Vec<(Vec<u8>, UnixTime)>> = OnceLock::new();
    STAMPED.get_or_init(|| {
        let stamped = genuine().iter().flat_map(|one| {
            let signature = one.bundle.content.signature().to_vec();
            let responses = one.bundle.timestamps.iter();
            responses.map(move |der| {
                let response = TimestampResponse::parse(der).expect("a recorded token parses");
                (signature.clone(), response.time)
            })
        });
        stamped.collect()
    })
}
