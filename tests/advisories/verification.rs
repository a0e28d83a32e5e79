//! Log entries, times, timestamps and certificates: evidence that is genuine, but about something else.

use keyless::crypto::{PublicKey, TimeRange, UnixTime};
use keyless::trust::trusted_root::{CertificateAuthority, TimestampAuthority};
use keyless::verify::{SignerEvidence, Waiver};
use serde_json::{Value, json};

use crate::certificate::{CODE_SIGNING, Template};
use crate::forge::{ARTIFACT, Forge, LONG_AGO, NOW, Scene};
use crate::key::Key;
use crate::log::{Kind, Logged, base64};
use crate::scene::{PASSES, changed, code, foreign_entry, forged, leaf, rewritten};

/// Bundles of every log generation, and one of a managed key.
const BASES: [fn() -> Forge; 4] = [Forge::blob1, Forge::blob2, Forge::key1, Forge::key2];

fn verifier(scene: &Scene, key: &Key) -> (&'static str, Vec<u8>) {
    match scene.expected_key {
        Some(_) => ("PUBLIC KEY", key.spki()),
        None => ("CERTIFICATE", leaf(scene).der().to_vec()),
    }
}

/// Puts a genuine entry about another message, signature or signer in the place of the bundle's own.
#[track_caller]
fn refuses_entry_about(base: fn() -> Forge, about: impl FnOnce(&Forge, &Scene) -> LoggedOwned) {
    let forge = base();
    let mut scene = forge.make();
    assert_eq!(code(&scene), PASSES, "the base");
    let about = about(&forge, &scene);
    scene.bundle.log_entries[0] = foreign_entry(
        &forge,
        &Logged {
            message: &about.message,
            payload: &[],
            signature: &about.signature,
            verifier: (about.verifier.0, &about.verifier.1),
            hash: forge.key.hash(),
            key: &forge.key,
        },
    );
    assert_eq!(code(&scene), "log-entry-mismatch");
}

struct LoggedOwned {
    message: Vec<u8>,
    signature: Vec<u8>,
    verifier: (&'static str, Vec<u8>),
}

/// What another artifact was logged as, whole: digest and signature.
fn about_another_artifact(forge: &Forge, scene: &Scene) -> LoggedOwned {
    LoggedOwned {
        message: b"image B".to_vec(),
        signature: forge.key.sign(b"image B"),
        verifier: verifier(scene, &forge.key),
    }
}

/// The bundle's own signature, logged for another digest.
fn about_another_digest(forge: &Forge, scene: &Scene) -> LoggedOwned {
    LoggedOwned {
        message: b"image B".to_vec(),
        signature: scene.bundle.content.signature().to_vec(),
        verifier: verifier(scene, &forge.key),
    }
}

/// Signed anew: an ECDSA signature is never the same twice.
fn about_another_signature(forge: &Forge, scene: &Scene) -> LoggedOwned {
    LoggedOwned {
        message: ARTIFACT.to_vec(),
        signature: forge.key.sign(ARTIFACT),
        verifier: verifier(scene, &forge.key),
    }
}

/// The bundle's own signature, logged for another key.
fn about_another_key(forge: &Forge, scene: &Scene) -> LoggedOwned {
    LoggedOwned {
        message: ARTIFACT.to_vec(),
        signature: scene.bundle.content.signature().to_vec(),
        verifier: ("PUBLIC KEY", forge.stranger.spki()),
    }
}

/// Takes promise, time and index from a genuine entry about another signature, of the same log.
fn splice_promise(forge: &Forge, scene: &mut Scene) {
    let mut other = forge.entries[0].clone();
    other.place += 1;
    other.integrated_time = Some(NOW + 5);
    let foreign = other.issue(&Logged {
        message: b"image B",
        payload: &[],
        signature: &forge.key.sign(b"image B"),
        verifier: ("CERTIFICATE", leaf(scene).der()),
        hash: forge.key.hash(),
        key: &forge.key,
    });
    let entry = &mut scene.bundle.log_entries[0];
    entry.inclusion_promise = foreign.inclusion_promise;
    entry.integrated_time = foreign.integrated_time;
    entry.log_index = foreign.log_index;
}

#[test]
fn cve_2022_23649_promise_of_another_signature() {
    let forge = Forge::blob1();
    let mut scene = forge.make();
    splice_promise(&forge, &mut scene);
    assert_eq!(code(&scene), "log-promise-invalid");
    // Whole: promise and body of the other signature.
    refuses_entry_about(Forge::blob1, about_another_signature);
}

#[test]
fn cve_2022_36056_foreign_log_entry() {
    refuses_entry_about(Forge::blob1, about_another_artifact);
    refuses_entry_about(Forge::blob1, about_another_digest);
    refuses_entry_about(Forge::blob1, about_another_signature);
}

#[test]
fn cve_2022_36056_identity_beside_a_bundle() {
    forged(
        Forge::blob1,
        |forge| forge.leaf.names = vec![Template::email("release@example.test.evil")],
        "identity-mismatch",
    );
    changed(
        Forge::blob1,
        |scene| {
            let other = keyless::verify::policy::ValueMatcher::exact("https://other.test");
            scene.issuer = other.unwrap();
        },
        "identity-mismatch",
    );
}

#[test]
fn cve_2022_36056_corrupt_promise() {
    for place in [0, 8, 40] {
        changed(
            Forge::blob1,
            |scene| {
                let promise = &mut scene.bundle.log_entries[0].inclusion_promise;
                promise.as_mut().unwrap()[place] ^= 1;
            },
            "log-promise-invalid",
        );
    }
}

#[test]
fn cve_2022_36056_garbage_entry() {
    for (body, expected) in [
        (&b"garbage"[..], "log-body-malformed"),
        (b"", "log-body-malformed"),
        (b"{}", "log-body-malformed"),
        (b"null", "log-body-malformed"),
    ] {
        changed(
            Forge::blob1,
            |scene| scene.bundle.log_entries[0].canonicalized_body = body.to_vec(),
            expected,
        );
    }
}

#[test]
fn cve_2026_22703_entry_about_another_artifact_key_or_signature() {
    for base in BASES {
        refuses_entry_about(base, about_another_artifact);
        refuses_entry_about(base, about_another_digest);
        refuses_entry_about(base, about_another_signature);
        refuses_entry_about(base, about_another_key);
    }
}

#[test]
fn cve_2026_24122_expired_intermediate() {
    // Where the log is left out, the timestamp's time still judges the whole chain.
    let mut forge = Forge::blob2();
    for (not_after, expected) in [(NOW + 1000, PASSES), (NOW - 1, "certificate-not-valid-at")] {
        forge.intermediate.not_after = not_after;
        let mut scene = forge.make();
        scene.waivers = vec![Waiver::TransparencyLog];
        assert_eq!(code(&scene), expected);
    }
    for base in [Forge::blob1, Forge::blob2, Forge::envelope1] {
        forged(
            base,
            |forge| forge.intermediate.not_after = NOW - 1,
            "certificate-not-valid-at",
        );
        forged(
            base,
            |forge| forge.root.not_after = NOW - 1,
            "certificate-not-valid-at",
        );
    }
}

/// What panicked or passed in releases of cosign, by its changelog: parts of a bundle that are JSON, and
/// not what is expected.
#[test]
fn cosign_3_0_5_to_3_1_malformed_parts_are_refused() {
    let null = |pointer: &'static str, body: &mut Value| {
        if let Some(value) = body.pointer_mut(pointer) {
            *value = Value::Null;
        }
    };
    for pointer in [
        "",
        "/spec",
        "/spec/data",
        "/spec/data/hash",
        "/spec/signature",
        "/spec/signature/publicKey",
        "/spec/signature/publicKey/content",
    ] {
        let forge = Forge::blob1();
        let mut scene = forge.make();
        let entry = &mut scene.bundle.log_entries[0];
        let mut body: Value = serde_json::from_slice(&entry.canonicalized_body).unwrap();
        null(pointer, &mut body);
        entry.canonicalized_body = body.to_string().into_bytes();
        assert_eq!(code(&scene), "log-body-malformed", "{pointer:?}");
    }
    for pointer in [
        "/verificationMaterial",
        "/verificationMaterial/certificate",
        "/verificationMaterial/certificate/rawBytes",
        "/verificationMaterial/tlogEntries",
        "/verificationMaterial/tlogEntries/0/logId",
        "/verificationMaterial/tlogEntries/0/kindVersion",
        "/verificationMaterial/tlogEntries/0/canonicalizedBody",
        "/verificationMaterial/tlogEntries/0/inclusionProof",
        "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint",
        "/messageSignature",
        "/messageSignature/signature",
    ] {
        let scene = Forge::blob2().make();
        let mut json: Value = serde_json::from_str(&scene.bundle.encode()).unwrap();
        null(pointer, &mut json);
        let found = crate::scene::code_of_json(&json.to_string(), &scene);
        assert!(found.starts_with("bundle-"), "{pointer}: {found}");
    }
    // A timestamp that is none was not looked at.
    forged(
        Forge::stamped1,
        |forge| forge.tokens[0].signer = forge.stranger.clone(),
        "timestamp-invalid",
    );
    changed(
        Forge::stamped1,
        |scene| scene.bundle.timestamps[0] = b"no timestamp".to_vec(),
        "timestamp-malformed",
    );
}

#[test]
fn cve_2026_49834_one_log_counts_once() {
    let two = std::num::NonZeroUsize::new(2).unwrap();
    // Two leaves of one log, both about the signature; then of two logs.
    for (base, expected) in [
        (Forge::blob2 as fn() -> Forge, "log-threshold"),
        (Forge::logged_twice, PASSES),
    ] {
        let mut forge = base();
        if expected != PASSES {
            let mut older = forge.entries[0].clone();
            older.kind = Kind::Hashedrekord1;
            older.place += 1;
            forge.entries.push(older);
        }
        let mut scene = forge.make();
        assert_eq!(scene.verify().unwrap().entries().len(), 2);
        scene.thresholds.log = two;
        assert_eq!(code(&scene), expected);
    }
    // One leaf under another index, which nobody promised, is one entry.
    let mut scene = Forge::unpromised1().make();
    let mut again = scene.bundle.log_entries[0].clone();
    again.log_index += 1;
    scene.bundle.log_entries.push(again);
    assert_eq!(code(&scene), "log-entry-repeated");
    // Two timestamps of one authority, and two promises of one CT log.
    let mut forge = Forge::blob2();
    let mut second = forge.tokens[0].clone();
    second.time += 1;
    forge.tokens.push(second);
    let mut second = forge.scts[0].clone();
    second.time += 1000;
    forge.scts.push(second);
    let scene = forge.make();
    let verified = scene.verify().unwrap();
    let SignerEvidence::Certificate(evidence) = verified.signer_evidence() else {
        panic!("signed with a certificate");
    };
    let promised = evidence.sct().checked().unwrap();
    assert_eq!(promised.promises().len(), 1, "what outputs tell");
    let mut asking = scene.clone();
    asking.thresholds.timestamp = 2;
    assert_eq!(code(&asking), "timestamp-threshold");
    let mut asking = scene;
    asking.thresholds.sct = two;
    assert_eq!(code(&asking), "sct-threshold");
}

#[test]
fn sigstore_go_611_635_digest_and_leaf_of_the_entry() {
    for base in [Forge::blob1, Forge::blob2] {
        refuses_entry_about(base, about_another_digest);
    }
    // The proof is of another leaf than the body.
    changed(
        Forge::blob2,
        |scene| scene.bundle.log_entries[0].canonicalized_body.push(b'\n'),
        "inclusion-proof-invalid",
    );
}

#[test]
fn ghsa_hhfg_fwrw_87w7_integrated_time_that_nobody_signed() {
    // A v2 entry has no promise: whatever time is written beside it is nobody's word.
    forged(
        Forge::blob2,
        |forge| {
            forge.tokens.clear();
            forge.entries[0].integrated_time = Some(NOW);
        },
        "no-trusted-time",
    );
    // A promised time after the certificate's end.
    forged(
        Forge::blob1,
        |forge| forge.entries[0].integrated_time = Some(NOW + 100_000),
        "certificate-not-valid-at",
    );
}

#[test]
fn js_f074710_ruby_307_integrated_time_without_promise() {
    let forge = Forge::blob1();
    let mut scene = forge.make();
    scene.bundle.log_entries[0].inclusion_promise = None;
    assert_eq!(scene.bundle.log_entries[0].integrated_time, Some(NOW));
    assert!(scene.bundle.log_entries[0].inclusion_proof.is_some());
    assert_eq!(code(&scene), "no-trusted-time");
}

#[test]
fn tob_sigstore_2_backdated_integrated_time() {
    for time in [NOW - 30, NOW + 30] {
        changed(
            Forge::blob1,
            |scene| scene.bundle.log_entries[0].integrated_time = Some(time),
            "log-promise-invalid",
        );
    }
    // Nor is it believed where the log is left out.
    changed(
        Forge::stamped1,
        |scene| scene.waivers = vec![Waiver::TransparencyLog],
        PASSES,
    );
    changed(
        Forge::blob1,
        |scene| scene.waivers = vec![Waiver::TransparencyLog],
        "no-trusted-time",
    );
    // Neither does it help a certificate that had run out at the timestamp.
    forged(
        Forge::stamped1,
        |forge| forge.tokens[0].time = NOW + 541,
        "certificate-not-valid-at",
    );
}

#[test]
fn tob_sigstore_3_spliced_promise() {
    let forge = Forge::blob1();
    let mut scene = forge.make();
    assert_eq!(code(&scene), PASSES);
    splice_promise(&forge, &mut scene);
    assert_eq!(code(&scene), "log-promise-invalid");
}

#[test]
fn tob_sigstore_4_every_timestamp_must_fit() {
    for late_first in [false, true] {
        forged(
            Forge::blob2,
            |forge| {
                let mut late = forge.tokens[0].clone();
                late.time = NOW + 541;
                forge.tokens.insert(usize::from(!late_first), late);
            },
            "certificate-not-valid-at",
        );
    }
}

#[test]
fn tob_sigstore_7_no_skew() {
    for (time, expected) in [
        (NOW - 61, "certificate-not-valid-at"),
        (NOW - 60, PASSES),
        (NOW + 540, PASSES),
        (NOW + 541, "certificate-not-valid-at"),
        (NOW + 570, "certificate-not-valid-at"),
    ] {
        forged(
            Forge::blob1,
            |forge| forge.entries[0].integrated_time = Some(time),
            expected,
        );
        forged(Forge::blob2, |forge| forge.tokens[0].time = time, expected);
    }
}

fn until(scene: &mut Scene, seconds: i64) {
    let authority = &mut scene.trust.timestamp_authorities[0];
    authority.valid_for.end = Some(UnixTime::from_seconds(seconds));
}

fn unlimited() -> TimeRange {
    TimeRange {
        start: UnixTime::from_seconds(LONG_AGO),
        end: None,
    }
}

#[test]
fn tob_sigstore_11_no_time_window_of_another_authority() {
    for (alone, first) in [(true, false), (true, true), (false, false), (false, true)] {
        let forge = Forge::stamped1();
        let mut scene = forge.make();
        assert_eq!(code(&scene), PASSES, "the base");
        until(&mut scene, NOW + 1);
        // Another signer, by itself or under the same root.
        let leaf = Template {
            subject: "other-tsa.test",
            serial: 12,
            key: forge.stranger.clone(),
            ..forge.tsa.clone()
        };
        let covering = TimestampAuthority {
            uri: "https://other-tsa.test".to_owned(),
            leaf: leaf.issue(),
            issuers: match alone {
                true => Vec::new(),
                false => vec![forge.tsa_root.issue()],
            },
            valid_for: unlimited(),
            operator: None,
        };
        let authorities = &mut scene.trust.timestamp_authorities;
        authorities.insert(usize::from(!first), covering);
        assert_eq!(code(&scene), "timestamp-authority-not-valid-at");
    }
}

#[test]
fn rust_43a6a67_issuer_of_an_sct_by_its_key() {
    /// Lists another authority whose certificate has the same name, but another key.
    fn twin(forge: &Forge, scene: &mut Scene) {
        let twin = Template {
            key: forge.stranger.clone(),
            ..forge.intermediate.clone()
        };
        scene.trust.certificate_authorities.insert(
            0,
            CertificateAuthority {
                uri: "https://twin.test".to_owned(),
                chain: vec![twin.issue(), forge.root.issue()],
                valid_for: unlimited(),
                operator: None,
            },
        );
    }
    let forge = Forge::blob1();
    let mut scene = forge.make();
    twin(&forge, &mut scene);
    assert_eq!(code(&scene), PASSES);
    // A promise over what the twin would have issued.
    let mut forge = Forge::blob1();
    forge.scts[0].issuer = forge.stranger.clone();
    let mut scene = forge.make();
    twin(&forge, &mut scene);
    assert_eq!(code(&scene), "sct-untrusted");
}

#[test]
fn jans_14636_an_older_media_type_drops_no_evidence() {
    const V01: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";
    fn older(json: &mut Value) {
        json["mediaType"] = json!(V01);
        let material = json["verificationMaterial"].as_object_mut().unwrap();
        let certificate = material.remove("certificate").unwrap();
        let chain = json!({ "certificates": [certificate] });
        material.insert("x509CertificateChain".to_owned(), chain);
        let entry = &mut material["tlogEntries"][0];
        entry.as_object_mut().unwrap().remove("inclusionProof");
    }
    // A v2 entry has nothing but its proof.
    rewritten(Forge::blob2, older, "bundle-invalid");
    // A v1 entry's promise is the log's word by itself, as in every v0.1 bundle. It must be there and hold,
    // and no proof is claimed.
    let scene = Forge::blob1().make();
    let mut json: Value = serde_json::from_str(&scene.bundle.encode()).unwrap();
    older(&mut json);
    let mut downgraded = Forge::blob1().make();
    downgraded.trust = scene.trust.clone();
    downgraded.bundle =
        keyless::format::bundle::Bundle::parse(json.to_string().as_bytes()).unwrap();
    let verified = downgraded.verify().unwrap();
    assert!(!verified.entries()[0].is_proven());
    rewritten(
        Forge::blob1,
        |json| {
            older(json);
            let entry = &mut json["verificationMaterial"]["tlogEntries"][0];
            entry["inclusionPromise"]["signedEntryTimestamp"] = json!(base64(&[0; 70]));
        },
        "log-promise-invalid",
    );
    rewritten(
        Forge::blob1,
        |json| {
            older(json);
            let entry = &mut json["verificationMaterial"]["tlogEntries"][0];
            entry.as_object_mut().unwrap().remove("inclusionPromise");
        },
        "bundle-invalid",
    );
}

/// A certificate like the timestamp signer's, under the forger's own key.
fn lookalike(forge: &Forge) -> Template {
    Template {
        key: forge.stranger.clone(),
        signer: forge.stranger.clone(),
        ..forge.tsa.clone()
    }
}

#[test]
fn cve_2026_39984_the_checks_are_on_the_signer() {
    // A stranger's certificate before the signer's changes nothing.
    forged(
        Forge::blob2,
        |forge| forge.tokens[0].before_signer = vec![lookalike(forge).der()],
        PASSES,
    );
    // It lends the real signer no extended key usage.
    forged(
        Forge::blob2,
        |forge| {
            forge.tokens[0].before_signer = vec![lookalike(forge).der()];
            forge.tsa.extended_key_usage = Some((true, vec![CODE_SIGNING]));
        },
        "timestamp-certificate",
    );
    // And its key signs nothing.
    forged(
        Forge::blob2,
        |forge| {
            forge.tokens[0].before_signer = vec![lookalike(forge).der()];
            forge.tokens[0].signer = forge.stranger.clone();
        },
        "timestamp-invalid",
    );
}

#[test]
fn tob_sigstore_6_key_type_confusion() {
    let p256 = Key::p256();
    let ed25519 = Key::ed25519();
    assert!(PublicKey::from_spki_der(&p256.spki()).is_ok());
    assert!(PublicKey::from_spki_der(&ed25519.spki()).is_ok());
    // Keys without the frame that says what they are.
    assert!(PublicKey::from_spki_der(&p256.raw()).is_err());
    assert!(PublicKey::from_spki_der(&ed25519.raw()).is_err());
    // The frame of one curve around the point of another, and one kind's frame around another's key.
    let (p256_frame, ed25519_frame) = (&p256.spki()[..26], &ed25519.spki()[..12]);
    let p384_point = [&[4][..], &[7; 96]].concat();
    for (frame, raw) in [
        (p256_frame, p384_point),
        (p256_frame, ed25519.raw()),
        (ed25519_frame, p256.raw()),
    ] {
        assert!(PublicKey::from_spki_der(&[frame, &raw].concat()).is_err());
    }
    // A signature algorithm that is not the key's.
    forged(
        Forge::blob1,
        |forge| forge.scts[0].algorithm = Some(1),
        "sct-untrusted",
    );
    // Ed25519 over a file is not Ed25519ph over its digest, the only one of the two that signs files.
    forged(
        Forge::key1,
        |forge| forge.key = Key::ed25519(),
        "signature-invalid",
    );
}
