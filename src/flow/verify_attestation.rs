//! `keyless verify-attestation` where nobody is expected: who claims to have attested. The verdicts are those
//! of `verify_image`.

use crate::flow::discover::{Budget, FoundBundle, discover_legacy, discover_wanted};
use crate::flow::store::{ImageStore, StoreError};
use crate::flow::verify_image::pin;
use crate::format::bundle::{Content, KeyMaterial};
use crate::format::certificate_identity::CertificateIdentity;
use crate::format::oci::LegacyTag;
use crate::format::predicate::WantedType;
use crate::format::statement::Statement;
use crate::net::registry::{ImageReference, RegistryClient};

/// Says who claims to have attested something of this type about an image, for people who have not said whom
/// they expect. Nothing is verified.
///
/// # Errors
/// [`StoreError`].
pub async fn claimed_attesters(
    registry: &RegistryClient,
    reference: &ImageReference,
    wanted: &WantedType,
) -> Result<Vec<CertificateIdentity>, StoreError> {
    let image = pin(registry, reference).await?;
    let budget = Budget::default();
    let types = [wanted];
    let store = ImageStore::registry(registry, &image);
    let image = image.digest();
    let identity = |found: FoundBundle| {
        let Content::DsseEnvelope(envelope) = &found.bundle.content else {
            return None;
        };
        let statement = Statement::parse(&envelope.payload).ok();
        let is_wanted = statement.is_some_and(|s| wanted.meets(&s.predicate_type));
        match &found.bundle.key_material {
            KeyMaterial::Certificate(leaf) if is_wanted => CertificateIdentity::of(leaf).ok(),
            _ => None,
        }
    };
    let discovery = discover_wanted(&store, &image, &budget, &types, identity).await?;
    let tags = [LegacyTag::Attestations];
    let older = discover_legacy(&store, &image, &tags, &discovery.older, &budget, identity).await?;
    let mut signers: Vec<CertificateIdentity> = Vec::new();
    let found = discovery.found.into_iter().chain(older);
    for identity in found.filter_map(|found| found.outcome.ok().flatten()) {
        if !signers.contains(&identity) {
            signers.push(identity);
        }
    }
    Ok(signers)
}
