//! A certificate, DER or a PEM chain: its fields are parts of its bytes, and everything that judges one holds.

use keyless::crypto::chain::{Purpose, verify_leaf_profile, verify_path};
use keyless::crypto::{Certificate, PublicKey, SignatureMemo};
use keyless::format::certificate_identity::CertificateIdentity;
use keyless::format::limits;
use keyless::format::sct::{embedded, without_sct_list};

use super::captures::{RECORDED, trust};
use super::{Grammar, Target};

pub const TARGET: Target = Target {
    name: "certificate",
    run,
    grammar: Grammar::Der,
    max_len: 4 * 1024,
    limit: limits::PEM_LEN,
    weight: 2,
};

fn run(data: &[u8]) {
    if let Some(text) = std::str::from_utf8(data)
        .ok()
        .filter(|text| text.contains("-----BEGIN "))
    {
        if let Ok(chain) = Certificate::chain_from_pem(text, limits::CHAIN_CERTIFICATES) {
            assert!((1..=limits::CHAIN_CERTIFICATES).contains(&chain.len()));
            chain.iter().for_each(judge);
            let again: String = chain.iter().map(Certificate::to_pem).collect();
            let again = Certificate::chain_from_pem(&again, limits::CHAIN_CERTIFICATES);
            assert_eq!(again, Ok(chain));
        }
        if let Ok(key) = PublicKey::from_pem(text) {
            assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key));
        }
        return;
    }
    match Certificate::from_der(data) {
        Ok(certificate) => {
            assert_eq!(certificate.der(), data);
            judge(&certificate);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn judge(certificate: &Certificate) {
    let contains = |whole: &[u8], part: &[u8]| whole.windows(part.len()).any(|at| at == part);
    assert!(contains(certificate.der(), certificate.tbs()));
    assert!(contains(certificate.tbs(), certificate.issuer()));
    assert!(contains(certificate.tbs(), certificate.subject()));
    let key = certificate.public_key();
    assert!(contains(certificate.tbs(), key.spki_der()));
    assert_eq!(PublicKey::from_spki_der(key.spki_der()).as_ref(), Ok(key));
    drop((
        format!("{certificate:?} {}", certificate.validity()),
        certificate.is_self_issued(),
        certificate.verify_signed_by(certificate).is_ok(),
    ));
    if let Ok(identity) = CertificateIdentity::of(certificate) {
        assert!(!identity.subject.is_empty() && !identity.issuer.is_empty());
    }
    assert!(embedded(certificate).map_or(0, |list| list.len()) <= limits::SCTS);
    let without = without_sct_list(certificate.tbs()).expect("a parsed TBSCertificate is one");
    assert_eq!(without_sct_list(&without).as_deref(), Some(&*without));
    let memo = SignatureMemo::default();
    for (purpose, authorities) in [
        (
            Purpose::CodeSigning,
            &trust().certificate_authorities[0].chain,
        ),
        (
            Purpose::TimeStamping,
            &trust().timestamp_authorities[0].issuers,
        ),
    ] {
        let _ = verify_leaf_profile(certificate, purpose);
        let _ = verify_path(certificate, authorities, RECORDED, purpose, &memo);
        let alone = std::slice::from_ref(certificate);
        let _ = verify_path(
            certificate,
            alone,
            certificate.validity().start,
            purpose,
            &memo,
        );
    }
}
