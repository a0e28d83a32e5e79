//! A signing config: what is chosen from it stands in it.

use keyless::crypto::UnixTime;
use keyless::format::limits;
use keyless::trust::SigningConfig;

use super::captures::RECORDED;
use super::{Grammar, Target, present};

pub const TARGET: Target = Target {
    name: "signing_config",
    run,
    grammar: Grammar::Json,
    max_len: 8 * 1024,
    limit: limits::TRUST_FILE_LEN,
    weight: 1,
};

fn run(data: &[u8]) {
    let config = match SigningConfig::parse(data) {
        Ok(config) => config,
        Err(error) => return present(&error),
    };
    let starts = config.logs.iter().map(|service| service.valid_for.start);
    let times = [
        UnixTime::from_seconds(0),
        RECORDED,
        UnixTime::from_seconds(i64::MAX),
    ];
    for now in starts.take(4).chain(times) {
        match config.select(now) {
            Ok(selected) => {
                assert!(!selected.logs.is_empty());
                for (_, url) in &selected.logs {
                    assert!(
                        config
                            .logs
                            .iter()
                            .any(|log| log.url == *url && log.valid_for.contains(now))
                    );
                }
                for url in &selected.timestamp_authorities {
                    assert!(
                        config
                            .timestamp_authorities
                            .iter()
                            .any(|tsa| tsa.url == *url && tsa.valid_for.contains(now))
                    );
                }
            }
            Err(error) => present(&error),
        }
    }
}
