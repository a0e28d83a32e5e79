//! `keyless verify-attestation` where nobody is expected: who claims to have attested. The verdicts are those
//! of `verify_image`.

use crate::flow::discover::{Budget, discover_wanted};
use crate::flow::verify_image::pin;
use crate::format::bundle::{Content, KeyMaterial};
use crate::format::certificate_identity::CertificateIdentity;
use crate::format::statement::Statement;
use crate::net::registry::{ImageReference, RegistryClient, RegistryError};

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
        let Content::DsseEnvelope(envelope) = &found.bundle.content else {
            return None;
        };
        let statement = Statement::parse(&envelope.payload).ok();
        let is_wanted = statement.is_some_and(|s| s.predicate_type == predicate_type);
        match &found.bundle.key_material {
            KeyMaterial::Certificate(leaf) if is_wanted => CertificateIdentity::of(leaf).ok(),
            _ => None,
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
