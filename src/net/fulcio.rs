//! Fulcio: a certificate for a key, in exchange for an identity token (`fulcio.proto`).

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::NetError;
use super::http::{Backoff, HttpClient, Request, RetryPolicy, header, secret_header};
use crate::crypto::{Certificate, PublicKey};
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::identity_token::IdentityToken;
use crate::format::limits;
use crate::format::protojson::encode_base64;

const SERVICE: &str = "Fulcio";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum FulcioError {
    /// The request did not get through, or was refused.
    #[error("{0}")]
    Net(#[from] NetError),
    /// The certificate comes with a detached SCT, which a bundle cannot carry.
    #[error("Fulcio answered with a detached signed certificate timestamp")]
    DetachedSct,
}

impl Diagnostic for FulcioError {
    fn code(&self) -> &'static str {
        match self {
            FulcioError::Net(error) => error.code(),
            FulcioError::DetachedSct => "fulcio-detached-sct",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            FulcioError::Net(error) => error.exit(),
            FulcioError::DetachedSct => Exit::Sct,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            FulcioError::Net(error) => error.details(),
            FulcioError::DetachedSct => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            FulcioError::Net(error) => error.hint(),
            FulcioError::DetachedSct => {
                Some("configure this Fulcio to embed the timestamp in the certificate".to_owned())
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    signed_certificate_embedded_sct: Option<Issued>,
    signed_certificate_detached_sct: Option<Issued>,
}

impl Issued {
    /// Without a CT log, Fulcio uses the detached form and leaves the timestamp out.
    fn has_detached_sct(&self) -> bool {
        self.signed_certificate_timestamp
            .as_ref()
            .is_some_and(|sct| !sct.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    chain: Chain,
    signed_certificate_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

/// Joins a base address, which may have a path, and the path of a call.
pub(super) fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

/// Asks for a certificate; returns the leaf. Nothing about it is verified yet.
///
/// Repeated on connection errors, 429 and 5xx: an answer that got lost costs no more than a certificate
/// that nobody uses.
///
/// # Errors
/// [`FulcioError`].
pub async fn request_certificate(
    http: &HttpClient,
    base: &Url,
    token: &IdentityToken,
    public_key: &PublicKey,
    proof: &[u8],
) -> Result<Certificate, FulcioError> {
    let body = serde_json::json!({
        "publicKeyRequest": {
            "publicKey": { "algorithm": "ECDSA", "content": public_key.to_pem() },
            "proofOfPossession": encode_base64(proof),
        },
    })
    .to_string();
    let bearer = secret_header(&zeroize::Zeroizing::new(format!(
        "Bearer {}",
        token.expose()
    )))
    .expect("a parsed token holds base64url characters and dots only");
    let backoff = Backoff {
        attempts: 4,
        deadline: Duration::from_secs(60),
    };
    let request = Request::post(
        SERVICE,
        join(base, "api/v2/signingCert"),
        "application/json",
        body,
    )
    .header(header::AUTHORIZATION, bearer)
    .limit(limits::SERVICE_REPLY_LEN as u64)
    .retry(RetryPolicy::SafeToRepeat(backoff));
    let reply = http.send(request).await?.success()?;
    let answer: Answer = reply.json("a certificate chain")?;
    let issued = match (
        answer.signed_certificate_embedded_sct,
        answer.signed_certificate_detached_sct,
    ) {
        (Some(issued), None) => issued,
        (None, Some(issued)) if issued.has_detached_sct() => return Err(FulcioError::DetachedSct),
        // Whoever asks for an SCT will not find one.
        (None, Some(issued)) => issued,
        _ => return Err(reply.bad("a certificate chain", "none, or two").into()),
    };
    if issued.chain.certificates.len() > limits::CHAIN_CERTIFICATES {
        return Err(reply
            .bad("a certificate chain", "more than ten certificates")
            .into());
    }
    let leaf = issued
        .chain
        .certificates
        .first()
        .map(|pem| Certificate::chain_from_pem(pem, 1));
    match leaf {
        Some(Ok(mut leaf)) => Ok(leaf.remove(0)),
        Some(Err(error)) => Err(reply.bad("a certificate", &error.to_string()).into()),
        None => Err(reply.bad("a certificate chain", "an empty one").into()),
    }
}
