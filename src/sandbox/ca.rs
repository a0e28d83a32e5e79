//! Certificates: the authorities' own, and the leaves they issue.
//!
//! The profile of a code-signing leaf is Fulcio's (spec 03 §3), extension by extension and in its order.

use std::time::Duration;

use der::asn1::{GeneralizedTime, ObjectIdentifier, OctetString, UtcTime};
use der::flagset::FlagSet;
use der::{Decode as _, Encode as _};
use p256::ecdsa::DerSignature;
use spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder as _, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension as _};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};
use zeroize::Zeroizing;

use crate::crypto::certificate::{SCT_LIST, SUBJECT_ALT_NAME};
use crate::crypto::{Certificate, TimeRange, UnixTime};

use super::error::SandboxError;
use super::keys::EcdsaKey;
use super::store::Store;

/// id-kp-codeSigning.
pub(super) const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// id-kp-timeStamping.
pub(super) const TIME_STAMPING: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
/// The precertificate poison (RFC 6962 §3.1).
const POISON: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.3");

/// Ten years.
const AUTHORITY_LIFETIME: i64 = 10 * 365 * 86_400;
/// How long before the sandbox's birth its authorities are valid, for certificates that a fault
/// dates back.
const AUTHORITY_BACKDATE: i64 = 86_400;

/// What a certificate says besides key, serial and validity.
pub(super) struct Profile {
    issuer: Name,
    subject: Name,
    /// Extensions before the key identifiers, and after them.
    before: Vec<Extension>,
    after: Vec<Extension>,
    self_signed: bool,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        spk: SubjectPublicKeyInfoRef<'_>,
        issuer_spk: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        let mut extensions = self.before.clone();
        let subject_key = SubjectKeyIdentifier::try_from(spk)?;
        extensions.push((&subject_key).to_extension(tbs.subject(), &extensions)?);
        if !self.self_signed {
            let authority_key = AuthorityKeyIdentifier::try_from(issuer_spk)?;
            extensions.push((&authority_key).to_extension(tbs.subject(), &extensions)?);
        }
        extensions.extend(self.after.iter().cloned());
        Ok(extensions)
    }
}

fn extension(
    oid: ObjectIdentifier,
    critical: bool,
    value: &impl der::Encode,
) -> der::Result<Extension> {
    raw_extension(oid, critical, value.to_der()?)
}

fn raw_extension(oid: ObjectIdentifier, critical: bool, value: Vec<u8>) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: oid,
        critical,
        extn_value: OctetString::new(value)?,
    })
}

fn key_usage(usages: impl Into<FlagSet<KeyUsages>>) -> der::Result<Extension> {
    let oid = ObjectIdentifier::new_unwrap("2.5.29.15");
    extension(oid, true, &KeyUsage(usages.into()))
}

fn extended_key_usage(critical: bool, purposes: &[ObjectIdentifier]) -> der::Result<Extension> {
    let oid = ObjectIdentifier::new_unwrap("2.5.29.37");
    extension(oid, critical, &ExtendedKeyUsage(purposes.to_vec()))
}

fn basic_constraints(path_len: u8) -> der::Result<Extension> {
    let oid = ObjectIdentifier::new_unwrap("2.5.29.19");
    let constraints = BasicConstraints {
        ca: true,
        path_len_constraint: Some(path_len),
    };
    extension(oid, true, &constraints)
}

fn time(at: UnixTime) -> der::Result<Time> {
    let since = Duration::from_secs(u64::try_from(at.seconds()).unwrap_or(0));
    // RFC 5280 §4.1.2.5: UTCTime through 2049.
    match UtcTime::from_unix_duration(since) {
        Ok(utc) => Ok(Time::UtcTime(utc)),
        Err(_) => GeneralizedTime::from_unix_duration(since).map(Time::GeneralTime),
    }
}

fn validity(range: TimeRange) -> der::Result<Validity> {
    Ok(Validity::new(
        time(range.start)?,
        time(range.end.unwrap_or(range.start))?,
    ))
}

/// Makes a random positive serial number of 159 bits.
pub(super) fn serial_bytes() -> Result<[u8; 20], SandboxError> {
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes).map_err(SandboxError::make("serial number"))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(bytes)
}

/// Builds and signs a certificate; `spki` is the subject's key.
fn build(
    profile: Profile,
    serial: &[u8],
    range: TimeRange,
    spki: &[u8],
    signer: &EcdsaKey,
) -> Result<Vec<u8>, SandboxError> {
    let certificate = || -> builder::Result<Vec<u8>> {
        let builder = CertificateBuilder::new(
            profile,
            SerialNumber::new(serial)?,
            validity(range)?,
            SubjectPublicKeyInfoOwned::from_der(spki)?,
        )?;
        let certificate = builder.build::<_, DerSignature>(signer.signer())?;
        Ok(certificate.to_der()?)
    };
    certificate().map_err(SandboxError::make("certificate"))
}

/// A key with the certificate for it, and the names to issue under.
pub(super) struct Authority {
    key: EcdsaKey,
    name: Name,
    certificate: Certificate,
}

impl Authority {
    fn open(
        store: &Store,
        name: &str,
        make: impl FnOnce(&EcdsaKey) -> Result<Vec<u8>, SandboxError>,
    ) -> Result<Self, SandboxError> {
        let key = EcdsaKey::open(store, &format!("{name}.key.pem"))?;
        let file = format!("{name}.crt.pem");
        let pem = store.text(&file, || {
            let pem = crate::crypto::pem::encode("CERTIFICATE", &make(&key)?);
            Ok(Zeroizing::new(pem))
        })?;
        let damaged = |reason| store.damaged(&file, reason);
        let mut chain =
            Certificate::chain_from_pem(&pem, 1).map_err(|_| damaged("not one PEM certificate"))?;
        let certificate = chain.remove(0);
        if certificate.public_key().spki_der() != key.spki() {
            return Err(damaged("certificate and key do not belong together"));
        }
        let name = Name::from_der(certificate.subject())
            .map_err(|_| damaged("subject is not a distinguished name"))?;
        Ok(Authority {
            key,
            name,
            certificate,
        })
    }

    /// Opens a self-signed root.
    pub(super) fn open_root(
        store: &Store,
        file: &str,
        common_name: &str,
        path_len: u8,
        now: UnixTime,
    ) -> Result<Self, SandboxError> {
        Authority::open(store, file, |key| {
            let profile = || -> builder::Result<Profile> {
                let name = name(common_name)?;
                let usage = KeyUsages::KeyCertSign | KeyUsages::CRLSign;
                Ok(Profile {
                    issuer: name.clone(),
                    subject: name,
                    before: vec![basic_constraints(path_len)?, key_usage(usage)?],
                    after: Vec::new(),
                    self_signed: true,
                })
            };
            let profile = profile().map_err(SandboxError::make("certificate"))?;
            build(
                profile,
                &serial_bytes()?,
                authority_life(now),
                key.spki(),
                key,
            )
        })
    }

    /// Opens an intermediate authority for code signing.
    pub(super) fn open_intermediate(
        &self,
        store: &Store,
        file: &str,
        common_name: &str,
        now: UnixTime,
    ) -> Result<Self, SandboxError> {
        let usage = KeyUsages::KeyCertSign | KeyUsages::CRLSign;
        self.open_subordinate(store, file, common_name, now, || {
            Ok(vec![
                basic_constraints(0)?,
                key_usage(usage)?,
                extended_key_usage(false, &[CODE_SIGNING])?,
            ])
        })
    }

    /// Opens the certificate that signs timestamps. A good one has the one purpose, critical
    /// (RFC 3161 §2.3).
    pub(super) fn open_timestamper(
        &self,
        store: &Store,
        file: &str,
        common_name: &str,
        now: UnixTime,
        critical: bool,
        purposes: &[ObjectIdentifier],
    ) -> Result<Self, SandboxError> {
        self.open_subordinate(store, file, common_name, now, || {
            Ok(vec![
                key_usage(KeyUsages::DigitalSignature)?,
                extended_key_usage(critical, purposes)?,
            ])
        })
    }

    fn open_subordinate(
        &self,
        store: &Store,
        file: &str,
        common_name: &str,
        now: UnixTime,
        extensions: impl FnOnce() -> der::Result<Vec<Extension>>,
    ) -> Result<Self, SandboxError> {
        Authority::open(store, file, |key| {
            let profile = || -> builder::Result<Profile> {
                Ok(Profile {
                    issuer: self.name.clone(),
                    subject: name(common_name)?,
                    before: extensions()?,
                    after: Vec::new(),
                    self_signed: false,
                })
            };
            let profile = profile().map_err(SandboxError::make("certificate"))?;
            let life = authority_life(now);
            build(profile, &serial_bytes()?, life, key.spki(), &self.key)
        })
    }

    pub(super) fn key(&self) -> &EcdsaKey {
        &self.key
    }

    pub(super) fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

fn authority_life(now: UnixTime) -> TimeRange {
    TimeRange {
        start: UnixTime::from_seconds(now.seconds() - AUTHORITY_BACKDATE),
        end: Some(UnixTime::from_seconds(now.seconds() + AUTHORITY_LIFETIME)),
    }
}

fn name(common_name: &str) -> der::Result<Name> {
    format!("CN={common_name},O=keyless sandbox").parse()
}

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
                issuer: self.authority.name.clone(),
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
            &self.authority.key,
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
    use crate::sandbox::clock;
    use crate::sandbox::identity::SubjectName;

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
