//! Recorded bundles that verify, and what they are judged against.

use std::sync::OnceLock;

use keyless::crypto::{Digest, UnixTime};
use keyless::format::bundle::Bundle;
use keyless::trust::TrustedRoot;
use keyless::verify::policy::ValueMatcher;
use keyless::verify::{
    Artifact, ExpectedContent, IdentityMatcher, Policy, VerifiedBundle, VerifyError,
};

macro_rules! capture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../fixtures/captures/", $name)).as_slice()
    };
}

pub const TRUSTED_ROOT: &[u8] = capture!("trusted_root.json");
pub const IDENTITY: &str = "dev@test.invalid";
pub const ISSUER: &str = "http://127.0.0.1:25557";
/// When all of it was recorded, in seconds; well within every validity but the leaves'.
pub const RECORDED: UnixTime = UnixTime::from_seconds(1_763_850_000);

const BLOB: &[u8] = capture!("blob/blob.bin");
const IMAGE: &[u8] = capture!("oci/referrers-api/rekor1/image.manifest.json");

/// Bundles, each with what was signed.
pub const BUNDLES: [(&[u8], &[u8]); 16] = [
    (capture!("blob/bundle.rekor1.json"), BLOB),
    (capture!("blob/bundle.rekor1-tsa.json"), BLOB),
    (capture!("blob/bundle.rekor2-tsa.json"), BLOB),
    (capture!("blob/bundle.attest.rekor1.json"), BLOB),
    (capture!("blob/bundle.attest.rekor1-tsa.json"), BLOB),
    (capture!("blob/bundle.attest.rekor2-tsa.json"), BLOB),
    (capture!("oci/referrers-api/rekor1/sig0.layer0.json"), IMAGE),
    (capture!("oci/referrers-api/rekor1/sig1.layer0.json"), IMAGE),
    (
        capture!("oci/referrers-api/rekor1-tsa/sig0.layer0.json"),
        IMAGE,
    ),
    (
        capture!("oci/referrers-api/rekor2-tsa/sig0.layer0.json"),
        IMAGE,
    ),
    (
        capture!("oci/referrers-api/rekor2-tsa/sig1.layer0.json"),
        IMAGE,
    ),
    (capture!("oci/fallback-tag/rekor1/sig0.layer0.json"), IMAGE),
    (capture!("oci/fallback-tag/rekor1/sig1.layer0.json"), IMAGE),
    (
        capture!("oci/fallback-tag/rekor1-tsa/sig0.layer0.json"),
        IMAGE,
    ),
    (
        capture!("oci/fallback-tag/rekor2-tsa/sig0.layer0.json"),
        IMAGE,
    ),
    (
        capture!("oci/fallback-tag/rekor2-tsa/sig1.layer0.json"),
        IMAGE,
    ),
];

/// A recorded bundle with its verdict.
pub struct Genuine {
    pub bundle: Bundle,
    pub artifact: Artifact,
    pub verdict: VerifiedBundle,
}

/// Returns the recorded trusted root.
pub fn trust() -> &'static TrustedRoot {
    static TRUST: OnceLock<TrustedRoot> = OnceLock::new();
    TRUST.get_or_init(|| TrustedRoot::parse(TRUSTED_ROOT).expect("the recorded root parses"))
}

/// Returns the recorded bundles, judged.
pub fn genuine() -> &'static [Genuine] {
    static GENUINE: OnceLock<Vec<Genuine>> = OnceLock::new();
    GENUINE.get_or_init(|| {
        BUNDLES
            .iter()
            .map(|(json, signed)| {
                let bundle = Bundle::parse(json).expect("a recorded bundle parses");
                let artifact = Artifact::from_digest(Digest::sha256(signed));
                let verdict =
                    judge(&bundle, &artifact, trust()).expect("a recorded bundle verifies");
                Genuine {
                    bundle,
                    artifact,
                    verdict,
                }
            })
            .collect()
    })
}

/// Judges a bundle, asking for whoever signed the recorded ones. The one place here that calls the verifier.
pub fn judge(
    bundle: &Bundle,
    artifact: &Artifact,
    trust: &TrustedRoot,
) -> Result<VerifiedBundle, VerifyError> {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    let policy = POLICY.get_or_init(|| {
        let exact = |text| ValueMatcher::exact(text).expect("it is not empty");
        let matcher = IdentityMatcher::new(exact(IDENTITY), exact(ISSUER));
        Policy::identities(vec![matcher], ExpectedContent::Any).expect("there is one")
    });
    keyless::verify::verify(bundle, artifact, trust, policy)
}
