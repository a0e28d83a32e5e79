//! The body of a log entry: read as one kind at most, the one it names.

use keyless::crypto::{Certificate, PublicKey};
use keyless::format::log_entry::{LogBody, Verifier, signed_entry_timestamp_input};
use keyless::format::protojson::decode_base64;

use super::{Grammar, SHORT, Target};

pub const TARGET: Target = Target {
    name: "log_body",
    run,
    grammar: Grammar::Json,
    max_len: 8 * 1024,
    limit: 6 * 1024 * 1024, // of a bundle's 8 MiB, in base64
    weight: 1,
};

const KINDS: [(&str, &str); 6] = [
    ("hashedrekord", "0.0.1"),
    ("hashedrekord", "0.0.2"),
    ("dsse", "0.0.1"),
    ("dsse", "0.0.2"),
    ("intoto", "0.0.2"),
    ("rekord", "0.0.1"),
];

fn run(data: &[u8]) {
    let mut read = 0;
    // A long one is read once, as the program does.
    let kinds = if data.len() < SHORT {
        &KINDS[..]
    } else {
        &KINDS[..1]
    };
    for (kind, version) in kinds {
        match LogBody::parse(kind, version, data) {
            Ok(
                LogBody::HashedRekord { verifier, .. }
                | LogBody::StoredEnvelope { verifier, .. }
                | LogBody::Dsse { verifier, .. },
            ) => {
                read += 1;
                match verifier {
                    Verifier::Certificate(der) => drop(Certificate::from_der(&der)),
                    Verifier::PublicKey(spki) => drop(PublicKey::from_spki_der(&spki)),
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert!(read <= 1, "read as {read} kinds");
    let input = signed_entry_timestamp_input(data, i64::MAX, &[7; 32], u64::MAX);
    let input: serde_json::Value = serde_json::from_slice(&input).expect("it is JSON");
    let body = input["body"].as_str().and_then(decode_base64);
    assert_eq!(body.as_deref(), Some(data));
}
