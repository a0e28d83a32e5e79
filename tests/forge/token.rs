//! RFC 3161 timestamps, element by element.

use keyless::crypto::Certificate;
use keyless::crypto::asn1::encode;

use crate::asn1::{explicit, generalized_time, integer, name, octets, oid, sequence, set_of};
use crate::certificate::Template;
use crate::key::{Key, sha256};

const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";
const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
const SIGNING_CERTIFICATE_V2: &str = "1.2.840.113549.1.9.16.2.47";

/// Which certificate the token says that it is signed with.
#[derive(Clone)]
pub enum Named {
    Signer,
    Bytes(Vec<u8>),
    Nobody,
}

/// What a token shall say.
#[derive(Clone)]
pub struct Token {
    /// What is stamped; the bundle's signature if none is given.
    pub stamped: Option<Vec<u8>>,
    pub time: i64,
    pub serial: u8,
    /// PKIStatus.
    pub status: u8,
    /// What the messageDigest attribute is over; the TSTInfo if none is given.
    pub digested: Option<Vec<u8>>,
    /// The contentType attribute.
    pub content_type: &'static str,
    pub named: Named,
    pub signer: Key,
    /// Follows the signature in SignerInfo.
    pub behind_signature: Vec<u8>,
    /// Issuer and serial number by which the signer is identified; its certificate's if none is given.
    pub identified: Option<(&'static str, u8)>,
    /// DER of the SignerIdentifier, in place of those.
    pub identifier: Option<Vec<u8>>,
    /// Certificates put before the signer's.
    pub before_signer: Vec<Vec<u8>>,
    /// Changes the elements of structures before they are signed or framed.
    pub edit: Edit,
}

type Elements = Vec<Vec<u8>>;

/// What may be done to a token's structures, given their elements.
#[derive(Clone, Copy)]
pub struct Edit {
    pub status: fn(&mut Elements),
    pub info: fn(&mut Elements),
    /// Attributes, and the signer's certificate.
    pub attributes: fn(&mut Elements, &[u8]),
    pub signer: fn(&mut Elements),
    pub signed_data: fn(&mut Elements),
}

/// An attribute with one value.
pub fn attribute(dotted: &str, value: Vec<u8>) -> Vec<u8> {
    sequence(&[oid(dotted), set_of(vec![value])])
}

impl Token {
    pub fn new(signer: &Key, time: i64) -> Self {
        Token {
            stamped: None,
            time,
            serial: 1,
            status: 0,
            digested: None,
            content_type: TST_INFO,
            named: Named::Signer,
            signer: signer.clone(),
            behind_signature: Vec::new(),
            identified: None,
            edit: Edit {
                status: |_| {},
                info: |_| {},
                attributes: |_, _| {},
                signer: |_| {},
                signed_data: |_| {},
            },
            identifier: None,
            before_signer: Vec::new(),
        }
    }

    /// The TimeStampResp over a signature, by the signer of a template.
    pub fn issue(&self, signature: &[u8], template: &Template, leaf: &Certificate) -> Vec<u8> {
        let stamped = self.stamped.as_deref().unwrap_or(signature);
        let mut info = vec![
            integer(1),
            oid("1.3.6.1.4.1.57264.2"),
            sequence(&[
                sequence(&[oid("2.16.840.1.101.3.4.2.1")]),
                octets(&sha256(stamped)),
            ]),
            integer(self.serial),
            generalized_time(self.time),
        ];
        (self.edit.info)(&mut info);
        let info = sequence(&info);
        let digested = self.digested.as_deref().unwrap_or(&info);
        let mut attributes = vec![
            attribute(CONTENT_TYPE, oid(self.content_type)),
            attribute(
                MESSAGE_DIGEST,
                octets(self.signer.hash().digest(digested).as_bytes()),
            ),
        ];
        let named = match &self.named {
            Named::Signer => Some(leaf.der()),
            Named::Bytes(bytes) => Some(bytes.as_slice()),
            Named::Nobody => None,
        };
        if let Some(bytes) = named {
            let id = sequence(&[octets(&sha256(bytes))]);
            let value = sequence(&[sequence(&[id])]);
            attributes.push(attribute(SIGNING_CERTIFICATE_V2, value));
        }
        attributes.sort();
        (self.edit.attributes)(&mut attributes, leaf.der());
        let attributes = encode(0x31, &attributes.concat());
        let mut implicit = attributes.clone();
        implicit[0] = 0xa0;
        let (issuer, serial) = self
            .identified
            .unwrap_or((template.issuer, template.serial));
        let identifier = self
            .identifier
            .clone()
            .unwrap_or_else(|| sequence(&[name(issuer), integer(serial)]));
        let mut signer_info = vec![
            integer(1),
            identifier,
            self.signer.hash_algorithm(),
            implicit,
            self.signer.signature_algorithm(),
            octets(&self.signer.sign(&attributes)),
            self.behind_signature.clone(),
        ];
        (self.edit.signer)(&mut signer_info);
        let mut signed_data = vec![
            integer(3),
            set_of(vec![self.signer.hash_algorithm()]),
            sequence(&[oid(TST_INFO), explicit(0, &octets(&info))]),
            encode(0xa0, &[&self.before_signer.concat(), leaf.der()].concat()),
            set_of(vec![sequence(&signer_info)]),
        ];
        (self.edit.signed_data)(&mut signed_data);
        let signed_data = sequence(&signed_data);
        let token = sequence(&[oid(SIGNED_DATA), explicit(0, &signed_data)]);
        let mut status = vec![integer(self.status)];
        (self.edit.status)(&mut status);
        sequence(&[sequence(&status), token])
    }
}
