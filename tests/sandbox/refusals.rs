//! What the real services refuse is refused, with the same status and message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyless::sandbox::{RekorVersion, Sandbox, Service, TokenRequest};
use serde_json::{Value, json};

use crate::client::{
    ARTIFACT, Answer, IDENTITY, Key, ask_fulcio, ask_fulcio_v1, certificate_request, certify,
    entries_url, fetch, hashedrekord_v1, hashedrekord_v2, http, send, start, token,
};

const BAD_TOKEN: &str = "There was an error processing the identity token";
const BAD_SIGNATURE: &str = "The signature supplied in the request could not be verified";
const BAD_KEY: &str = "The public key supplied in the request could not be parsed";
const BAD_CSR: &str = "The certificate signing request could not be parsed";

async fn refused(sandbox: &Sandbox, token: &str, body: Value) -> String {
    let answer = ask_fulcio(sandbox, token, body).await;
    let json = answer.json();
    assert_eq!(answer.status, 400, "{json}");
    assert_eq!(json["code"], 3);
    assert_eq!(json["details"], json!([]));
    json["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_interface_of_fulcio_refuses_the_same() {
    let sandbox = start(&[]).await;
    let (key, good) = (Key::new(), token(&sandbox, IDENTITY));
    for (token, challenge, expected) in [
        ("abc", IDENTITY, BAD_TOKEN),
        (good.as_str(), "dew@example.test", BAD_SIGNATURE),
    ] {
        let answer = ask_fulcio_v1(&sandbox, token, &key, challenge).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["message"], expected);
    }
    let url = format!("{}/api/v1/signingCert", sandbox.url(Service::Fulcio));
    for (body, expected) in [
        (json!({}), BAD_KEY),
        (json!({ "publicKey": { "content": "AAAA" } }), BAD_KEY),
        (json!({ "certificateSigningRequest": "AAAA" }), BAD_CSR),
    ] {
        let request = http().post(&url).bearer_auth(&good).body(body.to_string());
        let answer = Answer::of(request).await.unwrap();
        assert_eq!(
            (answer.status, &answer.json()["message"]),
            (400, &json!(expected))
        );
    }
}

#[tokio::test]
async fn fulcio_refuses_bad_tokens() {
    let sandbox = start(&[]).await;
    let key = Key::new();
    let body = certificate_request(&key, IDENTITY);
    let good = TokenRequest::new(IDENTITY);
    let mut expired = good.clone();
    expired.expires_in = -1;
    let mut audience = good.clone();
    audience.audience = "other".to_owned();
    let mut unverified = good.clone();
    unverified
        .claims
        .insert("email_verified".to_owned(), false.into());
    let mut nobody = good.clone();
    nobody.claims.insert("email".to_owned(), Value::Null);
    for request in [expired, audience, unverified, nobody] {
        let token = sandbox.mint(&request).unwrap();
        let message = refused(&sandbox, token.expose(), body.clone()).await;
        assert_eq!(message, BAD_TOKEN, "{request:?}");
    }
    let stranger = start(&[]).await;
    let foreign = token(&stranger, IDENTITY);
    let good = token(&sandbox, IDENTITY);
    let (head, _) = good.rsplit_once('.').unwrap();
    for token in ["", "abc", "a.b.c", &format!("{head}.AAAA"), &foreign] {
        assert_eq!(refused(&sandbox, token, body.clone()).await, BAD_TOKEN);
    }
    // The token in the body counts before the header's.
    let mut inside = body;
    inside["credentials"] = json!({ "oidcIdentityToken": good });
    assert_eq!(ask_fulcio(&sandbox, "abc", inside).await.status, 200);
}

#[tokio::test]
async fn fulcio_wants_proof_of_possession() {
    let sandbox = start(&[]).await;
    let token = token(&sandbox, IDENTITY);
    let good = certificate_request(&Key::new(), IDENTITY);
    let other_key = certificate_request(&Key::new(), IDENTITY);
    let proof = "/publicKeyRequest/proofOfPossession";
    let content = "/publicKeyRequest/publicKey/content";
    let change = |pointer: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let csr = |text: &str| json!({ "certificateSigningRequest": STANDARD.encode(text) });
    for (body, message) in [
        (json!({}), BAD_KEY),
        (change(content, "abc".into()), BAD_KEY),
        (change(proof, "".into()), BAD_SIGNATURE),
        (change(proof, Value::Null), BAD_SIGNATURE),
        (
            change(proof, other_key.pointer(proof).unwrap().clone()),
            BAD_SIGNATURE,
        ),
        (
            certificate_request(&Key::new(), "dew@example.test"),
            BAD_SIGNATURE,
        ),
        (csr("abc"), BAD_CSR),
        (csr(&Key::new().pem()), BAD_CSR),
    ] {
        assert_eq!(
            refused(&sandbox, &token, body.clone()).await,
            message,
            "{body}"
        );
    }
    let url = format!("{}/api/v2/signingCert", sandbox.url(Service::Fulcio));
    let answer = fetch(url.clone()).await;
    assert_eq!((answer.status, &answer.json()["code"]), (501, &json!(12)));
    let garbage = Answer::of(http().post(url).body("xx")).await.unwrap();
    assert_eq!((garbage.status, &garbage.json()["code"]), (400, &json!(3)));
}

#[tokio::test]
async fn fulcio_takes_a_signing_request() {
    use der::{Encode as _, EncodePem as _};
    use p256::ecdsa::DerSignature;
    use x509_cert::builder::Builder as _;
    use x509_cert::request::RequestBuilder;

    let sandbox = start(&[]).await;
    let token = token(&sandbox, IDENTITY);
    let key = Key::new();
    let builder = RequestBuilder::new(Default::default()).unwrap();
    let mut csr = builder.build::<_, DerSignature>(&key.0).unwrap();
    let pem = csr.to_pem(der::pem::LineEnding::LF).unwrap();
    let body = json!({ "certificateSigningRequest": STANDARD.encode(pem) });
    let answer = ask_fulcio(&sandbox, &token, body).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    // Signed by another key than the one inside.
    let other = RequestBuilder::new(Default::default()).unwrap();
    let other = other.build::<_, DerSignature>(&Key::new().0).unwrap();
    csr.signature = other.signature;
    assert!(csr.to_der().is_ok());
    let pem = csr.to_pem(der::pem::LineEnding::LF).unwrap();
    let body = json!({ "certificateSigningRequest": STANDARD.encode(pem) });
    assert_eq!(refused(&sandbox, &token, body).await, BAD_SIGNATURE);
}

#[tokio::test]
async fn the_logs_refuse_what_does_not_verify() {
    let sandbox = start(&[]).await;
    let key = Key::new();
    let leaf = certify(&sandbox, &key, IDENTITY).await.remove(0);
    let good = key.sign(ARTIFACT);
    let bad = Key::new().sign(ARTIFACT);
    let v1 = entries_url(&sandbox, RekorVersion::V1);
    let v2 = entries_url(&sandbox, RekorVersion::V2);
    let message = "error processing entry: verifying signature: \
                   invalid signature when validating ASN.1 encoded signature";
    let error = json!({ "code": 400, "message": message });
    for (signature, artifact) in [(&bad, ARTIFACT), (&good, b"other".as_slice())] {
        let answer = send(v1.clone(), hashedrekord_v1(&leaf, signature, artifact));
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.json()), (400, error.clone()));
        let answer = send(v2.clone(), hashedrekord_v2(&leaf, signature, artifact));
        let answer = answer.await.unwrap();
        let error = json!({ "code": 3, "message": "invalid hashedrekord request", "details": [] });
        assert_eq!((answer.status, answer.json()), (400, error));
    }
    let text = http()
        .post(v1)
        .header("content-type", "text/plain")
        .body("{}");
    assert_eq!(Answer::of(text).await.unwrap().status, 415);
    let unknown = format!("{}/api/v1/zz", sandbox.url(Service::RekorV1));
    let error = json!({ "code": 404, "message": "path /api/v1/zz was not found" });
    assert_eq!(fetch(unknown).await.json(), error);
}

#[tokio::test]
async fn the_timestamp_authority_refuses_what_is_no_query() {
    let sandbox = start(&[]).await;
    let url = sandbox.url(Service::Tsa);
    for (media_type, body, status) in [
        ("application/timestamp-query", "", 422),
        ("application/timestamp-query", "xxx", 400),
        ("text/plain", "xxx", 415),
        ("application/json", "{}", 400),
    ] {
        let request = http()
            .post(&url)
            .header("content-type", media_type)
            .body(body);
        let answer = Answer::of(request).await.unwrap();
        assert_eq!(answer.status, status, "{media_type} {body}");
    }
    let json = json!({
        "artifactHash": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        "hashAlgorithm": "sha256", "certificates": true, "nonce": 7,
    });
    let answer = send(url, json).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type").unwrap(),
        "application/timestamp-reply"
    );
    let token = keyless::format::timestamp::TimestampResponse::parse(&answer.body).unwrap();
    assert_eq!(token.nonce.unwrap(), [7]);
    assert_eq!(token.certificates.len(), 1);
}
