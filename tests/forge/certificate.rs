//! X.509 certificates from templates, and the SCTs in them.

use keyless::crypto::Certificate;
use keyless::crypto::asn1::encode;

use crate::asn1::{
    BIT_STRING, BOOLEAN, bits, explicit, generalized_time, integer, name, octets, oid, sequence,
    utc_time,
};
use crate::key::{Key, sha256};

pub const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
pub const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";
pub const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";

/// Contents of the BIT STRING of keyUsage: number of unused bits, bits.
pub type KeyUsage = [u8; 2];
pub const DIGITAL_SIGNATURE: KeyUsage = [7, 0x80];
pub const NON_REPUDIATION: KeyUsage = [6, 0x40];
pub const KEY_ENCIPHERMENT: KeyUsage = [5, 0x20];
pub const CERT_AND_CRL_SIGN: KeyUsage = [1, 0x06];
pub const CRL_SIGN: KeyUsage = [1, 0x02];

/// What a certificate shall say, right or wrong.
#[derive(Clone)]
pub struct Template {
    pub issuer: &'static str,
    /// Another encoding of the issuer's name.
    pub issuer_name: Option<Vec<u8>>,
    pub subject: &'static str,
    pub serial: u8,
    pub key: Key,
    /// Who signs it.
    pub signer: Key,
    pub not_before: i64,
    pub not_after: i64,
    /// `cA` and `pathLenConstraint`.
    pub basic_constraints: Option<(bool, Option<u8>)>,
    pub key_usage: Option<KeyUsage>,
    /// Critical, and the purposes.
    pub extended_key_usage: Option<(bool, Vec<&'static str>)>,
    /// GeneralNames of subjectAltName; none leaves the extension out.
    pub names: Vec<Vec<u8>>,
    /// Validity as GeneralizedTime.
    pub generalized: bool,
    /// Further extensions: identifier, critical, value.
    pub more: Vec<(&'static str, bool, Vec<u8>)>,
}

fn extension(dotted: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = match critical {
        true => encode(BOOLEAN, &[0xff]),
        false => Vec::new(),
    };
    sequence(&[oid(dotted), critical, octets(value)])
}

/// What stands for a key in the key identifiers; of its holder's name, so that a stranger's key has the
/// identifier of the one it poses as. Some verifiers want the extensions.
pub fn key_identifier(name: &str) -> Vec<u8> {
    sha256(name.as_bytes())[..20].to_vec()
}

impl Template {
    /// An e-mail address as GeneralName.
    pub fn email(address: &str) -> Vec<u8> {
        encode(0x81, address.as_bytes())
    }

    fn extensions(&self) -> Vec<Vec<u8>> {
        let (subject, issuer) = (key_identifier(self.subject), key_identifier(self.issuer));
        let mut extensions = vec![
            extension("2.5.29.14", false, &octets(&subject)),
            extension("2.5.29.35", false, &sequence(&[encode(0x80, &issuer)])),
        ];
        if let Some((ca, path_len)) = self.basic_constraints {
            let ca = match ca {
                true => encode(BOOLEAN, &[0xff]),
                false => Vec::new(),
            };
            let path_len = path_len.map(integer).unwrap_or_default();
            extensions.push(extension("2.5.29.19", true, &sequence(&[ca, path_len])));
        }
        if let Some(usage) = &self.key_usage {
            extensions.push(extension("2.5.29.15", true, &encode(BIT_STRING, usage)));
        }
        if let Some((critical, purposes)) = &self.extended_key_usage {
            let purposes: Vec<_> = purposes.iter().map(|purpose| oid(purpose)).collect();
            extensions.push(extension("2.5.29.37", *critical, &sequence(&purposes)));
        }
        if !self.names.is_empty() {
            extensions.push(extension("2.5.29.17", true, &sequence(&self.names)));
        }
        for (dotted, critical, value) in &self.more {
            extensions.push(extension(dotted, *critical, value));
        }
        extensions
    }

    /// The TBSCertificate, with an SCT list as its last extension if one is given.
    pub fn tbs(&self, sct_list: Option<&[u8]>) -> Vec<u8> {
        let mut extensions = self.extensions();
        extensions.extend(sct_list.map(|list| extension("1.3.6.1.4.1.11129.2.4.2", false, list)));
        let time = match self.generalized {
            true => generalized_time,
            false => utc_time,
        };
        sequence(&[
            explicit(0, &integer(2)),
            integer(self.serial),
            self.signer.signature_algorithm(),
            self.issuer_name
                .clone()
                .unwrap_or_else(|| name(self.issuer)),
            sequence(&[time(self.not_before), time(self.not_after)]),
            name(self.subject),
            self.key.spki(),
            explicit(3, &sequence(&extensions)),
        ])
    }

    /// A certificate around any TBSCertificate.
    pub fn signed(&self, tbs: Vec<u8>) -> Vec<u8> {
        let signature = bits(&self.signer.sign(&tbs));
        sequence(&[tbs, self.signer.signature_algorithm(), signature])
    }

    pub fn der(&self) -> Vec<u8> {
        self.signed(self.tbs(None))
    }

    pub fn issue(&self) -> Certificate {
        Certificate::from_der(&self.der()).unwrap()
    }
}

/// What a signed certificate timestamp shall say.
#[derive(Clone)]
pub struct Sct {
    /// Whose log id it carries.
    pub log: Key,
    /// Who signs it.
    pub signer: Key,
    /// Key of the issuer it is made for.
    pub issuer: Key,
    /// Milliseconds.
    pub time: u64,
    /// Added to the time after signing.
    pub time_shift: u64,
    /// Code of the signature algorithm; the signer's if none is given.
    pub algorithm: Option<u8>,
    pub extensions: Vec<u8>,
}

fn vector(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&len[..], bytes].concat()
}

impl Sct {
    /// RFC 6962 §3.2, for a precertificate.
    fn encode(&self, tbs: &[u8]) -> Vec<u8> {
        let mut input = vec![0, 0];
        input.extend(self.time.to_be_bytes());
        input.extend([0, 1]);
        input.extend(sha256(&self.issuer.spki()));
        input.extend(&u32::try_from(tbs.len()).unwrap().to_be_bytes()[1..]);
        input.extend(tbs);
        input.extend(vector(&self.extensions));
        let mut out = vec![0];
        out.extend(sha256(&self.log.spki()));
        out.extend((self.time + self.time_shift).to_be_bytes());
        out.extend(vector(&self.extensions));
        let natural = if self.signer.is_rsa() { 1 } else { 3 };
        out.extend([4, self.algorithm.unwrap_or(natural)]);
        out.extend(vector(&self.signer.sign(&input)));
        out
    }

    /// Value of the extension for some timestamps over a TBSCertificate.
    pub fn list(timestamps: &[Sct], tbs: &[u8]) -> Vec<u8> {
        let list: Vec<_> = timestamps
            .iter()
            .flat_map(|sct| vector(&sct.encode(tbs)))
            .collect();
        octets(&vector(&list))
    }
}
