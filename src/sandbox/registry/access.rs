//! Who may do what: challenges, and the token service.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::handlers::refuse;
use super::{AccessMode, Account, SandboxRegistry, lock};

/// Tokens kept at a time; expired ones go first, then all.
const MAX_TOKENS: usize = 10_000;
/// The token that a registry sells to everybody, where that is its manner.
const EVERYBODY: &str = "token-for-everybody";

/// Tokens sold and not expired.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    sold: HashMap<String, Sold>,
}

#[derive(Debug)]
struct Sold {
    /// `repository:<name>:<actions>` strings.
    scopes: Vec<String>,
    until: Instant,
}

impl SandboxRegistry {
    /// Returns the refusal for a request that is not allowed; `repository` is empty for `/v2/`.
    pub(super) fn check_access(
        &self,
        method: &Method,
        repository: &str,
        headers: &HeaderMap,
    ) -> Option<Response> {
        let action = match *method {
            Method::GET | Method::HEAD => "pull",
            Method::DELETE => "delete",
            _ => "push",
        };
        let sent = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let challenge = match &self.mode.access {
            AccessMode::Open if self.token_manner().is_some() => {
                if sent == format!("Bearer {EVERYBODY}") {
                    return None;
                }
                let host = headers.get(header::HOST).and_then(|v| v.to_str().ok());
                let host = host.unwrap_or("127.0.0.1");
                format!("Bearer realm=\"http://{host}/token\",service=\"sandbox\"")
            }
            AccessMode::Open => return None,
            AccessMode::Basic(account) => {
                if sent == basic(account) {
                    return None;
                }
                "Basic realm=\"sandbox\"".to_owned()
            }
            AccessMode::Bearer { .. } => {
                let token = sent.strip_prefix("Bearer ").unwrap_or_default();
                if self.may(token, repository, action) {
                    return None;
                }
                let host = headers
                    .get(header::HOST)
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or("127.0.0.1");
                let scope = if repository.is_empty() {
                    String::new()
                } else {
                    format!(",scope=\"repository:{repository}:{action}\"")
                };
                format!("Bearer realm=\"http://{host}/token\",service=\"sandbox\"{scope}")
            }
        };
        let mut response = refuse(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "authentication required",
        );
        if let Ok(value) = challenge.parse() {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, value);
        }
        Some(response)
    }

    fn may(&self, token: &str, repository: &str, action: &str) -> bool {
        let tokens = lock(&self.tokens);
        let Some(sold) = tokens.sold.get(token) else {
            return false;
        };
        let allows = |scope: &String| {
            scope
                .strip_prefix("repository:")
                .and_then(|rest| rest.rsplit_once(':'))
                .is_some_and(|(name, actions)| {
                    name == repository && actions.split(',').any(|a| a == action || a == "*")
                })
        };
        Instant::now() < sold.until && (repository.is_empty() || sold.scopes.iter().any(allows))
    }

    /// Sells a token: GET with user name and password or none, or POST of a refresh-token grant.
    pub(super) fn sell_token(
        &self,
        method: &Method,
        query: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response {
        if let Some(members) = self.token_manner() {
            let token = format!("\"{EVERYBODY}\"");
            let answer = format!("{{{}}}", members.replace("TOKEN", &token));
            return ([(header::CONTENT_TYPE, "application/json")], answer).into_response();
        }
        let AccessMode::Bearer {
            account,
            refresh_token,
            anonymous_pull,
            life,
        } = &self.mode.access
        else {
            return refuse(
                StatusCode::NOT_FOUND,
                "UNSUPPORTED",
                "no token service here",
            );
        };
        let form = if *method == Method::POST {
            body
        } else {
            query.as_bytes()
        };
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(form).into_owned().collect();
        let all = |wanted: &str| -> Vec<String> {
            let found = pairs.iter().filter(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone()).collect()
        };
        let first = |wanted: &str| all(wanted).into_iter().next().unwrap_or_default();
        let denied = || {
            refuse(
                StatusCode::UNAUTHORIZED,
                "UNAUTHORIZED",
                "wrong credentials",
            )
        };
        let sent = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let known = if *method == Method::POST {
            let grant = first("grant_type") == "refresh_token";
            let right = refresh_token.as_ref() == Some(&first("refresh_token"));
            if !(grant && right) {
                return denied();
            }
            true
        } else {
            match sent {
                Some(sent) if sent == basic(account) => true,
                Some(_) => return denied(),
                None => false,
            }
        };
        let scopes: Vec<String> = all("scope")
            .iter()
            .flat_map(|scopes| scopes.split(' '))
            .filter(|scope| !scope.is_empty())
            .map(
                |scope| match (known, anonymous_pull, scope.rsplit_once(':')) {
                    (true, ..) => scope.to_owned(),
                    (false, true, Some((name, _))) => format!("{name}:pull"),
                    // As public registries do: a token that opens nothing.
                    _ => String::new(),
                },
            )
            .collect();
        let token = random_token();
        let mut tokens = lock(&self.tokens);
        if tokens.sold.len() >= MAX_TOKENS {
            tokens.sold.retain(|_, sold| Instant::now() < sold.until);
            if tokens.sold.len() >= MAX_TOKENS {
                tokens.sold.clear();
            }
        }
        let sold = Sold {
            scopes,
            until: Instant::now() + *life,
        };
        tokens.sold.insert(token.clone(), sold);
        let name = if *method == Method::POST {
            "access_token"
        } else {
            "token"
        };
        let answer = serde_json::json!({ name: token, "expires_in": seconds(*life) });
        axum::Json(answer).into_response()
    }
}

/// Whole seconds, at least one: 0 would mean "not said".
fn seconds(life: Duration) -> u64 {
    life.as_secs().max(1)
}

fn basic(account: &Account) -> String {
    let joined = format!("{}:{}", account.username, account.password);
    format!("Basic {}", STANDARD.encode(joined))
}

fn random_token() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has a random source");
    hex::encode(bytes)
}
