//! RFC 3161 timestamps over HTTP (section 3.4).

use std::time::Duration;

use url::Url;

use super::NetError;
use super::http::{Backoff, HttpClient, Request, RetryPolicy};
use crate::crypto::Digest;
use crate::format::limits;
use crate::format::timestamp::{TimestampResponse, encode_request};

const SERVICE: &str = "timestamp authority";

/// Asks for a timestamp of a digest; returns the DER response. That it is for this digest and this nonce is
/// checked here, its signature is not.
///
/// # Errors
/// [`NetError`]; also when the answer is no granted timestamp, or one for something else.
pub async fn request_timestamp(
    http: &HttpClient,
    url: &Url,
    digest: &Digest,
) -> Result<Vec<u8>, NetError> {
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).expect("the system's source of randomness works");
    let backoff = Backoff {
        attempts: 4,
        deadline: Duration::from_secs(60),
    };
    let body = encode_request(digest, &nonce);
    let request = Request::post(SERVICE, url.clone(), "application/timestamp-query", body)
        .limit(limits::TIMESTAMP_LEN as u64)
        .retry(RetryPolicy::SafeToRepeat(backoff));
    let reply = http.send(request).await?.success()?;
    let response = TimestampResponse::parse(&reply.body)
        .map_err(|error| reply.bad("a granted timestamp", &error.to_string()))?;
    if response.imprint != *digest {
        return Err(reply.bad("a timestamp of our digest", "one of another digest"));
    }
    let bare = |bytes: &[u8]| {
        bytes
            .iter()
            .copied()
            .skip_while(|b| *b == 0)
            .collect::<Vec<u8>>()
    };
    if response.nonce.as_deref().map(bare) != Some(bare(&nonce)) {
        return Err(reply.bad("a timestamp with our nonce", "another nonce, or none"));
    }
    Ok(reply.body.to_vec())
}
