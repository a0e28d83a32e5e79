//! Whom a Fulcio certificate names: subject alternative name, issuer, and claims (Fulcio, `docs/oid-info.md`).

use der::asn1::{ObjectIdentifier, Utf8StringRef};
use der::{Decode as _, Tag, Tagged as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::crypto::Certificate;
use crate::crypto::certificate::SUBJECT_ALT_NAME;

const OTHER_NAME_USERNAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");
const FULCIO_ARC: &str = "1.3.6.1.4.1.57264.1.";

/// Fulcio's extensions by the last arc of their identifier: kebab-case name, and whether the value is raw
/// UTF-8 (the deprecated ones) or a DER UTF8String.
const CLAIMS: [(u8, &str, bool); 23] = [
    (1, "issuer-v1", true),
    (2, "github-workflow-trigger", true),
    (3, "github-workflow-sha", true),
    (4, "github-workflow-name", true),
    (5, "github-workflow-repository", true),
    (6, "github-workflow-ref", true),
    (8, "issuer", false),
    (9, "build-signer-uri", false),
    (10, "build-signer-digest", false),
    (11, "runner-environment", false),
    (12, "source-repository-uri", false),
    (13, "source-repository-digest", false),
    (14, "source-repository-ref", false),
    (15, "source-repository-identifier", false),
    (16, "source-repository-owner-uri", false),
    (17, "source-repository-owner-identifier", false),
    (18, "build-config-uri", false),
    (19, "build-config-digest", false),
    (20, "build-trigger", false),
    (21, "run-invocation-uri", false),
    (22, "source-repository-visibility-at-signing", false),
    (23, "deployment-environment", false),
    (24, "token-subject", false),
];

/// Why a certificate names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No subject alternative name, more than one, an empty one, or one of another kind.
    #[error("certificate must have exactly one subject alternative name: e-mail, URI or username")]
    SubjectAlternativeName,
    /// A Fulcio extension is not encoded as it must be.
    #[error("certificate extension {name} is malformed")]
    Extension {
        /// Name of the claim.
        name: &'static str,
    },
    /// No issuer extension.
    #[error("certificate does not name an issuer of the identity")]
    NoIssuer,
    /// The two issuer extensions disagree.
    #[error("certificate names two issuers of the identity")]
    TwoIssuers {
        /// Value of extension .1.8.
        current: String,
        /// Value of extension .1.1.
        deprecated: String,
    },
}

/// The identity in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateIdentity {
    /// The one subject alternative name, as text.
    pub subject: String,
    /// The OIDC issuer.
    pub issuer: String,
    /// Every Fulcio extension by its name, in certificate order.
    pub claims: Vec<(&'static str, String)>,
}

/// Returns the name of a claim as this program writes it; `None` for one that Fulcio does not have.
pub fn claim_name(name: &str) -> Option<&'static str> {
    let known = CLAIMS.iter().map(|(_, name, _)| *name);
    known.into_iter().find(|known| *known == name)
}

/// Returns the names of all claims, by the number of their extension.
pub fn claim_names() -> impl Iterator<Item = &'static str> {
    CLAIMS.iter().map(|(_, name, _)| *name)
}

impl CertificateIdentity {
    /// Returns the value of a claim.
    pub fn claim(&self, name: &str) -> Option<&str> {
        let mut claims = self.claims.iter();
        claims
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Reads the identity of a certificate. The certificate is not verified by that.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn of(certificate: &Certificate) -> Result<Self, IdentityError> {
        let subject = subject_alternative_name(certificate)?;
        let claims = claims(certificate)
            .map(|(name, value)| Ok((name, value?)))
            .collect::<Result<Vec<_>, IdentityError>>()?;
        let claim = |wanted: &str| {
            claims
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, v)| v.clone())
        };
        let issuer = match (claim("issuer"), claim("issuer-v1")) {
            (Some(current), Some(deprecated)) if current != deprecated => {
                return Err(IdentityError::TwoIssuers {
                    current,
                    deprecated,
                });
            }
            (Some(issuer), _) | (None, Some(issuer)) if !issuer.is_empty() => issuer,
            _ => return Err(IdentityError::NoIssuer),
        };
        Ok(CertificateIdentity {
            subject,
            issuer,
            claims,
        })
    }
}

/// Returns the name of the claim that an extension holds, and whether its value is raw UTF-8; `None` for an
/// extension that is not Fulcio's, or not known here.
fn claim(oid: &ObjectIdentifier) -> Option<(&'static str, bool)> {
    let arc: u8 = oid.to_string().strip_prefix(FULCIO_ARC)?.parse().ok()?;
    let (_, name, raw) = CLAIMS.iter().find(|(known, ..)| *known == arc)?;
    Some((name, *raw))
}

/// Returns the name of the claim that an extension holds; `None` for any other extension.
pub fn extension_claim(oid: &ObjectIdentifier) -> Option<&'static str> {
    claim(oid).map(|(name, _)| name)
}

/// Reads every Fulcio extension by its name, in certificate order; one that is malformed does not hide the
/// others.
pub fn claims(
    certificate: &Certificate,
) -> impl Iterator<Item = (&'static str, Result<String, IdentityError>)> + '_ {
    certificate.extensions().iter().filter_map(|extension| {
        let (name, raw) = claim(&extension.oid)?;
        let text = if raw {
            std::str::from_utf8(&extension.value).ok()
        } else {
            Utf8StringRef::from_der(&extension.value)
                .ok()
                .map(|text| text.as_str())
        };
        let value = text.map(str::to_owned);
        Some((name, value.ok_or(IdentityError::Extension { name })))
    })
}

fn subject_alternative_name(certificate: &Certificate) -> Result<String, IdentityError> {
    let refused = IdentityError::SubjectAlternativeName;
    let extension = certificate
        .extension(&SUBJECT_ALT_NAME)
        .ok_or(refused.clone())?;
    let names = SubjectAltName::from_der(&extension.value).map_err(|_| refused.clone())?;
    let [name] = names.0.as_slice() else {
        return Err(refused);
    };
    let text = match name {
        GeneralName::Rfc822Name(email) => email.as_str().to_owned(),
        GeneralName::UniformResourceIdentifier(uri) => uri.as_str().to_owned(),
        GeneralName::OtherName(other)
            if other.type_id == OTHER_NAME_USERNAME && other.value.tag() == Tag::Utf8String =>
        {
            std::str::from_utf8(other.value.value())
                .map_err(|_| refused.clone())?
                .to_owned()
        }
        _ => return Err(refused),
    };
    if text.is_empty() {
        Err(refused)
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_claims_by_their_last_arc() {
        let of = |arc: &str| {
            extension_claim(&ObjectIdentifier::new(&format!("{FULCIO_ARC}{arc}")).unwrap())
        };
        for (arc, name, raw) in CLAIMS {
            assert_eq!(of(&arc.to_string()), Some(name));
            assert_eq!(claim_name(name), Some(name));
            let oid = ObjectIdentifier::new(&format!("{FULCIO_ARC}{arc}")).unwrap();
            assert_eq!(claim(&oid), Some((name, raw)));
        }
        assert_eq!((of("7"), of("99"), of("8.1")), (None, None, None));
        assert_eq!(extension_claim(&SUBJECT_ALT_NAME), None);
        assert_eq!(claim_name("Issuer"), None);
        assert_eq!(claim_names().count(), CLAIMS.len());
    }
}
