//! The OpenID Connect issuer: discovery, key set, and tokens for any identity anybody asks for.
//!
//! Nobody is authenticated here; that is the point of a sandbox. What the tokens say is checked by
//! [`super::fulcio`] as strictly as the real one does.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value, json};

use crate::crypto::{Digest, Secret};

use super::clock;
use super::error::SandboxError;
use super::identity;
use super::keys::RsaKey;
use super::request_log::RequestLog;
use super::store::Store;

/// The audience that Fulcio insists on.
pub const AUDIENCE: &str = "sigstore";

/// Seconds a token lives unless asked otherwise.
const LIFETIME: i64 = 600;

/// What the claims of a token look like, and so what the certificate will name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// An e-mail address in the claim `email`.
    Email,
    /// A URI (`https://…`, `spiffe://…`) in the claim `sub`.
    Uri,
    /// A GitHub Actions workflow, `https://github.com/OWNER/REPO/PATH@REF`, with the claims of one.
    GithubWorkflow,
}

impl TokenKind {
    /// Looks a name of the mint endpoint up: `email`, `uri`, `github`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "email" => Some(TokenKind::Email),
            "uri" => Some(TokenKind::Uri),
            "github" => Some(TokenKind::GithubWorkflow),
            _ => None,
        }
    }
}

/// What a token is to say.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// Who the token is for.
    pub identity: String,
    /// How it says so; by the looks of the identity if `None`.
    pub kind: Option<TokenKind>,
    /// Whom it is meant for.
    pub audience: String,
    /// Seconds until it expires; negative for one that already has.
    pub expires_in: i64,
    /// Claims to set or, with `null`, to leave out.
    pub claims: Map<String, Value>,
}

impl TokenRequest {
    /// Asks for a token for Fulcio that lives ten minutes.
    pub fn new(identity: impl Into<String>) -> Self {
        TokenRequest {
            identity: identity.into(),
            kind: None,
            audience: AUDIENCE.to_owned(),
            expires_in: LIFETIME,
            claims: Map::new(),
        }
    }
}

/// The issuer.
pub(super) struct Issuer {
    url: String,
    key_id: String,
    key: RsaKey,
    encoding: EncodingKey,
    decoding: DecodingKey,
    requests: RequestLog,
    default_identity: String,
}

impl Issuer {
    pub(super) fn open(
        store: &Store,
        url: String,
        default_identity: String,
        requests: RequestLog,
    ) -> Result<Self, SandboxError> {
        let key = RsaKey::open(store, "oidc.key.pem")?;
        let encoding = EncodingKey::from_rsa_pem(key.pkcs8_pem().as_bytes())
            .map_err(SandboxError::make("token signer"))?;
        Ok(Issuer {
            url,
            key_id: Digest::sha256(key.public()).hex()[..16].to_owned(),
            encoding,
            decoding: DecodingKey::from_rsa_der(key.public()),
            key,
            requests,
            default_identity,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Makes a token.
    pub(super) fn mint(&self, request: &TokenRequest) -> Result<Secret, SandboxError> {
        let now = clock::now().seconds();
        let mut claims = identity::claims(&request.identity, request.kind)?;
        let expires = now.saturating_add(request.expires_in);
        // An expired token was issued before it expired.
        let issued = now.min(expires.saturating_sub(1));
        claims.insert("iss".to_owned(), self.url.clone().into());
        claims.insert("aud".to_owned(), request.audience.clone().into());
        claims.insert("iat".to_owned(), issued.into());
        claims.insert("nbf".to_owned(), issued.into());
        claims.insert("exp".to_owned(), expires.into());
        for (name, value) in &request.claims {
            match value {
                Value::Null => claims.remove(name),
                value => claims.insert(name.clone(), value.clone()),
            };
        }
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, &claims, &self.encoding)
            .map(Secret::new)
            .map_err(SandboxError::make("identity token"))
    }

    /// Checks a token as Fulcio does: signature by our key, issuer, audience, expiry, not-before. The
    /// reason for a refusal stays here; Fulcio does not tell it either.
    pub(super) fn authenticate(&self, token: &str) -> Option<Map<String, Value>> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.kid.as_deref().is_some_and(|kid| kid != self.key_id) {
            return None;
        }
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&self.url]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        let decoded: jsonwebtoken::TokenData<Map<String, Value>> =
            jsonwebtoken::decode(token, &self.decoding, &validation).ok()?;
        Some(decoded.claims)
    }

    fn discovery(&self) -> Value {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}/keys", self.url),
            "token_endpoint": format!("{}/token", self.url),
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "claims_supported": ["aud", "email", "email_verified", "exp", "iat", "iss", "nbf", "sub"],
        })
    }

    fn key_set(&self) -> Value {
        let (modulus, exponent) = self.key.components();
        json!({ "keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id,
            "n": URL_SAFE_NO_PAD.encode(modulus), "e": URL_SAFE_NO_PAD.encode(exponent),
        }] })
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async |State(issuer): State<Arc<Issuer>>| Json(issuer.discovery())),
            )
            .route(
                "/keys",
                get(async |State(issuer): State<Arc<Issuer>>| Json(issuer.key_set())),
            )
            .route("/token", get(token))
            .route(
                "/requests",
                get(async |State(issuer): State<Arc<Issuer>>| Json(issuer.requests.to_json())),
            )
            .with_state(self)
    }
}

/// Query of the mint endpoint. Members that are not known are set as claims.
#[derive(serde::Deserialize)]
struct TokenQuery {
    identity: Option<String>,
    audience: Option<String>,
    expires_in: Option<i64>,
    kind: Option<String>,
    format: Option<String>,
}

/// `GET /token?identity=…&audience=…&expires_in=…&kind=email|uri|github&format=json|text`.
///
/// The JSON form is `{"value": TOKEN}`, as GitHub Actions answers, so that this URL can stand in for
/// `ACTIONS_ID_TOKEN_REQUEST_URL`.
async fn token(State(issuer): State<Arc<Issuer>>, Query(query): Query<TokenQuery>) -> Response {
    let refuse = |message: String| {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": message }))).into_response()
    };
    let mut request = TokenRequest::new(
        query
            .identity
            .unwrap_or_else(|| issuer.default_identity.clone()),
    );
    if let Some(name) = query.kind {
        let Some(kind) = TokenKind::from_name(&name) else {
            return refuse(format!("unknown kind {name:?}: email, uri or github"));
        };
        request.kind = Some(kind);
    }
    if let Some(audience) = query.audience {
        request.audience = audience;
    }
    if let Some(seconds) = query.expires_in {
        request.expires_in = seconds;
    }
    let token = match issuer.mint(&request) {
        Ok(token) => token,
        Err(error) => return refuse(error.to_string()),
    };
    match query.format.as_deref() {
        Some("text") => (
            [(header::CONTENT_TYPE, "application/jwt")],
            token.expose().to_owned(),
        )
            .into_response(),
        _ => Json(json!({ "value": token.expose() })).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        let store = Store::open(None).unwrap();
        let url = "http://127.0.0.1:1".to_owned();
        Issuer::open(
            &store,
            url,
            "dev@example.test".to_owned(),
            RequestLog::default(),
        )
        .unwrap()
    }

    #[test]
    fn its_own_good_tokens_pass_and_others_do_not() {
        let issuer = issuer();
        let good = TokenRequest::new("dev@example.test");
        let mint = |request: &TokenRequest| issuer.mint(request).unwrap().expose().to_owned();
        let claims = issuer.authenticate(&mint(&good)).unwrap();
        assert_eq!(claims["email"], "dev@example.test");

        let mut expired = good.clone();
        expired.expires_in = -1;
        let mut audience = good.clone();
        audience.audience = "other".to_owned();
        let mut future = good.clone();
        let later = clock::now().seconds() + 300;
        future.claims.insert("nbf".to_owned(), later.into());
        let mut foreign = good.clone();
        let url = "http://127.0.0.1:2";
        foreign.claims.insert("iss".to_owned(), url.into());
        let mut endless = good.clone();
        endless.claims.insert("exp".to_owned(), Value::Null);
        for refused in [expired, audience, future, foreign, endless] {
            assert!(
                issuer.authenticate(&mint(&refused)).is_none(),
                "{refused:?}"
            );
        }
        let stranger = self::issuer().mint(&good).unwrap();
        assert!(issuer.authenticate(stranger.expose()).is_none());
        let mut several = good;
        let list = json!(["other", "sigstore"]);
        several.claims.insert("aud".to_owned(), list);
        assert!(issuer.authenticate(&mint(&several)).is_some());
    }
}
