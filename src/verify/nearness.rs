//! How near the signer whom a bundle names comes to who is asked for.
//!
//! Nothing of it is verified, and nothing is accepted because of it: where several signatures are refused, it says
//! which refusal is told first.

use crate::format::bundle::KeyMaterial;
use crate::format::certificate_identity::CertificateIdentity;
use crate::verify::policy::{ExpectedSigner, IdentityMatcher, Policy, ValueMatcher};

/// How near a signer comes; the greater the nearer. Subject and issuer count alike, and of two that are as near the
/// one through the right issuer is nearer: it is vouched for by whom the verifier trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Nearness {
    sum: u8,
    issuer: u8,
    claims: usize,
}

/// A value that is another one.
const OTHER: u8 = 0;
/// A value that is met in part.
const ALMOST: u8 = 1;
/// The value that is asked for.
const SAME: u8 = 2;

impl Policy {
    /// Returns how near the signer whom this material names comes to who is asked for.
    pub fn nearness(&self, material: &KeyMaterial) -> Nearness {
        let asked_for = Nearness {
            sum: 2 * SAME,
            issuer: SAME,
            claims: usize::MAX,
        };
        match (self.signer(), material) {
            (ExpectedSigner::Identities(accepted), KeyMaterial::Certificate(leaf)) => {
                let Ok(identity) = CertificateIdentity::of(leaf) else {
                    return Nearness::default();
                };
                let each = accepted.iter().map(|matcher| matcher.nearness(&identity));
                each.max().unwrap_or_default()
            }
            (ExpectedSigner::Key(_), KeyMaterial::PublicKey { .. })
            | (ExpectedSigner::Anyone, KeyMaterial::Certificate(_)) => asked_for,
            (ExpectedSigner::Key(_), KeyMaterial::Certificate(_))
            | (
                ExpectedSigner::Identities(_) | ExpectedSigner::Anyone,
                KeyMaterial::PublicKey { .. },
            ) => Nearness::default(),
        }
    }
}

impl IdentityMatcher {
    fn nearness(&self, identity: &CertificateIdentity) -> Nearness {
        let subject = self.subject.nearness(&identity.subject);
        let issuer = self.issuer.nearness(&identity.issuer);
        let sum = subject + issuer;
        let claims = match sum == 2 * SAME {
            true => self.claims_met(identity),
            false => 0,
        };
        Nearness {
            sum,
            issuer,
            claims,
        }
    }
}

impl ValueMatcher {
    fn nearness(&self, value: &str) -> u8 {
        if self.matches(value) {
            return SAME;
        }
        let is_almost = match self {
            ValueMatcher::Pattern { anywhere, .. } => anywhere.is_match(value),
            ValueMatcher::Exact(expected) => {
                let bare = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
                bare(expected) == bare(value) || is_of_one_workflow(expected, value)
            }
        };
        if is_almost { ALMOST } else { OTHER }
    }
}

/// Tells two identities of one CI workflow, `URL@REF`, that differ in the ref alone.
fn is_of_one_workflow(one: &str, other: &str) -> bool {
    let path = |text: &str| {
        let (path, _) = text.rsplit_once('@')?;
        path.contains("://").then(|| path.to_owned())
    };
    path(one).is_some_and(|found| path(other) == Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::policy::ClaimMatcher;

    fn identity(subject: &str, issuer: &str, ref_: &str) -> CertificateIdentity {
        CertificateIdentity {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            claims: vec![("github-workflow-ref", ref_.to_owned())],
        }
    }

    #[test]
    fn the_nearest_is_first() {
        const ISSUER: &str = "https://i.test";
        let claim = ValueMatcher::exact("v1").unwrap();
        let claim = ClaimMatcher::new("github-workflow-ref", claim).unwrap();
        let subject = ValueMatcher::exact("https://h.test/w.yml@v1").unwrap();
        let issuer = ValueMatcher::exact(ISSUER).unwrap();
        let matcher = IdentityMatcher::new(subject, issuer).with_claims(vec![claim]);
        let in_order = [
            identity("https://h.test/w.yml@v1", ISSUER, "v1"),
            identity("https://h.test/w.yml@v1", ISSUER, "v2"),
            identity("https://h.test/w.yml@v2", ISSUER, "v1"),
            identity("https://h.test/w.yml@v1", "https://I.test/", "v1"),
            identity("ci@h.test", ISSUER, "v1"),
            identity("https://h.test/w.yml@v1", "https://other.test", "v1"),
            identity("ci@h.test", "https://other.test", "v1"),
        ];
        for pair in in_order.windows(2) {
            assert!(
                matcher.nearness(&pair[0]) > matcher.nearness(&pair[1]),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn what_a_search_would_find_is_almost_it() {
        let pattern = ValueMatcher::pattern("@h\\.test").unwrap();
        assert_eq!(pattern.nearness("ci@h.test"), ALMOST);
        assert_eq!(pattern.nearness("ci@other.test"), OTHER);
        let exact = ValueMatcher::exact("Ci@h.test").unwrap();
        assert_eq!(exact.nearness("ci@h.test"), ALMOST);
        assert_eq!(exact.nearness("dev@h.test"), OTHER);
    }
}
