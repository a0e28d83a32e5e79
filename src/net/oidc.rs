//! Identity tokens that a CI system hands out on request.

use serde::Deserialize;
use url::Url;

use super::NetError;
use super::http::{HttpClient, Request, header, secret_header};
use crate::crypto::Secret;
use crate::format::limits;

/// Asks GitHub Actions for a token; `url` and `bearer` are what the runner put into the environment.
///
/// # Errors
/// [`NetError`].
pub async fn github_actions_token(
    http: &HttpClient,
    url: &Url,
    bearer: &Secret,
    audience: &str,
) -> Result<Secret, NetError> {
    #[derive(Deserialize)]
    struct Answer {
        value: String,
    }
    let mut url = url.clone();
    url.query_pairs_mut().append_pair("audience", audience);
    let mut request =
        Request::get("GitHub Actions token service", url).limit(limits::IDENTITY_TOKEN_LEN as u64);
    if let Some(value) = secret_header(&format!("bearer {}", bearer.expose())) {
        request = request.header(header::AUTHORIZATION, value);
    }
    let reply = http.send(request).await?.success()?;
    let answer: Answer = reply.json("an identity token")?;
    Ok(Secret::new(answer.value))
}
