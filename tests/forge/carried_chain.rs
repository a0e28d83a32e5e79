//! The chain that bundles of versions 0.1 and 0.2 carry: its order, the root at its end, and that none of it is
//! trusted.

use keyless::diagnostic::Diagnostic as _;
use keyless::format::bundle::Bundle;
use serde_json::{Value, json};

use crate::certificate::Template;
use crate::forge::{Forge, NOW, Scene};
use crate::log::base64;
use crate::{PASSES, report};

const VERSIONS: [&str; 2] = ["0.1", "0.2"];
const INVALID: &str = "bundle-invalid";

/// Puts certificates behind the leaf of a scene's bundle, in an older version, and judges it.
fn judged(version: &str, scene: &Scene, issuers: &[Vec<u8>]) -> &'static str {
    let mut json: Value = serde_json::from_str(&scene.bundle.encode()).unwrap();
    json["mediaType"] = json!(format!(
        "application/vnd.dev.sigstore.bundle+json;version={version}"
    ));
    let material = json["verificationMaterial"].as_object_mut().unwrap();
    let leaf = material.remove("certificate").unwrap();
    let issuers = issuers.iter().map(|der| json!({ "rawBytes": base64(der) }));
    let certificates: Vec<Value> = std::iter::once(leaf).chain(issuers).collect();
    let chain = json!({ "certificates": certificates });
    material.insert("x509CertificateChain".to_owned(), chain);
    let bundle = match Bundle::parse(json.to_string().as_bytes()) {
        Ok(bundle) => bundle,
        Err(error) => return error.code(),
    };
    let scene = Scene {
        bundle,
        ..scene.clone()
    };
    let verdict = scene.verify();
    verdict.map_or_else(|error| error.code(), |_| PASSES)
}

/// What is carried behind the leaf.
type Carried = fn(&Forge) -> Vec<Template>;

/// A certificate that an authority issued to itself.
fn own(template: &Template) -> Template {
    Template {
        issuer: template.subject,
        signer: template.key.clone(),
        ..template.clone()
    }
}

const CASES: [(&str, Carried, &str); 20] = [
    ("leaf-alone", |_| vec![], PASSES),
    ("intermediate", |f| vec![f.intermediate.clone()], PASSES),
    (
        "root-at-end",
        |f| vec![f.intermediate.clone(), f.root.clone()],
        PASSES,
    ),
    (
        "root-twice",
        |f| vec![f.intermediate.clone(), f.root.clone(), f.root.clone()],
        INVALID,
    ),
    (
        "root-in-the-middle",
        |f| vec![f.root.clone(), f.intermediate.clone()],
        INVALID,
    ),
    (
        "root-without-intermediate",
        |f| vec![f.root.clone()],
        INVALID,
    ),
    (
        "root-before-and-at-end",
        |f| vec![f.root.clone(), f.intermediate.clone(), f.root.clone()],
        INVALID,
    ),
    (
        "root-of-another-name",
        |f| {
            let subject = "other.test";
            let root = Template {
                subject,
                ..f.root.clone()
            };
            vec![f.intermediate.clone(), own(&root)]
        },
        INVALID,
    ),
    (
        "root-of-another-key",
        |f| {
            let key = f.stranger.clone();
            let root = Template {
                key,
                ..f.root.clone()
            };
            vec![f.intermediate.clone(), own(&root)]
        },
        INVALID,
    ),
    (
        "root-not-signed-by-itself",
        |f| {
            let signer = f.stranger.clone();
            vec![
                f.intermediate.clone(),
                Template {
                    signer,
                    ..f.root.clone()
                },
            ]
        },
        INVALID,
    ),
    (
        // Another authority has issued the root too. It is no root then, and its issuer is not there.
        "root-signed-by-another-authority",
        |f| {
            let (issuer, signer) = ("other.test", f.stranger.clone());
            let crossed = Template {
                issuer,
                signer,
                ..f.root.clone()
            };
            vec![f.intermediate.clone(), crossed]
        },
        PASSES,
    ),
    (
        "root-signed-by-another-authority-and-that-root",
        |f| {
            let (issuer, signer) = ("other.test", f.stranger.clone());
            let crossed = Template {
                issuer,
                signer,
                ..f.root.clone()
            };
            let (subject, key) = (issuer, f.stranger.clone());
            let other = Template {
                subject,
                key,
                ..f.root.clone()
            };
            vec![f.intermediate.clone(), crossed, own(&other)]
        },
        PASSES,
    ),
    (
        // Validity is judged of the trusted authorities, not of copies.
        "root-expired",
        |f| {
            let (not_before, not_after) = (NOW - 2000, NOW - 1000);
            let root = Template {
                not_before,
                not_after,
                ..f.root.clone()
            };
            vec![f.intermediate.clone(), root]
        },
        PASSES,
    ),
    (
        "root-not-yet-valid",
        |f| {
            let (not_before, not_after) = (NOW + 1000, NOW + 2000);
            let root = Template {
                not_before,
                not_after,
                ..f.root.clone()
            };
            vec![f.intermediate.clone(), root]
        },
        PASSES,
    ),
    (
        "intermediate-twice",
        |f| vec![f.intermediate.clone(), f.intermediate.clone()],
        INVALID,
    ),
    (
        "intermediate-of-another-name",
        |f| {
            let subject = "other.test";
            vec![Template {
                subject,
                ..f.intermediate.clone()
            }]
        },
        INVALID,
    ),
    (
        "intermediate-of-another-key",
        |f| {
            let key = f.stranger.clone();
            vec![Template {
                key,
                ..f.intermediate.clone()
            }]
        },
        INVALID,
    ),
    ("leaf-twice", |f| vec![f.leaf.clone()], INVALID),
    (
        "something-behind-the-root",
        |f| vec![f.intermediate.clone(), f.root.clone(), f.tsa_root.clone()],
        INVALID,
    ),
    (
        "a-root-of-something-else",
        |f| vec![f.intermediate.clone(), f.tsa_root.clone()],
        INVALID,
    ),
];

#[test]
fn a_carried_chain_is_in_order_and_may_end_with_its_root() {
    let forge = Forge::blob1();
    let scene = forge.make();
    let cases = VERSIONS
        .iter()
        .flat_map(|version| CASES.iter().map(move |case| (version, case)));
    report(cases.filter_map(|(version, (name, carried, code))| {
        let issuers: Vec<Vec<u8>> = carried(&forge).iter().map(Template::der).collect();
        let found = judged(version, &scene, &issuers);
        (found != *code).then(|| format!("{name} in {version}: expected {code:?}, found {found:?}"))
    }));
}

#[test]
fn version_03_has_no_chain() {
    let forge = Forge::blob1();
    let issuers = [forge.intermediate.der(), forge.root.der()];
    assert_eq!(judged("0.3", &forge.make(), &issuers), INVALID);
}

#[test]
fn a_carried_root_is_not_trusted() {
    // A stranger's authorities in full, with the names of the trusted ones.
    let trusted = Forge::blob1().make();
    let strange = Forge::blob1();
    let mut scene = strange.make();
    let issuers = [strange.intermediate.der(), strange.root.der()];
    assert_eq!(judged("0.1", &scene, &issuers), PASSES);
    let authorities = &mut scene.trust.certificate_authorities;
    *authorities = trusted.trust.certificate_authorities;
    for version in VERSIONS {
        assert_eq!(judged(version, &scene, &issuers), "certificate-untrusted");
    }
    // Nor does it prolong the trust in one that was not valid at the time.
    let mut expired = Forge::blob1();
    let valid = [expired.intermediate.der(), expired.root.der()];
    expired.root.not_after = NOW - 1;
    let scene = expired.make();
    assert_eq!(judged("0.1", &scene, &valid), "certificate-not-valid-at");
    // Nor stand in for an intermediate that is not listed.
    let forge = Forge::blob1();
    let mut scene = forge.make();
    let issuers = [forge.intermediate.der(), forge.root.der()];
    scene.trust.certificate_authorities[0].chain.remove(0);
    assert_eq!(judged("0.1", &scene, &issuers), "certificate-untrusted");
}

#[test]
fn a_root_alone_signs_nothing() {
    let mut forge = Forge::blob1();
    forge.leaf = Template {
        key: forge.key.clone(),
        ..forge.root.clone()
    };
    forge.leaf.signer = forge.leaf.key.clone();
    let found = judged("0.1", &forge.make(), &[]);
    assert_eq!(found, "certificate-profile");
}

#[test]
fn a_carried_chain_has_a_bound() {
    let forge = Forge::blob1();
    let scene = forge.make();
    // Authorities above the root, each of its own name, and the last its own issuer.
    const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let chain = |above: usize| {
        let signer = |at: usize| match at < above {
            true => (NAMES[at], forge.stranger.clone()),
            false => (NAMES[above - 1], forge.stranger.clone()),
        };
        let (issuer, key) = signer(0);
        let mut issuers = vec![
            forge.intermediate.der(),
            Template {
                issuer,
                signer: key,
                ..forge.root.clone()
            }
            .der(),
        ];
        for (at, subject) in NAMES.into_iter().enumerate().take(above) {
            let (issuer, key) = signer(at + 1);
            let signer = key.clone();
            issuers.push(
                Template {
                    issuer,
                    subject,
                    key,
                    signer,
                    ..forge.root.clone()
                }
                .der(),
            );
        }
        issuers
    };
    assert_eq!(judged("0.1", &scene, &chain(7)), PASSES, "ten in all");
    assert_eq!(judged("0.1", &scene, &chain(8)), "bundle-malformed");
}
