//! `keyless verify-attestation` and `keyless verify-blob-attestation`: whom to expect of attestations of one
//! type, and who claims to have made them. The verdicts are those of `verify_image` and `verify_blob`.

use crate::flow::discover::{Budget, discover_wanted};
use crate::flow::verify_image::pin;
use crate::format::bundle::KeyMaterial;
use crate::format::certificate_identity::CertificateIdentity;
use crate::net::registry::{ImageReference, RegistryClient, RegistryError};
use crate::verify::policy_file::{Expectation, PolicyFile};
use crate::verify::{Policy, PredicateChecks};

/// Expects attestations of a type by the rules of a policy file, and of one policy otherwise.
pub fn expectation(
    whom: Result<Policy, PolicyFile>,
    predicate_type: &str,
    checks: PredicateChecks,
) -> Expectation {
    match whom {
        Ok(policy) => policy.with_predicate_checks(checks).into(),
        Err(rules) => Expectation::Rules(rules.for_attestations(predicate_type, &checks)),
    }
}

/// Says who claims to have attested something of this type about an image, for people who have not said whom
/// they expect. Nothing is verified.
///
/// # Errors
/// [`RegistryError`].
pub async fn claimed_attesters(
    registry: &RegistryClient,
    reference: &ImageReference,
    predicate_type: &str,
) -> Result<Vec<CertificateIdentity>, RegistryError> {
    let image = pin(registry, reference).await?;
    let budget = Budget::default();
    let wanted = [predicate_type];
    let discovery = discover_wanted(registry, &image, &budget, &wanted, |found| {
        match &found.bundle.key_material {
            KeyMaterial::Certificate(leaf) => CertificateIdentity::of(leaf).ok(),
            KeyMaterial::PublicKey { .. } => None,
        }
    })
    .await?;
    let mut signers: Vec<CertificateIdentity> = Vec::new();
    let found = discovery.found.into_iter();
    for identity in found.filter_map(|found| found.outcome.ok().flatten()) {
        if !signers.contains(&identity) {
            signers.push(identity);
        }
    }
    Ok(signers)
}
