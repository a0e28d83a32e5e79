//! A forge: everything that goes into a bundle and the trust around it, each part settable; and a scene,
//! what comes out of it.

use std::collections::BTreeMap;

use keyless::crypto::{Certificate, Digest, HashAlgorithm, PublicKey, TimeRange, UnixTime};
use keyless::format::bundle::{Bundle, BundleVersion, Content, KeyMaterial};
use keyless::format::dsse::Envelope;
use keyless::trust::TrustedRoot;
use keyless::trust::trusted_root::{CertificateAuthority, TimestampAuthority};
use keyless::verify::policy::{ClaimMatcher, ValueMatcher};
use keyless::verify::{
    Artifact, ExpectedContent, Explanation, IdentityMatcher, Policy, Thresholds, VerifiedBundle,
    Verifier, VerifyError, Waiver, verify,
};

use crate::asn1::utf8;
use crate::certificate::{
    CERT_AND_CRL_SIGN, CODE_SIGNING, DIGITAL_SIGNATURE, Sct, TIME_STAMPING, Template,
};
use crate::key::{Key, sha256};
use crate::log::{Entry, Kind, Log, Logged, Rekor, base64};
use crate::token::Token;

/// When everything is signed, in seconds.
pub const NOW: i64 = 1_700_000_000;
/// Since when every authority and log is trusted.
pub const LONG_AGO: i64 = NOW - 10_000_000;
const LATER: i64 = NOW + 10_000_000;

pub const SUBJECT: &str = "release@example.test";
pub const ISSUER: &str = "https://issuer.example.test";
/// Extension that names the issuer as a UTF8String.
pub const ISSUER_V2: &str = "1.3.6.1.4.1.57264.1.8";
/// Extension that names the issuer without a frame.
pub const ISSUER_V1: &str = "1.3.6.1.4.1.57264.1.1";
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
pub const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// What the artifact is.
pub const ARTIFACT: &[u8] = b"image A";
/// What it is not.
pub const OTHER_ARTIFACT: &[u8] = b"image B";

/// What is signed.
#[derive(Clone)]
pub enum Signed {
    Blob,
    Envelope {
        payload_type: String,
        payload: Vec<u8>,
    },
}

/// A statement with subjects given as digest and annotations, both JSON.
pub fn statement(predicate_type: &str, subjects: &[(&[u8], &str)]) -> Vec<u8> {
    let subjects: Vec<_> = subjects
        .iter()
        .map(|(artifact, annotations)| {
            let digest = hex::encode(sha256(artifact));
            format!(
                r#"{{"name":"image","digest":{{"sha256":"{digest}"}},"annotations":{annotations}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{}],"predicateType":"{predicate_type}","predicate":{{}}}}"#,
        subjects.join(",")
    )
    .into_bytes()
}

#[derive(Clone)]
pub struct Forge {
    /// What a blob's signature is about.
    pub artifact: &'static [u8],
    pub signed: Signed,
    /// Whether a blob's bundle carries the digest.
    pub hinted: bool,
    /// The signer's key.
    pub key: Key,
    /// Changes the signature before it is stamped and logged.
    pub reshape: fn(Vec<u8>) -> Vec<u8>,
    /// Signed with the key alone, without a certificate.
    pub managed: bool,
    pub root: Template,
    pub intermediate: Template,
    pub leaf: Template,
    /// Makes the TBSCertificate of the signer's certificate, given a list of SCTs or none.
    pub leaf_tbs: fn(&Template, Option<&[u8]>) -> Vec<u8>,
    /// Makes the signer's certificate around it.
    pub leaf_signed: fn(&Template, Vec<u8>) -> Vec<u8>,
    pub ct: Key,
    pub scts: Vec<Sct>,
    pub rekor1: Log,
    pub rekor2: Log,
    pub entries: Vec<Entry>,
    pub tsa_root: Template,
    pub tsa: Template,
    /// The trusted root lists the timestamp signer's certificate alone.
    pub tsa_alone: bool,
    pub tokens: Vec<Token>,
    /// A key that nobody trusts.
    pub stranger: Key,
}

/// A finished bundle with what it is judged against.
#[derive(Clone)]
pub struct Scene {
    pub bundle: Bundle,
    pub artifact: Artifact,
    pub trust: TrustedRoot,
    /// Who is asked for: a key, or else an identity.
    pub expected_key: Option<PublicKey>,
    pub subject: ValueMatcher,
    pub issuer: ValueMatcher,
    pub content: ExpectedContent,
    /// The signer's key.
    pub key: PublicKey,
    /// The signer's certificate where this program does not read it; the bundle holds another one then.
    pub unread_leaf: Option<Vec<u8>>,
    pub claims: Vec<ClaimMatcher>,
    pub thresholds: Thresholds,
    pub waivers: Vec<Waiver>,
}

impl Scene {
    pub fn policy(&self) -> Policy {
        let content = self.content.clone();
        let policy = match &self.expected_key {
            Some(key) => Policy::key(key.clone(), content),
            None => {
                let matcher = IdentityMatcher::new(self.subject.clone(), self.issuer.clone())
                    .with_claims(self.claims.clone());
                Policy::identities(vec![matcher], content).unwrap()
            }
        };
        let policy = policy.with_thresholds(self.thresholds);
        self.waivers
            .iter()
            .fold(policy, |policy, waiver| policy.waive(*waiver))
    }

    pub fn verify(&self) -> Result<VerifiedBundle, VerifyError> {
        let policy = self.policy();
        verify(&self.bundle, &self.artifact, &self.trust, &policy)
    }

    /// Verifies, and returns what is told of it.
    pub fn explain(&self) -> (Result<VerifiedBundle, VerifyError>, Explanation) {
        Verifier::new(&self.trust).explain(&self.bundle, &self.artifact, &self.policy())
    }

    /// Asks for an annotation.
    pub fn ask(&mut self, key: &str, value: &str) {
        let annotations = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        self.content = ExpectedContent::Signature { annotations };
    }
}

fn authority(subject: &'static str, issuer: &'static str, key: &Key, signer: &Key) -> Template {
    Template {
        issuer,
        issuer_name: None,
        subject,
        serial: 7,
        key: key.clone(),
        signer: signer.clone(),
        not_before: LONG_AGO,
        not_after: LATER,
        basic_constraints: Some((true, None)),
        key_usage: Some(CERT_AND_CRL_SIGN),
        extended_key_usage: None,
        names: Vec::new(),
        generalized: false,
        more: Vec::new(),
    }
}

fn since_long_ago() -> TimeRange {
    TimeRange {
        start: UnixTime::from_seconds(LONG_AGO),
        end: None,
    }
}

impl Forge {
    /// Everything right, but nothing logged or stamped yet.
    fn new(signed: Signed) -> Self {
        let (root_key, ca_key, key, ct) = (Key::p256(), Key::p256(), Key::p256(), Key::p256());
        let (tsa_root_key, tsa_key) = (Key::p256(), Key::p256());
        let root = Template {
            basic_constraints: Some((true, Some(1))),
            ..authority("root.test", "root.test", &root_key, &root_key)
        };
        let intermediate = Template {
            basic_constraints: Some((true, Some(0))),
            extended_key_usage: Some((false, vec![CODE_SIGNING])),
            ..authority("ca.test", "root.test", &ca_key, &root_key)
        };
        let leaf = Template {
            serial: 9,
            not_before: NOW - 60,
            not_after: NOW + 540,
            basic_constraints: None,
            key_usage: Some(DIGITAL_SIGNATURE),
            extended_key_usage: Some((false, vec![CODE_SIGNING])),
            names: vec![Template::email(SUBJECT)],
            more: vec![
                (ISSUER_V1, false, ISSUER.as_bytes().to_vec()),
                (ISSUER_V2, false, utf8(ISSUER)),
            ],
            ..authority("", "ca.test", &key, &ca_key)
        };
        let tsa_root = authority(
            "tsa-root.test",
            "tsa-root.test",
            &tsa_root_key,
            &tsa_root_key,
        );
        let tsa = Template {
            serial: 11,
            basic_constraints: None,
            key_usage: Some(DIGITAL_SIGNATURE),
            extended_key_usage: Some((true, vec![TIME_STAMPING])),
            ..authority("tsa.test", "tsa-root.test", &tsa_key, &tsa_root_key)
        };
        let sct = Sct {
            log: ct.clone(),
            signer: ct.clone(),
            issuer: ca_key,
            time: (NOW - 60).unsigned_abs() * 1000,
            time_shift: 0,
            algorithm: None,
            extensions: Vec::new(),
        };
        Forge {
            artifact: ARTIFACT,
            signed,
            hinted: true,
            key,
            reshape: |signature| signature,
            managed: false,
            root,
            intermediate,
            leaf,
            leaf_tbs: Template::tbs,
            leaf_signed: Template::signed,
            ct,
            scts: vec![sct],
            rekor1: Log {
                rekor: Rekor::V1,
                name: "rekor1.test",
                key: Key::p256(),
            },
            rekor2: Log {
                rekor: Rekor::V2,
                name: "rekor2.test",
                key: Key::ed25519(),
            },
            entries: Vec::new(),
            tsa_root,
            tsa,
            tsa_alone: false,
            tokens: Vec::new(),
            stranger: Key::p256(),
        }
    }

    fn envelope() -> Signed {
        Signed::Envelope {
            payload_type: IN_TOTO.to_owned(),
            payload: statement(COSIGN_SIGN, &[(ARTIFACT, r#"{"env":"prod"}"#)]),
        }
    }

    fn logged(mut self, rekor: Rekor, kind: Kind) -> Self {
        let log = match rekor {
            Rekor::V1 => &self.rekor1,
            Rekor::V2 => &self.rekor2,
        };
        self.entries.push(Entry::new(log, kind, NOW));
        self
    }

    /// Adds a timestamp.
    pub fn stamped(mut self) -> Self {
        self.tokens.push(Token::new(&self.tsa.key, NOW + 2));
        self
    }

    fn by_key(mut self) -> Self {
        self.managed = true;
        self
    }

    /// Rekor v1, `hashedrekord`, promise and proof.
    pub fn blob1() -> Self {
        Forge::new(Signed::Blob).logged(Rekor::V1, Kind::Hashedrekord1)
    }

    /// Rekor v1, `dsse`.
    pub fn envelope1() -> Self {
        Forge::new(Forge::envelope()).logged(Rekor::V1, Kind::Dsse1)
    }

    /// Rekor v1, `intoto`.
    pub fn intoto1() -> Self {
        Forge::new(Forge::envelope()).logged(Rekor::V1, Kind::Intoto)
    }

    /// Rekor v2, `dsse`, with a timestamp.
    pub fn dsse2() -> Self {
        Forge::new(Forge::envelope())
            .logged(Rekor::V2, Kind::Dsse2)
            .stamped()
    }

    /// Rekor v2 with a timestamp.
    pub fn blob2() -> Self {
        Forge::new(Signed::Blob)
            .logged(Rekor::V2, Kind::Hashedrekord2)
            .stamped()
    }

    /// Rekor v2 with a timestamp; the bundle does not carry the blob's digest.
    pub fn unhinted2() -> Self {
        let mut forge = Forge::blob2();
        forge.hinted = false;
        forge
    }

    /// Rekor v2 over a pre-authentication encoding, with a timestamp.
    pub fn envelope2() -> Self {
        Forge::new(Forge::envelope())
            .logged(Rekor::V2, Kind::Hashedrekord2)
            .stamped()
    }

    /// Rekor v1 and a timestamp: two observed times.
    pub fn stamped1() -> Self {
        Forge::blob1().stamped()
    }

    /// Rekor v1 and a timestamp, whose signer is listed as its own anchor.
    pub fn stamped_by_anchor() -> Self {
        let mut forge = Forge::stamped1();
        forge.tsa_alone = true;
        forge
    }

    /// Rekor v1 with a promise, and Rekor v2; no timestamp.
    pub fn logged_twice() -> Self {
        Forge::blob1().logged(Rekor::V2, Kind::Hashedrekord2)
    }

    /// A managed key in Rekor v1.
    pub fn key1() -> Self {
        Forge::blob1().by_key()
    }

    /// A managed key in Rekor v2, with a timestamp.
    pub fn key2() -> Self {
        Forge::blob2().by_key()
    }

    /// A managed key in Rekor v2, with nobody to vouch for a time.
    pub fn timeless_key2() -> Self {
        let mut forge = Forge::key2();
        forge.tokens.clear();
        forge
    }

    /// Rekor v2 with an ECDSA key, whose id does not depend on the log's name; with a timestamp.
    pub fn blob2_ecdsa() -> Self {
        let mut forge = Forge::new(Signed::Blob);
        forge.rekor2.key = Key::p256();
        forge.logged(Rekor::V2, Kind::Hashedrekord2).stamped()
    }

    /// Rekor v2 with an entry of the older kind, with a timestamp.
    pub fn older_kind2() -> Self {
        Forge::new(Signed::Blob)
            .logged(Rekor::V2, Kind::Hashedrekord1)
            .stamped()
    }

    /// Rekor v1 that makes no promise, with a timestamp.
    pub fn unpromised1() -> Self {
        let mut forge = Forge::stamped1();
        forge.entries[0].promise = false;
        forge
    }

    /// A managed key over an envelope in Rekor v1.
    pub fn key_envelope1() -> Self {
        Forge::envelope1().by_key()
    }

    /// The same authorities at work again: another ephemeral key, another artifact.
    pub fn sibling(&self) -> Self {
        let mut forge = self.clone();
        forge.artifact = OTHER_ARTIFACT;
        if let Signed::Envelope { .. } = &forge.signed {
            forge.set_payload(statement(COSIGN_SIGN, &[(OTHER_ARTIFACT, "{}")]));
        }
        if !self.managed {
            forge.key = Key::p256();
            forge.leaf.key = forge.key.clone();
        }
        forge.leaf.serial += 1;
        for entry in &mut forge.entries {
            entry.place += 1;
        }
        for token in &mut forge.tokens {
            token.serial += 1;
        }
        forge
    }

    /// Replaces the payload.
    pub fn set_payload(&mut self, new: Vec<u8>) {
        if let Signed::Envelope { payload, .. } = &mut self.signed {
            *payload = new;
        }
    }

    /// Makes the bundle and what it is judged against.
    pub fn make(&self) -> Scene {
        let (message, payload) = match &self.signed {
            Signed::Blob => (self.artifact.to_vec(), Vec::new()),
            Signed::Envelope {
                payload_type,
                payload,
            } => {
                let (type_len, len) = (payload_type.len(), payload.len());
                let head = format!("DSSEv1 {type_len} {payload_type} {len} ");
                ([head.as_bytes(), payload].concat(), payload.clone())
            }
        };
        let signature = (self.reshape)(self.key.sign(&message));
        let list = Sct::list(&self.scts, &(self.leaf_tbs)(&self.leaf, None));
        let list = (!self.scts.is_empty()).then_some(&list[..]);
        let leaf_der = (self.leaf_signed)(&self.leaf, (self.leaf_tbs)(&self.leaf, list));
        let read = Certificate::from_der(&leaf_der);
        let unread_leaf = read.is_err().then(|| leaf_der.clone());
        let leaf = read.unwrap_or_else(|_| Forge::blob1().leaf.issue());
        let spki = self.key.spki();
        let verifier = match self.managed {
            true => ("PUBLIC KEY", spki.as_slice()),
            false => ("CERTIFICATE", leaf_der.as_slice()),
        };
        let logged = Logged {
            key: &self.key,
            hash: self.key.hash(),
            message: &message,
            payload: &payload,
            signature: &signature,
            verifier,
        };
        let tsa = self.tsa.issue();
        let timestamps = self
            .tokens
            .iter()
            .map(|token| token.issue(&signature, &self.tsa, &tsa))
            .collect();
        let log_entries = self.entries.iter().map(|e| e.issue(&logged)).collect();
        let content = match &self.signed {
            Signed::Blob => Content::MessageSignature {
                digest: self.hinted.then(|| self.key.hash().digest(self.artifact)),
                signature,
            },
            Signed::Envelope { payload_type, .. } => Content::DsseEnvelope(Envelope {
                payload_type: payload_type.clone(),
                payload: payload.into(),
                signature,
                keyid: String::new(),
            }),
        };
        let key_material = match self.managed {
            true => KeyMaterial::PublicKey {
                hint: base64(&sha256(&spki)),
            },
            false => KeyMaterial::Certificate(Box::new(leaf)),
        };
        let exact = |text| ValueMatcher::exact(text).unwrap();
        Scene {
            bundle: Bundle {
                version: BundleVersion::V03,
                key_material,
                content,
                log_entries,
                timestamps,
                stored_envelope: None,
            },
            artifact: Artifact::from_digests(vec![
                Digest::sha256(self.artifact),
                HashAlgorithm::Sha384.digest(self.artifact),
                HashAlgorithm::Sha512.digest(self.artifact),
            ])
            .unwrap(),
            trust: self.trust(tsa),
            expected_key: self.managed.then(|| self.key.public()),
            subject: exact(SUBJECT),
            issuer: exact(ISSUER),
            content: match &self.signed {
                Signed::Blob => ExpectedContent::ArtifactSignature,
                Signed::Envelope { .. } => ExpectedContent::Signature {
                    annotations: BTreeMap::new(),
                },
            },
            key: self.key.public(),
            unread_leaf,
            claims: Vec::new(),
            thresholds: Thresholds::default(),
            waivers: Vec::new(),
        }
    }

    fn trust(&self, tsa: Certificate) -> TrustedRoot {
        let ct = Log {
            rekor: Rekor::V1,
            name: "ct.test",
            key: self.ct.clone(),
        };
        TrustedRoot {
            logs: vec![
                self.rekor1.instance(LONG_AGO),
                self.rekor2.instance(LONG_AGO),
            ],
            certificate_authorities: vec![CertificateAuthority {
                uri: "https://ca.test".to_owned(),
                chain: vec![self.intermediate.issue(), self.root.issue()],
                valid_for: since_long_ago(),
                operator: None,
            }],
            ct_logs: vec![ct.instance(LONG_AGO)],
            timestamp_authorities: vec![TimestampAuthority {
                uri: "https://tsa.test".to_owned(),
                leaf: tsa,
                issuers: match self.tsa_alone {
                    true => Vec::new(),
                    false => vec![self.tsa_root.issue()],
                },
                valid_for: since_long_ago(),
                operator: None,
            }],
            warnings: Vec::new(),
        }
    }
}
