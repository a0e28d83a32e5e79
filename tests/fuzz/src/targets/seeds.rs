//! Good inputs for every target, taken from `fixtures` or written here where nothing is recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use keyless::crypto::Certificate;
use keyless::crypto::certificate::SCT_LIST;
use keyless::format::bundle::{Bundle, Content, KeyMaterial};
use keyless::format::protojson::{decode_base64, encode_base64};
use keyless::format::tile::entry_in_bundle;
use keyless::trust::TrustedRoot;
use serde_json::{Value, json};

use super::captures::{BUNDLES, trust};
use super::checkpoint::recorded_answers;

/// Files that name images, each behind its name.
const IMAGE_LISTS: [&str; 6] = [
    r#"deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      initContainers: [{name: i, image: "registry.example/i:1"}]
      containers:
      - &base
        name: c
        image: registry.example/c:2
      - {<<: *base, name: d}
      volumes: [{name: v, image: {reference: 'registry.example/v'}}]
---
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: t}
spec: {steps: [{image: registry.example/s}], containers: [{image: a}, {name: b}]}
"#,
    r#"pods.json
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "annotations": {"a": "b"}},
   "spec": {"containers": [{"name": "c", "image": "registry.example\/c@sha256:00"}]}, "status": {"image": "no"}}]}
"#,
    r#"compose.yaml
x-base: &base {image: "registry.example/${NAME:-base}:${TAG-1}", restart: always}
include: [other.yaml]
services:
  web: {<<: *base, build: .}
  job: {image: !!str "a$$b"}
  built: {build: {context: .}}
  other: {extends: {service: web}}
  db:
    image: db${SUFFIX:+-$SUFFIX}
    volumes: [{type: image, source: seed}]
"#,
    r#"Dockerfile
# syntax=docker/dockerfile:1
# escape=\
ARG GO=1.25 BASE="alpine:${ALPINE:-3}"
FROM --platform=$BUILDPLATFORM golang:${GO} AS build
RUN --mount=type=bind,from=tools,target=/t \
  # comment
  make
COPY <<EOF <<-"E2" /x
FROM no
EOF
	E2
FROM ${BASE}
COPY --from=build --chown=1:1 /a /a
COPY --from=assets:4 /b /b
COPY --from=0 /c /c
ONBUILD RUN ["x"]
FROM scratch
"#,
    "-\n# all\nregistry.example/a:1 # one\n\nlocalhost:5000/b@sha256:00\r\n",
    "-\nFROM a\nRUN cat <<'E'\nE\n",
];

/// Seeds by target, each once.
#[derive(Default)]
pub struct Seeds(pub BTreeMap<&'static str, Vec<Vec<u8>>>);

fn fixtures() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .map(|folder| folder.join("fixtures"))
        .find(|folder| folder.is_dir())
        .expect("the repository has fixtures")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn document(name: &str) -> Value {
    serde_json::from_slice(&read(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

impl Seeds {
    /// Collects all that is recorded.
    pub fn recorded() -> Self {
        let mut seeds = Seeds::default();
        for (json, _) in BUNDLES {
            seeds.add("verify", json);
            seeds.bundle(json);
        }
        seeds.services();
        seeds.trust_files();
        seeds.older_form();
        seeds.registry(&fixtures().join("captures/oci"));
        seeds.written();
        seeds
    }

    fn add(&mut self, target: &'static str, seed: &[u8]) {
        let list = self.0.entry(target).or_default();
        if !list.iter().any(|known| known == seed) {
            list.push(seed.to_vec());
        }
    }

    /// Takes a bundle apart.
    pub fn bundle(&mut self, json: &[u8]) {
        let bundle = Bundle::parse(json).expect("a good bundle parses");
        self.add("bundle", json);
        if let KeyMaterial::Certificate(leaf) = &bundle.key_material {
            self.certificate(leaf);
        }
        if let Content::DsseEnvelope(envelope) = &bundle.content {
            self.add("statement", &envelope.payload);
        }
        for entry in &bundle.log_entries {
            self.add("log_body", &entry.canonicalized_body);
            if let Some(proof) = &entry.inclusion_proof {
                self.add("checkpoint", proof.checkpoint.as_bytes());
                self.add("log_entry", entry.encode().as_bytes());
            }
        }
        for timestamp in &bundle.timestamps {
            self.add("timestamp", timestamp);
        }
    }

    fn certificate(&mut self, certificate: &Certificate) {
        self.add("certificate", certificate.der());
        self.add("primitives", certificate.public_key().spki_der());
        if let Some(list) = certificate.extension(&SCT_LIST) {
            self.add("sct_list", &list.value);
        }
    }

    fn services(&mut self) {
        for text in recorded_answers() {
            self.add("checkpoint", text.as_bytes());
        }
        self.add("checkpoint", &read("captures/rekor2/checkpoint"));
        let info = document("captures/rekor1/loginfo.json");
        let head = info["signedTreeHead"].as_str().expect("it is text");
        self.add("checkpoint", head.as_bytes());
        let entries = read("captures/rekor2/tile_entries_000.p_10");
        for place in 0..10 {
            self.add(
                "log_body",
                entry_in_bundle(&entries, place).expect("it has ten"),
            );
        }
        for (index, size) in [
            (7u64, 10u64),
            (256, 300),
            (65_535, 70_000),
            (1 << 40, (1 << 41) + 77),
        ] {
            let numbers = [index.to_be_bytes(), size.to_be_bytes()].concat();
            self.add("tile", &[&numbers[..], &entries].concat());
            self.add("merkle", &[&numbers[..], &[7; 32 * 20]].concat());
        }
        self.add("merkle", &[0, 7, 0, 3, 0, 1, 33, 128]);
        for name in [
            "blob",
            "dsse-image",
            "attest",
            "legacy-sign",
            "legacy-attest",
        ] {
            let answer = document(&format!("captures/http/rekor1.{name}.resp.json"));
            let entry = answer.as_object().and_then(|o| o.values().next());
            let body = entry.and_then(|e| decode_base64(e["body"].as_str()?));
            self.add("log_body", &body.expect("an answer has a body"));
        }
        for name in ["blob", "dsse-image", "attest"] {
            self.add(
                "log_entry",
                &read(&format!("captures/http/rekor2.{name}.resp.json")),
            );
        }
        let answer = document("captures/http/fulcio.blob.resp.json");
        let chain = &answer["signedCertificateEmbeddedSct"]["chain"]["certificates"];
        let pem: String = chain
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        self.add("certificate", pem.as_bytes());
        for root in document("captures/ct/get-roots.json")["certificates"]
            .as_array()
            .into_iter()
            .flatten()
        {
            self.add(
                "certificate",
                &root.as_str().and_then(decode_base64).expect("base64"),
            );
        }
        self.add("certificate", &read("captures/rekor1/publicKey.pem"));
        self.add("primitives", &read("captures/rekor1/publicKey.pem"));
        self.add("timestamp", &read("captures/http/tsa.blob.resp.der"));
    }

    fn older_form(&mut self) {
        for store in ["referrers-api", "fallback-tag"] {
            for name in ["tag.sig", "tag.att"] {
                let folder = format!("captures/oci/{store}/legacy/{name}");
                self.add("legacy", &read(&format!("{folder}.manifest.json")));
                self.add("legacy", &read(&format!("{folder}.layer0.json")));
                let manifest = document(&format!("{folder}.manifest.json"));
                let layer = &manifest["layers"][0]["annotations"];
                let promise = layer["dev.sigstore.cosign/bundle"].as_str().expect("text");
                self.add("legacy", promise.as_bytes());
                let file = serde_json::json!({
                    "base64Signature": layer["dev.cosignproject.cosign/signature"],
                    "cert": layer["dev.sigstore.cosign/certificate"],
                    "rekorBundle": serde_json::from_str::<Value>(promise).expect("JSON"),
                });
                self.add("legacy", file.to_string().as_bytes());
            }
        }
    }

    fn trust_files(&mut self) {
        for name in [
            "captures/trusted_root.json",
            "roots/production/trusted_root.json",
        ] {
            let json = read(name);
            self.add("trusted_root", &json);
            let root = TrustedRoot::parse(&json).expect("a recorded root parses");
            for authority in &root.certificate_authorities {
                authority.chain.iter().for_each(|one| self.certificate(one));
            }
            for authority in &root.timestamp_authorities {
                self.certificate(&authority.leaf);
                authority
                    .issuers
                    .iter()
                    .for_each(|one| self.certificate(one));
            }
            for log in root.logs.iter().chain(&root.ct_logs) {
                self.add("primitives", log.public_key.spki_der());
                self.add("primitives", log.public_key.to_pem().as_bytes());
            }
        }
        for name in [
            "captures/signing_config.v1.json",
            "captures/signing_config.v1tsa.json",
            "captures/signing_config.v2.json",
            "roots/production/signing_config.v0.2.json",
        ] {
            self.add("signing_config", &read(name));
        }
    }

    fn registry(&mut self, folder: &Path) {
        let entries = std::fs::read_dir(folder).expect("a folder of the fixtures");
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.expect("a readable folder").path())
            .collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.registry(&path);
                continue;
            }
            let name = path.to_string_lossy().into_owned();
            let json = std::fs::read(&path).expect("a readable file");
            if name.ends_with(".index.json") {
                self.add("oci_referrers", &json);
            }
            if name.ends_with(".index.json") || name.ends_with(".manifest.json") {
                self.add("oci_manifest", &json);
            }
            if name.ends_with("tag.att.layer0.json") {
                let envelope: Value = serde_json::from_slice(&json).expect("an envelope is JSON");
                let payload = envelope["payload"].as_str().and_then(decode_base64);
                self.add("statement", &payload.expect("an envelope has a payload"));
            }
        }
    }

    /// What nobody recorded: tokens are secret, references are typed, and two kinds of entry are not written any more.
    fn written(&mut self) {
        let url_safe = |value: &Value| {
            let text = encode_base64(value.to_string().as_bytes());
            text.replace('+', "-").replace('/', "_").replace('=', "")
        };
        let common = json!({ "iss": "https://issuer.example.test", "aud": "sigstore", "exp": 4_000_000_000_u64, "nbf": 1_700_000_000, "iat": 1_700_000_000 });
        for own in [
            json!({ "sub": "123", "email": "dev@example.test", "email_verified": true, "federated_claims": { "connector_id": "https://idp.example.test", "user_id": "1" } }),
            json!({ "aud": ["other", "sigstore"], "sub": "repo:o/r:ref:refs/heads/main", "job_workflow_ref": "o/r/.github/workflows/w.yml@refs/heads/main", "sha": "00" }),
            json!({ "sub": "system:serviceaccount:ns:name", "kubernetes.io": { "namespace": "ns", "serviceaccount": { "name": "name" } } }),
            json!({ "sub": "org", "organization_slug": "o", "pipeline_slug": "p", "ci_config_ref_uri": "gitlab.example.test/o/r//.gitlab-ci.yml@refs/heads/main" }),
        ] {
            let mut claims = common.clone();
            for (name, value) in own.as_object().into_iter().flatten() {
                claims[name] = value.clone();
            }
            let header = url_safe(&json!({ "alg": "RS256", "kid": "k", "typ": "JWT" }));
            let token = format!("{header}.{}.c2lnbmF0dXJl", url_safe(&claims));
            self.add("identity_token", token.as_bytes());
        }
        let hex = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        for text in [
            "alpine".to_owned(),
            "docker.io/library/alpine:3".to_owned(),
            "localhost:5000/a/b__c/d-e:v1.2-rc_3".to_owned(),
            format!("r.example.test/a/b@sha256:{hex}"),
            format!("127.0.0.1:80/a:t@sha256:{hex}"),
            format!("index.docker.io/a.b/c@sha512:{hex}{hex}"),
        ] {
            self.add("image_reference", text.as_bytes());
        }
        for text in IMAGE_LISTS {
            self.add("image_list", text.as_bytes());
        }
        for text in [
            format!("sha256:{hex}"),
            format!("sha512:{hex}{hex}"),
            "2021-12-18T07:28:12.5-06:00".to_owned(),
            "-_8".to_owned(),
            encode_base64(hex.as_bytes()),
        ] {
            self.add("primitives", text.as_bytes());
        }
        let pem = trust().certificate_authorities[0].chain[0].to_pem();
        let verifier = encode_base64(pem.as_bytes());
        let hash = json!({ "algorithm": "sha256", "value": hex });
        let signature = encode_base64(b"a signature");
        let raw =
            json!({ "rawBytes": encode_base64(trust().certificate_authorities[0].chain[0].der()) });
        for body in [
            json!({ "apiVersion": "0.0.2", "kind": "intoto", "spec": { "content": { "envelope": { "payloadType": "application/vnd.in-toto+json", "signatures": [{ "publicKey": verifier, "sig": encode_base64(signature.as_bytes()) }] }, "hash": hash, "payloadHash": hash } } }),
            json!({ "apiVersion": "0.0.2", "kind": "dsse", "spec": { "dsseV002": { "payloadHash": { "algorithm": "SHA2_256", "digest": encode_base64(&[7; 32]) }, "signatures": [{ "content": signature, "verifier": { "x509Certificate": raw, "keyDetails": "PKIX_ECDSA_P256_SHA_256" } }] } } }),
        ] {
            self.add("log_body", body.to_string().as_bytes());
        }
    }
}
