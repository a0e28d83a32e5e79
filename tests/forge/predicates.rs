//! What predicates must say, judged within the verdict: after everything else, and told with it.

use std::sync::Arc;

use keyless::diagnostic::Diagnostic as _;
use keyless::verify::explain::{Explanation, Outcome};
use keyless::verify::policy::ValueMatcher;
use keyless::verify::rego::{RegoPolicy, StatementPolicy};
use keyless::verify::{ExpectedContent, PredicateChecks, Verifier, VerifyError};

use crate::PASSES;
use crate::forge::{ARTIFACT, COSIGN_SIGN, Forge, Scene, statement};

/// An attestation whose predicate is `{"type":"build","by":"ci"}`.
fn attestation() -> Scene {
    let mut forge = Forge::envelope2();
    let text = String::from_utf8(statement(COSIGN_SIGN, &[(ARTIFACT, "{}")])).unwrap();
    let empty = r#""predicate":{}"#;
    assert!(text.contains(empty));
    let full = text.replace(empty, r#""predicate":{"type":"build","by":"ci"}"#);
    forge.set_payload(full.into_bytes());
    let mut scene = forge.make();
    scene.content = ExpectedContent::Attestation {
        predicate_type: COSIGN_SIGN.into(),
    };
    scene
}

fn checks(requirements: &[&str], policies: &[(&str, &str)]) -> PredicateChecks {
    let requirement = |text: &&str| text.parse().unwrap();
    let policy = |(name, allow): &(&str, &str)| {
        let text = format!("package signature\nimport rego.v1\nallow if {{ {allow} }}\n");
        Arc::new(RegoPolicy::parse(name, &text).unwrap()) as Arc<dyn StatementPolicy>
    };
    PredicateChecks {
        requirements: requirements.iter().map(requirement).collect(),
        policies: policies.iter().map(policy).collect(),
    }
}

fn judged(scene: &Scene, checks: PredicateChecks) -> (Result<(), VerifyError>, Explanation) {
    let policy = scene.policy().with_predicate_checks(checks);
    let verifier = Verifier::new(&scene.trust);
    let (verdict, explanation) = verifier.explain(&scene.bundle, &scene.artifact, &policy);
    (verdict.map(|_| ()), explanation)
}

fn code(verdict: &Result<(), VerifyError>) -> &'static str {
    verdict
        .as_ref()
        .map_or_else(|error| error.code(), |()| PASSES)
}

/// How the check of the predicate ended and its facts, once for each time it is listed.
fn told(explanation: &Explanation) -> Vec<(Outcome, Vec<String>)> {
    let of_predicate = explanation
        .checks()
        .iter()
        .filter(|check| check.step.name == "predicate");
    of_predicate
        .map(|check| {
            let facts = check
                .facts
                .iter()
                .map(|(name, value)| format!("{name}: {value}"));
            (check.outcome.clone(), facts.collect())
        })
        .collect()
}

const IN_BUILD: &str = r#"input.predicate.type == "build""#;
const IN_TEST: &str = r#"input.predicate.type == "test""#;

#[test]
fn all_that_is_asked_for_must_hold() {
    let scene = attestation();
    for (requirements, policies, refused_by) in [
        (&[][..], &[][..], None),
        (&["type=build"][..], &[], None),
        (&["type=build", "by=ci"], &[("p.rego", IN_BUILD)], None),
        (&[], &[("p.rego", IN_BUILD), ("q.rego", IN_BUILD)], None),
        (&["type=test"], &[], Some("type=test")),
        (&["type=build", "by=hand"], &[], Some("by=hand")),
        (&["by=hand"], &[("p.rego", IN_BUILD)], Some("by=hand")),
        (&["type=build"], &[("p.rego", IN_TEST)], Some("p.rego")),
        (
            &[],
            &[("p.rego", IN_BUILD), ("q.rego", IN_TEST)],
            Some("q.rego"),
        ),
    ] {
        let (verdict, explanation) = judged(&scene, checks(requirements, policies));
        match (verdict, refused_by) {
            (Ok(()), None) => {
                let required = requirements.iter().map(|one| format!("required: {one}"));
                let allowed = policies
                    .iter()
                    .map(|(name, _)| format!("allowed by: {name}"));
                let facts: Vec<String> = required.chain(allowed).collect();
                let expected = match facts.is_empty() {
                    true => Vec::new(),
                    false => vec![(Outcome::Passed, facts)],
                };
                assert_eq!(told(&explanation), expected);
            }
            (Err(VerifyError::PredicateRefused { check, .. }), Some(refused_by)) => {
                assert_eq!(check, refused_by);
                let [(Outcome::Refused { code, .. }, _)] = &told(&explanation)[..] else {
                    panic!("{explanation:?}");
                };
                assert_eq!(*code, "predicate-refused");
            }
            (verdict, _) => panic!("{requirements:?} {policies:?}: {verdict:?}"),
        }
    }
}

#[test]
fn what_is_signed_by_another_is_refused_for_that() {
    let mut scene = attestation();
    scene.subject = ValueMatcher::exact("other@example.test").unwrap();
    let asked = || checks(&["type=test"], &[]);
    let (verdict, explanation) = judged(&scene, asked());
    assert_eq!(code(&verdict), "identity-mismatch");
    assert_eq!(told(&explanation), [(Outcome::NotReached, Vec::new())]);
    let (_, explanation) = judged(&scene, PredicateChecks::default());
    assert_eq!(told(&explanation), []);
}

#[test]
fn a_file_says_nothing_and_is_refused() {
    let scene = Forge::blob2().make();
    for (requirements, policies, first) in [
        (&["a=b", "c=d"][..], &[("p.rego", IN_BUILD)][..], "a=b"),
        (&[], &[("p.rego", IN_BUILD), ("q.rego", IN_BUILD)], "p.rego"),
    ] {
        let (verdict, _) = judged(&scene, checks(requirements, policies));
        let Err(VerifyError::PredicateRefused { check, found }) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!((check.as_str(), found.as_str()), (first, "no statement"));
    }
}
