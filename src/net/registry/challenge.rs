//! `WWW-Authenticate`: which credentials a registry asks for (RFC 9110 section 11.6.1).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// Longest header that is looked at, in bytes.
const HEADER_LIMIT: usize = 4096;

/// One challenge a client here can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password.
    Basic,
    /// A token from a token service.
    Bearer {
        /// URL of the token service, as sent.
        realm: String,
        /// The name the registry has there.
        service: Option<String>,
    },
}

/// Reads all challenges, bearer first; schemes that cannot be answered are left out.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|value| value.len() <= HEADER_LIMIT)
        .flat_map(parse)
        .collect();
    found.sort_by_key(|challenge| matches!(challenge, Challenge::Basic));
    found
}

fn parse(value: &str) -> Vec<Challenge> {
    let mut rest = value;
    let mut schemes: Vec<(String, Vec<(String, String)>)> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word = token(rest);
        if word.is_empty() {
            break;
        }
        let after = &rest[word.len()..];
        let spaced = after.trim_start_matches([' ', '\t']);
        match (spaced.strip_prefix('='), schemes.last_mut()) {
            (Some(text), Some((_, parameters))) => {
                let Some((text, left)) = parameter(text.trim_start_matches([' ', '\t'])) else {
                    break;
                };
                parameters.push((word.to_ascii_lowercase(), text));
                rest = left;
            }
            // A parameter before any scheme.
            (Some(_), None) => break,
            (None, _) => {
                schemes.push((word.to_ascii_lowercase(), Vec::new()));
                rest = after;
            }
        }
    }
    schemes
        .into_iter()
        .filter_map(|(scheme, parameters)| {
            let first = |name: &str| {
                let mut values = parameters.iter().filter(|(n, _)| n == name);
                values.next().map(|(_, value)| value.clone())
            };
            match scheme.as_str() {
                "basic" => Some(Challenge::Basic),
                "bearer" => Some(Challenge::Bearer {
                    realm: first("realm")?,
                    service: first("service"),
                }),
                _ => None,
            }
        })
        .collect()
}

/// Returns the token at the start of the text.
fn token(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)))
        .unwrap_or(text.len());
    &text[..end]
}

/// Reads a parameter's value, quoted or not, and returns what follows.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        // Unquoted URLs occur; they end at white space or a comma.
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Vec<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        challenges(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn reads_what_registries_send() {
        assert_eq!(
            read(&[
                r#"Bearer realm="https://auth.example.test/token",service="r.example.test",scope="repository:a/b:pull,push""#
            ]),
            [bearer(
                "https://auth.example.test/token",
                Some("r.example.test")
            )]
        );
        assert_eq!(
            read(&["Basic realm=\"Registry, \\\"private\\\"\""]),
            [Challenge::Basic]
        );
        assert_eq!(read(&["basic"]), [Challenge::Basic]);
        assert_eq!(
            read(&["BEARER Realm = https://a.test/t , Service=x"]),
            [bearer("https://a.test/t", Some("x"))]
        );
    }

    #[test]
    fn prefers_bearer_among_several() {
        let both = [bearer("https://a.test/t", None), Challenge::Basic];
        assert_eq!(
            read(&[r#"Basic realm="x", Bearer realm="https://a.test/t""#]),
            both
        );
        assert_eq!(read(&["Basic", r#"Bearer realm="https://a.test/t""#]), both);
        assert_eq!(read(&["Negotiate abc==, Basic"]), [Challenge::Basic]);
    }

    #[test]
    fn rubbish_is_no_challenge() {
        for rubbish in [
            "",
            "realm=\"x\"",
            "Bearer",
            "Bearer service=\"x\"",
            "Bearer realm=\"x",
        ] {
            assert_eq!(read(&[rubbish]), [], "{rubbish}");
        }
        let long = format!("Basic realm=\"{}\"", "x".repeat(HEADER_LIMIT));
        assert_eq!(read(&[&long]), []);
    }
}
