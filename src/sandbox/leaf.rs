//! Code-signing certificates with Fulcio's profile (`docs/certificate-specification.md`), extension by extension in
//! its order.

use der::asn1::ObjectIdentifier;
use x509_cert::builder;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::KeyUsages;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::name::Name;

use crate::crypto::TimeRange;
use crate::crypto::certificate::{SCT_LIST, SUBJECT_ALT_NAME};

use super::ca::{Authority, CODE_SIGNING};
use super::error::SandboxError;
use super::profile::{
    Profile, build, extended_key_usage, extension, key_usage, raw_extension, serial_bytes,
};

/// The precertificate poison (RFC 6962 §3.1).
const POISON: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.3");

/// A code-signing leaf to be issued. Its TBSCertificate is the same on every call of a method, save for
/// the last extension: that makes an SCT over it possible before the certificate exists.
pub(super) struct Leaf<'a> {
    authority: &'a Authority,
    spki: &'a [u8],
    subject_name: GeneralName,
    fulcio_extensions: Vec<(ObjectIdentifier, Vec<u8>)>,
    serial: [u8; 20],
    range: TimeRange,
}

impl<'a> Leaf<'a> {
    pub(super) fn new(
        authority: &'a Authority,
        spki: &'a [u8],
        subject_name: GeneralName,
        fulcio_extensions: Vec<(ObjectIdentifier, Vec<u8>)>,
        range: TimeRange,
    ) -> Result<Self, SandboxError> {
        Ok(Leaf {
            authority,
            spki,
            subject_name,
            fulcio_extensions,
            serial: serial_bytes()?,
            range,
        })
    }

    fn build(&self, last: Option<Extension>) -> Result<Vec<u8>, SandboxError> {
        let profile = || -> builder::Result<Profile> {
            // Critical because the subject is empty (RFC 5280 §4.2.1.6).
            let names: GeneralNames = vec![self.subject_name.clone()];
            let mut after = vec![extension(SUBJECT_ALT_NAME, true, &names)?];
            for (oid, value) in &self.fulcio_extensions {
                after.push(raw_extension(*oid, false, value.clone())?);
            }
            after.extend(last);
            Ok(Profile {
                issuer: self.authority.name().clone(),
                subject: Name::default(),
                before: vec![
                    key_usage(KeyUsages::DigitalSignature)?,
                    extended_key_usage(false, &[CODE_SIGNING])?,
                ],
                after,
                self_signed: false,
            })
        };
        let profile = profile().map_err(SandboxError::make("certificate"))?;
        build(
            profile,
            &self.serial,
            self.range,
            self.spki,
            self.authority.key(),
        )
    }

    /// Issues the certificate without an SCT.
    pub(super) fn issue_bare(&self) -> Result<Vec<u8>, SandboxError> {
        self.build(None)
    }

    /// Issues the precertificate: poisoned, so that nobody takes it for a certificate.
    pub(super) fn issue_precertificate(&self) -> Result<Vec<u8>, SandboxError> {
        let poison = raw_extension(POISON, true, vec![0x05, 0x00])
            .map_err(SandboxError::make("certificate"))?;
        self.build(Some(poison))
    }

    /// Issues the certificate with an SCT list as its last extension; `list` is the extension's value.
    pub(super) fn issue(&self, list: &[u8]) -> Result<Vec<u8>, SandboxError> {
        let list = raw_extension(SCT_LIST, false, list.to_vec())
            .map_err(SandboxError::make("certificate"))?;
        self.build(Some(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Certificate;
    use crate::sandbox::clock;
    use crate::sandbox::identity::SubjectName;
    use crate::sandbox::keys::EcdsaKey;
    use crate::sandbox::store::Store;

    #[test]
    fn a_leaf_has_fulcios_profile_in_fulcios_order() {
        let store = Store::open(None).unwrap();
        let now = clock::now();
        let root = Authority::open_root(&store, "root", "root", 1, now).unwrap();
        let ca = root.open_intermediate(&store, "ca", "ca", now).unwrap();
        let key = EcdsaKey::generate().unwrap();
        let name = SubjectName::Email("foo@example.com".to_owned());
        let range = TimeRange {
            start: now,
            end: Some(now.plus_seconds(600)),
        };
        let general_name = name.general_name().unwrap();
        let leaf = Leaf::new(&ca, key.spki(), general_name, Vec::new(), range).unwrap();
        let certificate = Certificate::from_der(&leaf.issue(b"list").unwrap()).unwrap();
        let extensions: Vec<_> = certificate
            .extensions()
            .iter()
            .map(|e| (e.oid.to_string(), e.critical, hex::encode(&e.value)))
            .collect();
        let expect = |at: usize, oid: &str, critical: bool, value: Option<&str>| {
            assert_eq!(
                (extensions[at].0.as_str(), extensions[at].1),
                (oid, critical)
            );
            assert!(value.is_none_or(|value| value == extensions[at].2), "{oid}");
        };
        expect(0, "2.5.29.15", true, Some("03020780"));
        expect(1, "2.5.29.37", false, Some("300a06082b06010505070303"));
        expect(2, "2.5.29.14", false, None);
        expect(3, "2.5.29.35", false, None);
        let san = "3011810f666f6f406578616d706c652e636f6d";
        expect(4, "2.5.29.17", true, Some(san));
        expect(5, "1.3.6.1.4.1.11129.2.4.2", false, Some("6c697374"));
        assert_eq!(certificate.subject(), [0x30, 0x00]);
        assert_eq!(certificate.serial().len(), 20);
        certificate.verify_signed_by(ca.certificate()).unwrap();
        ca.certificate()
            .verify_signed_by(root.certificate())
            .unwrap();
        root.certificate()
            .verify_signed_by(root.certificate())
            .unwrap();
        assert_eq!(
            hex::encode(&ca.certificate().extensions()[1].value),
            "03020106"
        );
        let bare = Certificate::from_der(&leaf.issue_bare().unwrap()).unwrap();
        assert_eq!(bare.extensions()[..], certificate.extensions()[..5]);
    }
}
