//! The certificate authority's first HTTP interface (`/api/v1/signingCert`), which cosign 2 asks.
//!
//! The same gates and the same certificates as the second's, in other clothes: the token stands only in
//! the `Authorization` header, the chain comes back as one PEM text with status 201, and a detached
//! promise of the CT log in the header `SCT`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

use crate::format::protojson::{self, null_as_default};

use super::fulcio::{BAD_KEY, CA_FAILED, Fulcio, Wanted, bearer};
use super::reply::{self, Grpc};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SigningRequest {
    public_key: Option<RequestedKey>,
    #[serde(deserialize_with = "null_as_default")]
    signed_email_address: protojson::Bytes,
    #[serde(deserialize_with = "null_as_default")]
    certificate_signing_request: protojson::Bytes,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RequestedKey {
    #[serde(deserialize_with = "null_as_default")]
    content: protojson::Bytes,
}

pub(super) async fn signing_cert(
    State(fulcio): State<Arc<Fulcio>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let refuse = |message: &str| reply::grpc(Grpc::InvalidArgument, message);
    let request: SigningRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refuse(&error.to_string()),
    };
    if request.public_key.is_none() && request.certificate_signing_request.is_empty() {
        return refuse(BAD_KEY);
    }
    let wanted = Wanted {
        token: bearer(&headers).unwrap_or_default(),
        key: &request.public_key.unwrap_or_default().content,
        proof: &request.signed_email_address,
        csr: &request.certificate_signing_request,
    };
    let (principal, key) = match fulcio.admit(&wanted) {
        Ok(admitted) => admitted,
        Err((code, message)) => return reply::grpc(code, &message),
    };
    fulcio
        .issue(principal, &key)
        .ok()
        .as_ref()
        .and_then(answer)
        .unwrap_or_else(|| reply::grpc(Grpc::Internal, CA_FAILED))
}

/// Rewrites the second interface's answer as the first's.
fn answer(issued: &Value) -> Option<Response> {
    let issued = issued.as_object()?.values().next()?;
    let chain: Vec<_> = issued["chain"]["certificates"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let chain = reply::text("application/pem-certificate-chain", chain.join("\n"));
    let mut answer = (StatusCode::CREATED, chain).into_response();
    let detached = issued["signedCertificateTimestamp"].as_str();
    if let Some(sct) = detached.filter(|sct| !sct.is_empty()) {
        let value = HeaderValue::from_str(sct).ok()?;
        answer
            .headers_mut()
            .insert(HeaderName::from_static("sct"), value);
    }
    Some(answer)
}
