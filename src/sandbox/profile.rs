//! X.509 certificates as the sandbox builds them: a profile for `x509-cert`'s builder, and the
//! extensions that go into it.

use std::time::Duration;

use der::asn1::{GeneralizedTime, ObjectIdentifier, OctetString, UtcTime};
use der::flagset::FlagSet;
use der::{Decode as _, Encode as _};
use p256::ecdsa::DerSignature;
use spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder as _, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension as _};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

use crate::crypto::{TimeRange, UnixTime};

use super::error::SandboxError;
use super::keys::EcdsaKey;

/// What a certificate says besides key, serial and validity.
pub(super) struct Profile {
    pub(super) issuer: Name,
    pub(super) subject: Name,
    /// Extensions before the key identifiers.
    pub(super) before: Vec<Extension>,
    /// Extensions after them.
    pub(super) after: Vec<Extension>,
    /// Leaves the authority's key identifier out.
    pub(super) self_signed: bool,
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

/// Makes an extension.
pub(super) fn extension(
    oid: ObjectIdentifier,
    critical: bool,
    value: &impl der::Encode,
) -> der::Result<Extension> {
    raw_extension(oid, critical, value.to_der()?)
}

/// Makes an extension whose value is encoded already.
pub(super) fn raw_extension(
    oid: ObjectIdentifier,
    critical: bool,
    value: Vec<u8>,
) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: oid,
        critical,
        extn_value: OctetString::new(value)?,
    })
}

/// Makes a KeyUsage, critical as CAs have it.
pub(super) fn key_usage(usages: impl Into<FlagSet<KeyUsages>>) -> der::Result<Extension> {
    let oid = ObjectIdentifier::new_unwrap("2.5.29.15");
    extension(oid, true, &KeyUsage(usages.into()))
}

/// Makes an ExtendedKeyUsage.
pub(super) fn extended_key_usage(
    critical: bool,
    purposes: &[ObjectIdentifier],
) -> der::Result<Extension> {
    let oid = ObjectIdentifier::new_unwrap("2.5.29.37");
    extension(oid, critical, &ExtendedKeyUsage(purposes.to_vec()))
}

/// Makes the BasicConstraints of a CA.
pub(super) fn basic_constraints(path_len: u8) -> der::Result<Extension> {
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
pub(super) fn build(
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
