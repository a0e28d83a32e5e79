//! What cosign wrote against the real services, recorded in `fixtures/captures`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use keyless::crypto::Digest;
use keyless::diagnostic::Diagnostic;
use keyless::format::bundle::{Bundle, parse_log_entry};
use keyless::trust::TrustedRoot;
use keyless::verify::policy::ValueMatcher;
use keyless::verify::{Artifact, ExpectedContent, IdentityMatcher, Policy, VerifyError, verify};

const IDENTITY: &str = "dev@test.invalid";
const ISSUER: &str = "http://127.0.0.1:25557";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/captures")
        .join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn trust() -> TrustedRoot {
    TrustedRoot::parse(&read("trusted_root.json")).unwrap()
}

fn policy(identity: &str, issuer: &str, content: ExpectedContent) -> Policy {
    let matcher = IdentityMatcher {
        subject: ValueMatcher::exact(identity).unwrap(),
        issuer: ValueMatcher::exact(issuer).unwrap(),
    };
    Policy::identities(vec![matcher], content).unwrap()
}

fn signature() -> ExpectedContent {
    ExpectedContent::Signature {
        annotations: BTreeMap::new(),
    }
}

fn code(result: Result<impl Sized, VerifyError>) -> &'static str {
    result.err().map_or("accepted", |e| e.code())
}

#[test]
fn blob_signatures_verify_and_their_neighbours_do_not() {
    let artifact = Artifact::from_digest(Digest::sha256(&read("blob/blob.bin")));
    let other = Artifact::from_digest(Digest::sha256(b"other"));
    for name in ["rekor1", "rekor1-tsa", "rekor2-tsa"] {
        let bundle = Bundle::parse(&read(&format!("blob/bundle.{name}.json"))).unwrap();
        let judge = |identity, issuer, artifact| {
            code(verify(
                &bundle,
                artifact,
                &trust(),
                &policy(identity, issuer, ExpectedContent::ArtifactSignature),
            ))
        };
        assert_eq!(judge(IDENTITY, ISSUER, &artifact), "accepted", "{name}");
        assert_eq!(
            judge("dev@test.invalie", ISSUER, &artifact),
            "identity-mismatch",
            "{name}"
        );
        assert_eq!(
            judge(IDENTITY, "http://127.0.0.1:25558", &artifact),
            "identity-mismatch",
            "{name}"
        );
        assert_eq!(
            judge(IDENTITY, ISSUER, &other),
            "artifact-mismatch",
            "{name}"
        );
    }
}

#[test]
fn image_signatures_verify_and_attestations_are_no_signatures() {
    let mut signatures = 0;
    let mut attestations = 0;
    for registry in ["referrers-api", "fallback-tag"] {
        for name in ["rekor1", "rekor1-tsa", "rekor2-tsa"] {
            let folder = format!("oci/{registry}/{name}");
            let artifact = Artifact::from_digest(Digest::sha256(&read(&format!(
                "{folder}/image.manifest.json"
            ))));
            for layer in ["sig0", "sig1"] {
                let file = format!("{folder}/{layer}.layer0.json");
                if !path(&file).exists() {
                    continue;
                }
                let bundle = Bundle::parse(&read(&file)).unwrap();
                let judge = |content| {
                    code(verify(
                        &bundle,
                        &artifact,
                        &trust(),
                        &policy(IDENTITY, ISSUER, content),
                    ))
                };
                assert_eq!(judge(ExpectedContent::Any), "accepted", "{file}");
                if layer == "sig0" {
                    signatures += 1;
                    assert_eq!(judge(signature()), "accepted", "{file}");
                } else {
                    attestations += 1;
                    assert_eq!(judge(signature()), "not-a-signature", "{file}");
                }
            }
        }
    }
    assert_eq!((signatures, attestations), (6, 4));
}

#[test]
fn written_bundles_read_back_the_same() {
    for file in [
        "blob/bundle.rekor1-tsa.json",
        "blob/bundle.rekor2-tsa.json",
        "blob/bundle.attest.rekor1.json",
    ] {
        let json = read(file);
        let bundle = Bundle::parse(&json).unwrap();
        let encoded = bundle.encode();
        assert_eq!(Bundle::parse(encoded.as_bytes()).unwrap(), bundle, "{file}");
        // Member for member what cosign wrote, apart from defaults that it writes and we leave out.
        let ours: serde_json::Value = serde_json::from_str(&encoded).unwrap();
        let theirs: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(
            ours["verificationMaterial"]["certificate"],
            theirs["verificationMaterial"]["certificate"]
        );
        assert_eq!(
            ours["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"],
            theirs["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"]
        );
        assert_eq!(
            ours["messageSignature"], theirs["messageSignature"],
            "{file}"
        );
        assert_eq!(
            ours["dsseEnvelope"]["payload"], theirs["dsseEnvelope"]["payload"],
            "{file}"
        );
    }
}

#[test]
fn recorded_answers_of_rekor_v2_are_log_entries() {
    for file in [
        "rekor2.blob.resp.json",
        "rekor2.dsse-image.resp.json",
        "rekor2.attest.resp.json",
    ] {
        let entry = parse_log_entry(&read(&format!("http/{file}"))).unwrap();
        assert_eq!(
            (entry.kind.as_str(), entry.version.as_str()),
            ("hashedrekord", "0.0.2")
        );
        assert_eq!(entry.integrated_time, None);
        assert_eq!(parse_log_entry(entry.encode().as_bytes()).unwrap(), entry);
    }
}
