//! Authorities: a key, its certificate, and who may be issued what.

use der::Decode as _;
use der::asn1::ObjectIdentifier;
use x509_cert::builder;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::KeyUsages;
use x509_cert::name::Name;
use zeroize::Zeroizing;

use crate::crypto::{Certificate, TimeRange, UnixTime, pem};

use super::error::SandboxError;
use super::keys::EcdsaKey;
use super::profile::{
    Profile, basic_constraints, build, extended_key_usage, key_usage, serial_bytes,
};
use super::store::Store;

/// id-kp-codeSigning.
pub(super) const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// id-kp-timeStamping.
pub(super) const TIME_STAMPING: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// Ten years.
const AUTHORITY_LIFETIME: i64 = 10 * 365 * 86_400;
/// How long before the sandbox's birth its authorities are valid, for certificates that a fault
/// dates back.
const AUTHORITY_BACKDATE: i64 = 86_400;

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
            let pem = pem::encode("CERTIFICATE", &make(&key)?);
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

    /// Returns the name it issues under.
    pub(super) fn name(&self) -> &Name {
        &self.name
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
