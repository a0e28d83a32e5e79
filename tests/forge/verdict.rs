//! What a verdict tells of a bundle that passes: each fact is the one that was judged.

use keyless::crypto::{HashAlgorithm, UnixTime};
use keyless::format::bundle::BundleVersion;
use keyless::verify::signature::needed_hashes;
use keyless::verify::{Artifact, MatchedSigner, SignerEvidence, TimeSource, VerifiedBundle};

use crate::forge::{ARTIFACT, Forge, ISSUER, NOW, SUBJECT};

fn verified(forge: &Forge) -> VerifiedBundle {
    forge.make().verify().unwrap()
}

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

#[test]
fn entries() {
    let verdict = verified(&Forge::logged_twice());
    let [first, second] = verdict.entries() else {
        panic!("two entries");
    };
    assert_eq!(first.log_url(), "https://rekor1.test");
    assert_eq!(second.log_url(), "https://rekor2.test");
    let forge = Forge::logged_twice();
    let scene = forge.make();
    let verdict = scene.verify().unwrap();
    for (entry, log) in verdict.entries().iter().zip(&scene.trust.logs) {
        assert_eq!(entry.log_id(), log.log_id);
    }
    assert!(first.is_proven() && second.is_proven());
    // Under its promise the first log's index is over all shards; the second has one tree.
    assert_eq!((first.log_index(), second.log_index()), (1004, 4));
    assert_eq!(first.promised_time(), Some(at(NOW)));
    assert_eq!(second.promised_time(), None);
}

#[test]
fn an_index_that_nobody_promised_is_the_proofs() {
    let verdict = verified(&Forge::unpromised1());
    assert_eq!(verdict.entries()[0].log_index(), 4);
}

#[test]
fn an_entry_that_was_promised_and_not_proven() {
    let mut forge = Forge::blob1();
    forge.entries[0].proof = false;
    let mut scene = forge.make();
    scene.bundle.version = BundleVersion::V01;
    let verdict = scene.verify().unwrap();
    assert!(!verdict.entries()[0].is_proven());
    assert_eq!(verdict.entries()[0].log_index(), 1004);
}

#[test]
fn times() {
    let mut forge = Forge::stamped1();
    let verdict = verified(&forge);
    let times = verdict.times().unwrap();
    let promised = (at(NOW), TimeSource::LogPromise);
    let stamped = (at(NOW + 2), TimeSource::TimestampAuthority);
    assert_eq!(times.all(), [promised, stamped]);
    assert_eq!(times.earliest(), at(NOW));
    forge.tokens[0].time = NOW - 2;
    assert_eq!(verified(&forge).times().unwrap().earliest(), at(NOW - 2));
    let [timestamp] = verdict.timestamps() else {
        panic!("one timestamp");
    };
    assert_eq!(timestamp.authority(), "https://tsa.test");
    assert_eq!(timestamp.time(), at(NOW + 2));
    assert!(verified(&Forge::timeless_key2()).times().is_none());
    assert_eq!(verified(&Forge::key2()).times().unwrap().all(), [stamped]);
}

#[test]
fn signer_and_path() {
    let verdict = verified(&Forge::blob1());
    let MatchedSigner::Identity(identity) = verdict.signer() else {
        panic!("an identity");
    };
    assert_eq!(identity.subject, SUBJECT);
    assert_eq!(identity.issuer, ISSUER);
    assert_eq!(identity.claim("issuer"), Some(ISSUER));
    assert_eq!(identity.claim("build-trigger"), None);
    let SignerEvidence::Certificate(evidence) = verdict.signer_evidence() else {
        panic!("a certificate");
    };
    assert_eq!(evidence.chain().authority(), "https://ca.test");
    assert_eq!(evidence.chain().issuers().len(), 1);
    let promises = evidence.sct().checked().unwrap().promises();
    assert_eq!(promises, [("https://ct.test".to_owned(), at(NOW - 60))]);
    let evidence_twice = verified(&Forge::stamped1());
    let SignerEvidence::Certificate(evidence) = evidence_twice.signer_evidence() else {
        panic!("a certificate");
    };
    assert_eq!(evidence.chain().issuers().len(), 1, "one path at two times");
}

#[test]
fn content() {
    let verdict = verified(&Forge::envelope2());
    let [annotations] = verdict.annotations() else {
        panic!("one subject");
    };
    assert_eq!(annotations.get("env").map(String::as_str), Some("prod"));
    assert!(verdict.signature().statement().is_some());
    assert!(verdict.signature().payload_digest().is_some());
    let scene = Forge::blob1().make();
    let blob = scene.verify().unwrap();
    assert!(blob.annotations().is_empty());
    assert!(blob.signature().statement().is_none());
    let digest = HashAlgorithm::Sha256.digest(ARTIFACT);
    assert_eq!(*blob.signature().signed_digest(), digest);
    assert_eq!(*blob.artifact(), scene.artifact);
}

#[test]
fn which_hashes_an_artifact_needs() {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    use keyless::crypto::key::KeyKind;
    let blob = Forge::blob1().make().bundle.content;
    assert_eq!(needed_hashes(&blob, KeyKind::EcdsaP256), [Sha256]);
    assert_eq!(needed_hashes(&blob, KeyKind::Rsa), [Sha256]);
    assert_eq!(needed_hashes(&blob, KeyKind::EcdsaP384), [Sha256, Sha384]);
    assert_eq!(needed_hashes(&blob, KeyKind::Ed25519), [Sha256, Sha512]);
    let unhinted = Forge::unhinted2().make().bundle.content;
    assert_eq!(needed_hashes(&unhinted, KeyKind::Ed25519), [Sha512]);
    let envelope = Forge::envelope2().make().bundle.content;
    assert_eq!(needed_hashes(&envelope, KeyKind::EcdsaP384), [Sha256]);
    let mut forge = Forge::envelope2();
    let digests = |digests: &str| {
        format!(r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{digests}],"predicateType":"x"}}"#)
            .into_bytes()
    };
    let longer = hex::encode(Sha512.digest(ARTIFACT).as_bytes());
    let shorter = hex::encode(Sha256.digest(ARTIFACT).as_bytes());
    let both = format!(r#"{{"digest":{{"sha512":"{longer}","sha256":"{shorter}"}}}}"#);
    forge.set_payload(digests(&format!("{both},{both}")));
    let content = forge.make().bundle.content;
    assert_eq!(
        needed_hashes(&content, KeyKind::EcdsaP256),
        [Sha256, Sha512]
    );
    forge.set_payload(digests(""));
    let content = forge.make().bundle.content;
    assert_eq!(needed_hashes(&content, KeyKind::EcdsaP256), [Sha256]);
}

#[test]
fn an_artifact_has_a_digest() {
    assert!(Artifact::from_digests(Vec::new()).is_none());
    let digests = vec![HashAlgorithm::Sha512.digest(ARTIFACT)];
    let artifact = Artifact::from_digests(digests.clone()).unwrap();
    assert_eq!(artifact.digests(), digests);
}
