//! A log entry as Rekor v2 answers with it.

use keyless::format::bundle::parse_log_entry;
use keyless::format::limits;

use super::{Grammar, Target, present};

pub const TARGET: Target = Target {
    name: "log_entry",
    run,
    grammar: Grammar::Json,
    max_len: 8 * 1024,
    limit: limits::SERVICE_REPLY_LEN,
    weight: 1,
};

fn run(data: &[u8]) {
    match parse_log_entry(data) {
        Ok(entry) => {
            let encoded = entry.encode();
            assert_eq!(parse_log_entry(encoded.as_bytes()).as_ref(), Ok(&entry));
        }
        Err(error) => present(&error),
    }
}
