//! What cosign wrote against the real services, recorded in `fixtures/captures`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use keyless::crypto::merkle::{Hash, leaf_hash, root, verify_inclusion};
use keyless::crypto::{Certificate, Digest, PublicKey, SignatureMemo};
use keyless::diagnostic::Diagnostic;
use keyless::format::bundle::{Bundle, parse_log_entry};
use keyless::format::certificate_identity::CertificateIdentity;
use keyless::format::checkpoint::{Checkpoint, key_id};
use keyless::format::log_entry::LogBody;
use keyless::format::protojson::decode_base64;
use keyless::format::sct::embedded;
use keyless::format::tile::{entries_path, entry_in_bundle, proof_from_tiles};
use keyless::format::timestamp::TimestampResponse;
use keyless::trust::TrustedRoot;
use keyless::verify::policy::ValueMatcher;
use keyless::verify::timestamp::verify_timestamp;
use keyless::verify::{
    Artifact, ExpectedContent, IdentityMatcher, Policy, Verifier, VerifyError, verify,
};

#[path = "captures/older.rs"]
mod older;

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
    let matcher = IdentityMatcher::new(
        ValueMatcher::exact(identity).unwrap(),
        ValueMatcher::exact(issuer).unwrap(),
    );
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
        let text = entry.encode();
        assert_eq!(parse_log_entry(text.as_bytes()).unwrap(), entry);
        let with = |member: &str| text.replacen('{', &format!("{{{member},"), 1);
        let newer = with(r#""newer":[{"x":[]}]"#);
        assert_eq!(parse_log_entry(newer.as_bytes()).unwrap(), entry);
        let id = text.find(r#"{"keyId""#).unwrap();
        let list = format!("{}[{}", &text[..id], text[id + 9..].replacen('}', "]", 1));
        for bad in [
            with(r#""logIndex":"0""#),
            with(r#""newer":{"x":1,"x":2}"#),
            list,
        ] {
            let error = parse_log_entry(bad.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "bundle-malformed", "{bad}");
        }
    }
}

fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&read(name)).unwrap()
}

#[test]
fn the_recorded_v2_log_is_read_from_its_tiles() {
    let checkpoint =
        Checkpoint::parse(&String::from_utf8(read("rekor2/checkpoint")).unwrap()).unwrap();
    let size = checkpoint.tree_size;
    let (path, place) = entries_path(size - 1, size);
    assert_eq!(
        (path.as_str(), place as u64),
        ("tile/entries/000.p/10", size - 1)
    );
    let entries = read("rekor2/tile_entries_000.p_10");
    let bodies: Vec<&[u8]> = (0..size as usize)
        .map(|i| entry_in_bundle(&entries, i).unwrap())
        .collect();
    assert!(entry_in_bundle(&entries, bodies.len()).is_none());
    for body in &bodies {
        LogBody::parse("hashedrekord", "0.0.2", body).unwrap();
    }
    let leaves: Vec<Hash> = bodies.iter().map(|body| leaf_hash(body)).collect();
    assert_eq!(leaves.concat(), read("rekor2/tile_0_000.p_10"));
    assert_eq!(root(&leaves), checkpoint.root_hash);
    for index in 0..size {
        let proof = proof_from_tiles(index, size, |_| Some(leaves.clone())).unwrap();
        verify_inclusion(
            index,
            size,
            leaves[index as usize],
            &proof,
            &checkpoint.root_hash,
        )
        .unwrap();
    }
    let log = trust()
        .logs
        .into_iter()
        .find(|log| log.base_url.ends_with("25302"))
        .unwrap();
    let line = &checkpoint.signatures[0];
    assert_eq!(key_id(&line.name, &log.public_key).as_bytes(), log.log_id);
    assert!(line.verifies(&checkpoint.note, &log.public_key, &SignatureMemo::default()));
}

#[test]
fn the_recorded_v1_log_states_its_tree_under_its_key() {
    let key =
        PublicKey::from_pem(&String::from_utf8(read("rekor1/publicKey.pem")).unwrap()).unwrap();
    let info = json("rekor1/loginfo.json");
    let head = Checkpoint::parse(info["signedTreeHead"].as_str().unwrap()).unwrap();
    assert_eq!(head.tree_size, info["treeSize"].as_u64().unwrap());
    assert_eq!(
        hex::encode(head.root_hash),
        info["rootHash"].as_str().unwrap()
    );
    assert!(head.signatures.iter().any(|line| line.verifies(
        &head.note,
        &key,
        &SignatureMemo::default()
    )));
    let entry = json("rekor1/entry0.json");
    let entry = entry.as_object().unwrap().values().next().unwrap();
    let body = decode_base64(entry["body"].as_str().unwrap()).unwrap();
    let kind: serde_json::Value = serde_json::from_slice(&body).unwrap();
    LogBody::parse(
        kind["kind"].as_str().unwrap(),
        kind["apiVersion"].as_str().unwrap(),
        &body,
    )
    .unwrap();
}

#[test]
fn the_recorded_certificate_authority_and_timestamp_answer() {
    let answer = json("http/fulcio.blob.resp.json");
    let chain = &answer["signedCertificateEmbeddedSct"]["chain"]["certificates"];
    let pem: String = chain
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_str().unwrap())
        .collect();
    let chain = Certificate::chain_from_pem(&pem, 10).unwrap();
    let identity = CertificateIdentity::of(&chain[0]).unwrap();
    assert_eq!(
        (identity.subject.as_str(), identity.issuer.as_str()),
        (IDENTITY, ISSUER)
    );
    assert_eq!(embedded(&chain[0]).unwrap().len(), 1);
    for root in json("ct/get-roots.json")["certificates"]
        .as_array()
        .unwrap()
    {
        assert!(
            Certificate::from_der(&decode_base64(root.as_str().unwrap()).unwrap())
                .unwrap()
                .is_ca()
        );
    }
    let request = json("http/rekor2.blob.req.json");
    let signature = &request["hashedRekordRequestV002"]["signature"]["content"];
    let signature = decode_base64(signature.as_str().unwrap()).unwrap();
    let response = TimestampResponse::parse(&read("http/tsa.blob.resp.der")).unwrap();
    let verified = verify_timestamp(&response, &signature, &Verifier::new(&trust()));
    assert_eq!(verified.unwrap().unwrap().time(), response.time);
    assert_eq!(
        code(verify_timestamp(
            &response,
            b"another signature",
            &Verifier::new(&trust())
        )),
        "timestamp-imprint"
    );
}

/// A verdict is about one image; it publishes nothing to another. Nobody listens at the address.
#[test]
fn a_verdict_on_one_image_attaches_to_no_other() {
    use keyless::flow::publish;
    use keyless::flow::sign::SignedBundle;
    use keyless::format::oci::{Descriptor, OCI_MANIFEST};
    use keyless::host::registry_auth::RegistryAuth;
    use keyless::net::HttpClient;
    use keyless::net::registry::{DigestReference, RegistryClient, RegistryOptions};

    let folder = "oci/referrers-api/rekor1";
    let artifact = Artifact::from_digest(Digest::sha256(&read(&format!(
        "{folder}/image.manifest.json"
    ))));
    let json = String::from_utf8(read(&format!("{folder}/sig0.layer0.json"))).unwrap();
    let bundle = Bundle::parse(json.as_bytes()).unwrap();
    let verified = verify(
        &bundle,
        &artifact,
        &trust(),
        &policy(IDENTITY, ISSUER, signature()),
    )
    .unwrap();
    let other = Descriptor::of(OCI_MANIFEST, b"another image");
    let image = DigestReference::new("127.0.0.1:9/app".parse().unwrap(), other.digest);
    let registry = RegistryClient::new(
        HttpClient::new(),
        RegistryAuth::anonymous(),
        RegistryOptions::default(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let signed = SignedBundle {
        json,
        layer: None,
        verified,
    };
    let refused = runtime.block_on(publish::attach(&registry, &image, &other, &signed));
    assert_eq!(refused.unwrap_err().code(), "registry-digest-mismatch");
}
