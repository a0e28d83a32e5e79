//! A signing client as small as one can be; it checks nothing itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyless::crypto::Digest;
use keyless::diagnostic::Diagnostic as _;
use keyless::format::bundle::Bundle;
use keyless::sandbox::{
    Faults, RekorVersion, Sandbox, SandboxConfig, Service, TokenKind, TokenRequest,
};
use keyless::trust::TrustedRoot;
use keyless::verify::policy::ValueMatcher;
use keyless::verify::{Artifact, ExpectedContent, IdentityMatcher, Policy, verify};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};

pub const IDENTITY: &str = "dev@example.test";
pub const ARTIFACT: &[u8] = b"an artifact\n";

/// Starts a sandbox with faults, in memory.
pub async fn start(faults: &[&str]) -> Sandbox {
    let config = SandboxConfig {
        faults: Faults::parse(faults).unwrap(),
        ..SandboxConfig::default()
    };
    Sandbox::start(config).await.unwrap()
}

pub fn http() -> reqwest::Client {
    // Loopback only: no store of certificate authorities, no proxy.
    reqwest::Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .build()
        .unwrap()
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Result<Self, reqwest::Error> {
        let response = request.send().await?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?.to_vec(),
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

pub async fn fetch(url: String) -> Answer {
    Answer::of(http().get(url)).await.unwrap()
}

pub async fn send(url: String, body: Value) -> Result<Answer, reqwest::Error> {
    let request = http()
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_string());
    Answer::of(request).await
}

pub struct Key(pub SigningKey);

impl Key {
    pub fn new() -> Self {
        Key(SigningKey::generate())
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.0.sign(message);
        signature.as_bytes().to_vec()
    }

    pub fn pem(&self) -> String {
        let key = self.0.verifying_key();
        key.to_public_key_pem(LineEnding::LF).unwrap()
    }
}

/// The request for a certificate, public-key form.
pub fn certificate_request(key: &Key, challenge: &str) -> Value {
    json!({ "publicKeyRequest": {
        "publicKey": { "algorithm": "ECDSA", "content": key.pem() },
        "proofOfPossession": STANDARD.encode(key.sign(challenge.as_bytes())),
    } })
}

pub async fn ask_fulcio(sandbox: &Sandbox, token: &str, body: Value) -> Answer {
    let url = format!("{}/api/v2/signingCert", sandbox.url(Service::Fulcio));
    let request = http().post(url).bearer_auth(token).body(body.to_string());
    Answer::of(request).await.unwrap()
}

/// Asks Fulcio's first interface, as cosign 2 does: the key as DER, the proof beside it.
pub async fn ask_fulcio_v1(sandbox: &Sandbox, token: &str, key: &Key, challenge: &str) -> Answer {
    let url = format!("{}/api/v1/signingCert", sandbox.url(Service::Fulcio));
    let spki = key.0.verifying_key().to_public_key_der().unwrap();
    let body = json!({
        "publicKey": { "content": STANDARD.encode(spki.as_bytes()), "algorithm": "ecdsa" },
        "signedEmailAddress": STANDARD.encode(key.sign(challenge.as_bytes())),
    });
    let request = http().post(url).bearer_auth(token).body(body.to_string());
    Answer::of(request).await.unwrap()
}

pub fn token(sandbox: &Sandbox, identity: &str) -> String {
    let token = sandbox.mint(&TokenRequest::new(identity)).unwrap();
    token.expose().to_owned()
}

/// Gets a certificate; returns the chain as DER.
pub async fn certify(sandbox: &Sandbox, key: &Key, identity: &str) -> Vec<Vec<u8>> {
    let token = token(sandbox, identity);
    let answer = ask_fulcio(sandbox, &token, certificate_request(key, identity)).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    chain(&answer.json())
}

pub fn chain(answer: &Value) -> Vec<Vec<u8>> {
    let member = answer.as_object().unwrap().values().next().unwrap();
    let chain = member["chain"]["certificates"].as_array().unwrap();
    chain
        .iter()
        .map(|pem| {
            der::pem::decode_vec(pem.as_str().unwrap().as_bytes())
                .unwrap()
                .1
        })
        .collect()
}

pub fn pem_of(certificate: &[u8]) -> String {
    der::pem::encode_string("CERTIFICATE", LineEnding::LF, certificate).unwrap()
}

pub fn hashedrekord_v1(certificate: &[u8], signature: &[u8], artifact: &[u8]) -> Value {
    json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": { "hash": { "algorithm": "sha256", "value": Digest::sha256(artifact).hex() } },
            "signature": {
                "content": STANDARD.encode(signature),
                "publicKey": { "content": STANDARD.encode(pem_of(certificate)) },
            },
        },
    })
}

pub fn hashedrekord_v2(certificate: &[u8], signature: &[u8], artifact: &[u8]) -> Value {
    json!({ "hashedRekordRequestV002": {
        "digest": STANDARD.encode(Digest::sha256(artifact).as_bytes()),
        "signature": {
            "content": STANDARD.encode(signature),
            "verifier": {
                "x509Certificate": { "rawBytes": STANDARD.encode(certificate) },
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            },
        },
    } })
}

pub fn entries_url(sandbox: &Sandbox, rekor: RekorVersion) -> String {
    match rekor {
        RekorVersion::V1 => format!("{}/api/v1/log/entries", sandbox.url(Service::RekorV1)),
        RekorVersion::V2 => format!("{}/api/v2/log/entries", sandbox.url(Service::RekorV2)),
    }
}

/// Rewrites Rekor v1's answer as the entry of a bundle.
pub fn v1_entry(answer: &Value) -> Value {
    let entry = answer.as_object().unwrap().values().next().unwrap();
    let base64_of = |hex: &Value| STANDARD.encode(hex::decode(hex.as_str().unwrap()).unwrap());
    let proof = &entry["verification"]["inclusionProof"];
    let hashes: Vec<_> = proof["hashes"]
        .as_array()
        .unwrap()
        .iter()
        .map(base64_of)
        .collect();
    let body = STANDARD.decode(entry["body"].as_str().unwrap()).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    json!({
        "logIndex": entry["logIndex"].to_string(),
        "logId": { "keyId": base64_of(&entry["logID"]) },
        "kindVersion": { "kind": body["kind"], "version": body["apiVersion"] },
        "integratedTime": entry["integratedTime"].to_string(),
        "inclusionPromise": {
            "signedEntryTimestamp": entry["verification"]["signedEntryTimestamp"],
        },
        "inclusionProof": {
            "logIndex": proof["logIndex"].to_string(),
            "rootHash": base64_of(&proof["rootHash"]),
            "treeSize": proof["treeSize"].to_string(),
            "hashes": hashes,
            "checkpoint": { "envelope": proof["checkpoint"] },
        },
        "canonicalizedBody": entry["body"],
    })
}

pub async fn timestamp(sandbox: &Sandbox, signature: &[u8]) -> Answer {
    let url = sandbox.url(Service::Tsa);
    let digest = Digest::sha256(signature);
    let query = keyless::format::timestamp::encode_request(&digest, &[1; 8]);
    let request = http()
        .post(url)
        .header("content-type", "application/timestamp-query")
        .body(query);
    Answer::of(request).await.unwrap()
}

/// Signs [`ARTIFACT`] and returns the bundle, or the first answer that is no success.
pub async fn sign(sandbox: &Sandbox, rekor: RekorVersion, identity: &str) -> Result<Value, Answer> {
    let key = Key::new();
    let token = token(sandbox, identity);
    let answer = ask_fulcio(sandbox, &token, certificate_request(&key, identity)).await;
    if answer.status != 200 {
        return Err(answer);
    }
    let leaf = chain(&answer.json()).remove(0);
    let signature = key.sign(ARTIFACT);
    let stamp = timestamp(sandbox, &signature).await;
    if stamp.status != 200 {
        return Err(stamp);
    }
    let proposal = match rekor {
        RekorVersion::V1 => hashedrekord_v1(&leaf, &signature, ARTIFACT),
        RekorVersion::V2 => hashedrekord_v2(&leaf, &signature, ARTIFACT),
    };
    let logged = send(entries_url(sandbox, rekor), proposal).await.unwrap();
    if logged.status != 201 {
        return Err(logged);
    }
    let entry = match rekor {
        RekorVersion::V1 => v1_entry(&logged.json()),
        RekorVersion::V2 => logged.json(),
    };
    Ok(json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": { "rawBytes": STANDARD.encode(&leaf) },
            "tlogEntries": [entry],
            "timestampVerificationData": { "rfc3161Timestamps": [
                { "signedTimestamp": STANDARD.encode(&stamp.body) },
            ] },
        },
        "messageSignature": {
            "messageDigest": {
                "algorithm": "SHA2_256",
                "digest": STANDARD.encode(Digest::sha256(ARTIFACT).as_bytes()),
            },
            "signature": STANDARD.encode(&signature),
        },
    }))
}

/// Judges a bundle over [`ARTIFACT`]: `accepted`, or the code of the refusal.
pub fn judge(sandbox: &Sandbox, bundle: &Value, identity: &str) -> &'static str {
    let trust = TrustedRoot::parse(sandbox.trusted_root().as_bytes()).unwrap();
    let bundle = Bundle::parse(bundle.to_string().as_bytes()).unwrap();
    let matcher = IdentityMatcher::new(
        ValueMatcher::exact(identity).unwrap(),
        ValueMatcher::exact(sandbox.issuer()).unwrap(),
    );
    let policy = Policy::identities(vec![matcher], ExpectedContent::ArtifactSignature).unwrap();
    let artifact = Artifact::from_digest(Digest::sha256(ARTIFACT));
    match verify(&bundle, &artifact, &trust, &policy) {
        Ok(_) => "accepted",
        Err(error) => error.code(),
    }
}

pub const BOTH: [RekorVersion; 2] = [RekorVersion::V1, RekorVersion::V2];

#[tokio::test]
async fn signatures_by_every_kind_of_identity_verify() {
    let sandbox = start(&[]).await;
    for rekor in BOTH {
        for identity in [
            IDENTITY,
            "https://ci.example.test/job/1",
            "spiffe://example.test/build",
        ] {
            let bundle = sign(&sandbox, rekor, identity).await.unwrap();
            assert_eq!(judge(&sandbox, &bundle, identity), "accepted");
            assert_eq!(
                judge(&sandbox, &bundle, "dew@example.test"),
                "identity-mismatch"
            );
        }
    }
    let counts = sandbox.request_counts();
    assert_eq!(counts.of(Service::Fulcio), 6);
    assert_eq!(counts.of(Service::RekorV1), 3);
    assert_eq!(counts.of(Service::RekorV2), 3);
    assert_eq!(counts.of(Service::Oidc), 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_workflow_is_certified_with_its_claims() {
    let sandbox = start(&[]).await;
    let identity = "https://github.com/octo/app/.github/workflows/release.yml@refs/tags/v1";
    let key = Key::new();
    let mut request = TokenRequest::new(identity);
    request.kind = Some(TokenKind::GithubWorkflow);
    let token = sandbox.mint(&request).unwrap();
    // The proof is over `sub`, which is not what the certificate names.
    let body = certificate_request(&key, "repo:octo/app:ref:refs/tags/v1");
    let answer = ask_fulcio(&sandbox, token.expose(), body).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let leaf = keyless::crypto::Certificate::from_der(&chain(&answer.json())[0]).unwrap();
    let repository = "1.3.6.1.4.1.57264.1.5".parse().unwrap();
    assert_eq!(leaf.extension(&repository).unwrap().value, b"octo/app");
}

#[tokio::test]
async fn the_first_interface_of_fulcio_certifies_too() {
    let sct = "1.3.6.1.4.1.11129.2.4.2".parse().unwrap();
    for (faults, detached) in [(&[][..], false), (&["fulcio-detached-sct"], true)] {
        let sandbox = start(faults).await;
        let (key, token) = (Key::new(), token(&sandbox, IDENTITY));
        let answer = ask_fulcio_v1(&sandbox, &token, &key, IDENTITY).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let media_type = Some("application/pem-certificate-chain");
        assert_eq!(answer.header("content-type"), media_type);
        assert_eq!(answer.header("sct").is_some(), detached);
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 3);
        let chain = keyless::crypto::Certificate::chain_from_pem(&text, 3).unwrap();
        let leaf = &chain[0];
        assert_eq!(leaf.extension(&sct).is_some(), !detached);
        let spki = key.0.verifying_key().to_public_key_der().unwrap();
        assert_eq!(leaf.public_key().spki_der(), spki.as_bytes());
    }
}
