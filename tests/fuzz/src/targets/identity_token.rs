//! An identity token. What a client lets through speaks for somebody, and not for anybody.

use keyless::crypto::Secret;
use keyless::format::identity_token::{DEFAULT_AUDIENCE, IdentityToken};
use keyless::format::limits;

use super::captures::RECORDED;
use super::{Grammar, Target, present};

pub const TARGET: Target = Target {
    name: "identity_token",
    run,
    grammar: Grammar::Token,
    max_len: 4 * 1024,
    limit: limits::IDENTITY_TOKEN_LEN,
    weight: 1,
};

fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match IdentityToken::parse(&Secret::new(text.to_owned()), DEFAULT_AUDIENCE, RECORDED) {
        Ok(token) => {
            assert_eq!(token.expose(), text.trim());
            assert!(!token.challenge().is_empty());
            assert_eq!(token.subject(), token.challenge());
            assert!(token.may_be_certified_as(token.challenge()));
            assert!(!token.may_be_certified_as(""));
            assert!(!token.may_be_certified_as("https://nobody.example.test/fuzzed"));
            assert!(!token.certificate_issuers().is_empty());
            assert!(!format!("{token:?}").contains(text.trim()));
        }
        Err(error) => {
            present(&error);
            // A message may well have a letter of it; whatever is long enough to be a secret is not told.
            let told = format!("{error:?} {error}");
            assert!(text.trim().len() < 20 || !told.contains(text.trim()));
        }
    }
}
