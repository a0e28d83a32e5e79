//! RFC 3161 timestamps over the signature (Sigstore Client Spec 4.2.1).

use der::asn1::ObjectIdentifier;

use crate::crypto::asn1::{OCTET_STRING, Tlv};
use crate::crypto::chain::{Purpose, verify_leaf_profile, verify_path};
use crate::crypto::{Certificate, SignatureMemo, UnixTime};
use crate::format::bundle::Bundle;
use crate::format::timestamp::{SignerIdentifier, TimestampResponse};
use crate::trust::trusted_root::TimestampAuthority;
use crate::verify::explain::{self, Trail};
use crate::verify::requirements::verify_threshold;
use crate::verify::{Thresholds, Verifier, VerifyError};

/// A timestamp of a trusted authority over this bundle's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedTimestamp {
    time: UnixTime,
    authority: String,
}

impl VerifiedTimestamp {
    /// Returns the time.
    pub fn time(&self) -> UnixTime {
        self.time
    }

    /// Returns who vouches for it: operator, address or certificate subject.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// Every timestamp of a bundle, judged; those that count, of as many operators as were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedTimestamps(Vec<VerifiedTimestamp>);

impl JudgedTimestamps {
    /// Returns the timestamps of trusted authorities.
    pub fn counted(&self) -> &[VerifiedTimestamp] {
        &self.0
    }
}

/// Verifies every timestamp of the bundle. Those of unlisted authorities do not count.
///
/// # Errors
/// [`VerifyError`] for the first that cannot be read, covers something else, or is by a listed authority
/// and does not hold.
pub(super) fn verify_timestamps(
    bundle: &Bundle,
    thresholds: Thresholds,
    verifier: &Verifier<'_>,
    trail: &mut Trail,
) -> Result<JudgedTimestamps, VerifyError> {
    let mut verified = Vec::new();
    for der in &bundle.timestamps {
        verified.extend(trail.check(explain::TIMESTAMP, |trail| {
            let response = TimestampResponse::parse(der)?;
            judge_timestamp(
                &response,
                bundle.stamped(&response.imprint),
                verifier,
                trail,
            )
        })?);
    }
    let needed = thresholds.timestamp;
    if needed > 0 {
        let parties = verified.iter().map(|one| one.authority.clone());
        verify_threshold(parties, needed, trail, |found| {
            VerifyError::TooFewTimestamps { needed, found }
        })?;
    } else if bundle.timestamps.is_empty() {
        trail.not_counted("the bundle has none");
    } else if verified.is_empty() {
        trail.not_counted("none is by an authority that the trusted root lists");
    }
    Ok(JudgedTimestamps(verified))
}

/// Verifies one timestamp over a signature; `None` if no listed authority is its signer.
///
/// # Errors
/// [`VerifyError`].
pub fn verify_timestamp(
    response: &TimestampResponse,
    signature: &[u8],
    verifier: &Verifier<'_>,
) -> Result<Option<VerifiedTimestamp>, VerifyError> {
    judge_timestamp(response, signature, verifier, &mut Trail::off())
}

fn judge_timestamp(
    response: &TimestampResponse,
    signature: &[u8],
    verifier: &Verifier<'_>,
    trail: &mut Trail,
) -> Result<Option<VerifiedTimestamp>, VerifyError> {
    trail.fact("time", || response.time.to_string());
    trail.check(explain::TIMESTAMP_IMPRINT, |trail| {
        let expected = response.imprint.algorithm().digest(signature);
        if response.imprint != expected {
            return Err(VerifyError::TimestampImprint {
                expected: expected.into(),
                found: response.imprint.into(),
            });
        }
        trail.fact("found", || response.imprint.to_string());
        Ok(())
    })?;
    let mut refusal = None;
    for authority in &verifier.trust.timestamp_authorities {
        if !is_signer(&response.signer, &authority.leaf) {
            continue;
        }
        let held = trail.attempt(explain::TIMESTAMP_AUTHORITY, |trail| {
            trail.about(|| authority.party());
            trail.fact("trusted", || authority.valid_for.to_string());
            verify_with(response, authority, &verifier.memo)
        });
        match held {
            Ok(()) => {
                return Ok(Some(VerifiedTimestamp {
                    time: response.time,
                    authority: authority.party(),
                }));
            }
            Err(error) => refusal = Some(error),
        }
    }
    if refusal.is_none() {
        trail.not_counted("the trusted root does not list its authority");
    }
    refusal.map_or(Ok(None), Err)
}

fn is_signer(signer: &SignerIdentifier, leaf: &Certificate) -> bool {
    match signer {
        SignerIdentifier::IssuerAndSerial { issuer, serial } => {
            // An INTEGER may carry one leading zero for its sign; serial numbers are compared without.
            let bare = |bytes: &[u8]| bytes.strip_prefix(&[0]).unwrap_or(bytes).to_vec();
            leaf.issuer() == issuer && bare(leaf.serial()) == bare(serial)
        }
        SignerIdentifier::SubjectKeyIdentifier(key_id) => {
            let extension = leaf.extension(&ObjectIdentifier::new_unwrap("2.5.29.14"));
            extension
                .and_then(|extension| {
                    Tlv::only(&extension.value, OCTET_STRING).map(|id| id.content == key_id)
                })
                .unwrap_or(false)
        }
    }
}

fn verify_with(
    response: &TimestampResponse,
    authority: &TimestampAuthority,
    memo: &SignatureMemo,
) -> Result<(), VerifyError> {
    let invalid = |reason| Err(VerifyError::TimestampInvalid { reason });
    let leaf = &authority.leaf;
    if response.message_digest != response.content_digest.as_bytes() {
        return invalid("the messageDigest attribute is of other content");
    }
    let Some(named) = response.signing_certificate else {
        return invalid("it has no signingCertificateV2 attribute");
    };
    if named != named.algorithm().digest(leaf.der()) {
        return invalid("the signingCertificateV2 attribute names another certificate");
    }
    if leaf
        .public_key()
        .verify(
            response.signature_hash,
            &response.signed_attributes,
            &response.signature,
        )
        .is_err()
    {
        return invalid("its signature does not verify under the authority's key");
    }
    let chain = VerifyError::TimestampChain;
    verify_leaf_profile(leaf, Purpose::TimeStamping).map_err(chain)?;
    let anchor_only = [leaf.clone()];
    if authority.issuers.is_empty() {
        // The trusted root lists the signer's certificate alone: it is the anchor.
        if !anchor_only[0].validity().contains(response.time) {
            return Err(chain(crate::crypto::chain::ChainError::NotValidAt {
                subject: leaf.subject_text().to_owned(),
                time: response.time,
                validity: leaf.validity(),
            }));
        }
    } else {
        verify_path(
            leaf,
            &authority.issuers,
            response.time,
            Purpose::TimeStamping,
            memo,
        )
        .map_err(chain)?;
    }
    if !authority.valid_for.contains(response.time) {
        return Err(VerifyError::TimestampAuthorityNotValidAt {
            time: response.time,
            valid_for: authority.valid_for,
        });
    }
    Ok(())
}
