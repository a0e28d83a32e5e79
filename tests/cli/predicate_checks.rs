//! What a predicate must say: `--require` and `--policy FILE.rego`.

use keyless::sandbox::Service;
use serde_json::json;

use crate::attest::{attested, genuine};
use crate::support::{Run, World};
use crate::verify_attestation::refused;

const ALLOW: &str = "package signature\nallow { input.predicateType == \"https://cosign.sigstore.dev/attestation/vuln/v1\"; input.predicate.scanner.result.high == 0; input.subject[0].digest.sha256 }\n";
const DENY: &str =
    "package signature\ndefault allow = false\nallow { input.predicate.scanner.result.high > 0 }\n";

struct Scene {
    world: World,
    image: String,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let image = attested(&world, "v1", "vuln", &genuine("vuln")).by_digest();
        Scene { world, image }
    }

    fn verify(&self, flags: &[&str]) -> Run {
        self.world
            .keyless("verify-attestation --output json --type vuln")
            .arg(&self.image)
            .args(self.world.expecting())
            .args(flags.iter().copied())
            .run()
    }

    fn policy(&self, name: &str, text: &str) -> Run {
        self.world.write(name, text);
        self.verify(&["--policy", name])
    }
}

#[test]
fn values_are_required() {
    let scene = Scene::new();
    for met in [
        "scanner.uri=pkg:scanner",
        "scanner.result.high=0",
        "scanner.result.high<=0",
        "scanner.version!=2",
        "metadata.scanFinishedOn>=2026-11-23T07:00:30Z",
        "[\"x-own\"][0]=150",
        "x-own[?]>=150",
    ] {
        scene.verify(&["--require", met]).exits(0);
    }
    for unmet in [
        "scanner.uri=pkg:other",
        "scanner.result.high>=1",
        "scanner.version!=1",
        "scanner.absent!=1",
        "metadata.scanFinishedOn>=2026-11-24T00:00:00Z",
        "x-own[*]>=150",
        // The path begins at the predicate, not at the statement.
        "predicate.scanner.uri=pkg:scanner",
        "predicateType=https://cosign.sigstore.dev/attestation/vuln/v1",
    ] {
        let run = refused(scene.verify(&["--require", unmet]), 12, "predicate-refused");
        let details = run.json()["images"][0]["error"]["details"].clone();
        assert_eq!(details[0], json!({ "name": "expected", "value": unmet }));
        // All of several must hold.
        let met = "scanner.uri=pkg:scanner";
        refused(
            scene.verify(&["--require", met, "--require", unmet]),
            12,
            "predicate-refused",
        );
    }
    for wrong in ["scanner", "=x", "scanner.uri", "scanner.uri>=x", "a[b]=1"] {
        scene
            .verify(&["--require", wrong])
            .fails(2, "usage-requirement");
    }
}

#[test]
fn rego_decides() {
    let scene = Scene::new();
    scene.policy("allow.rego", ALLOW).exits(0);
    let run = refused(scene.policy("deny.rego", DENY), 12, "predicate-refused");
    let document = run.json();
    let details = &document["images"][0]["error"]["details"];
    assert_eq!(details[0]["value"], "deny.rego");
    assert_eq!(details[1]["value"], "data.signature.allow is false");
    // Each must allow: another that does loosens nothing.
    for order in [["allow.rego", "deny.rego"], ["deny.rego", "allow.rego"]] {
        let run = scene.verify(&["--policy", order[0], "--policy", order[1]]);
        refused(run, 12, "predicate-refused");
    }
    scene
        .verify(&[
            "--policy",
            "allow.rego",
            "--require",
            "scanner.result.high=0",
        ])
        .exits(0);
    refused(
        scene.verify(&[
            "--policy",
            "allow.rego",
            "--require",
            "scanner.result.high=1",
        ]),
        12,
        "predicate-refused",
    );
    scene
        .policy("v1.rego", "package signature\nimport rego.v1\nallow if input.predicate.scanner.result.high == 0\n")
        .exits(0);
}

#[test]
fn what_is_no_policy_is_refused_before_anything_is_asked() {
    let scene = Scene::new();
    let before = scene.world.count(Service::Registry);
    scene
        .policy("a.rego", "package signature\nallow {")
        .fails(30, "rego-malformed");
    scene
        .policy("a.rego", "package other\nallow { true }")
        .fails(30, "rego-no-rule");
    scene
        .policy(
            "a.rego",
            "package signature\nallow { rand.intn(\"a\", 2) == 1 }",
        )
        .fails(30, "rego-function");
    let long = format!("{ALLOW}{}", "#\n".repeat(1 << 19));
    scene.policy("a.rego", &long).fails(3, "file-too-large");
    scene
        .policy("a.cue", "predicateType: string")
        .fails(2, "usage-conflict")
        .says("Rego");
    scene.policy("a.json", "{}").fails(2, "usage-conflict");
    scene
        .verify(&["--policy", "absent.rego"])
        .fails(3, "file-not-found");
    assert_eq!(scene.world.count(Service::Registry), before);
}

#[test]
fn a_policy_that_does_not_end_refuses() {
    let scene = Scene::new();
    let list: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let endless = format!(
        "package signature\nl := [{}]\nallow {{ l[_] + l[_] + l[_] + l[_] + l[_] + l[_] == -1 }}\n",
        list.join(",\n")
    );
    refused(
        scene.policy("endless.rego", &endless),
        12,
        "predicate-refused",
    );
}

#[test]
fn the_check_is_told_and_comes_last() {
    let scene = Scene::new();
    let run = scene
        .verify(&["--explain", "--require", "scanner.version=1"])
        .exits(0);
    let document = run.json();
    let checks = document["images"][0]["signatures"][0]["checks"]
        .as_array()
        .unwrap();
    let last = checks.last().unwrap();
    assert_eq!(last["check"], "predicate");
    assert_eq!(last["outcome"], "passed");
    assert_eq!(last["facts"][0]["value"], "scanner.version=1");
    let run = refused(
        scene.verify(&["--explain", "--require", "scanner.version=2"]),
        12,
        "predicate-refused",
    );
    let document = run.json();
    let checks = document["images"][0]["refused"][0]["checks"]
        .as_array()
        .unwrap();
    assert_eq!(checks.last().unwrap()["outcome"], "refused");
    // Nobody's word is weighed before it is known whose it is.
    let run = scene
        .world
        .keyless(
            "verify-attestation --explain --output json --type vuln --require scanner.version=2",
        )
        .arg(&scene.image)
        .args(scene.world.expecting_of("other@example.test"))
        .run();
    let run = refused(run, 12, "identity-mismatch");
    let document = run.json();
    let checks = document["images"][0]["refused"][0]["checks"]
        .as_array()
        .unwrap();
    assert_eq!(checks.last().unwrap()["check"], "predicate");
    assert_eq!(checks.last().unwrap()["outcome"], "not-reached");
}

/// Policies that take without end what they are not given: time or memory, of the parser or of the evaluation.
fn hostile() -> Vec<(&'static str, String)> {
    let nested = |open: &str, close: &str, n: usize| {
        format!(
            "allow {{ x := {}1{}; x == 2 }}",
            open.repeat(n),
            close.repeat(n)
        )
    };
    let doubled = |first: &str, next: &str, end: &str| {
        let steps: Vec<String> = (1..60)
            .map(|n| {
                let next = next.replace('P', &format!("x{}", n - 1));
                format!("x{n} := {next}")
            })
            .collect();
        format!("x0 := {first}\n{}\nallow {{ {end} }}", steps.join("\n"))
    };
    let chain: Vec<String> = (0..20_000)
        .map(|n| format!("f{n}(x) = y {{ y := f{}(x) }}", n + 1))
        .collect();
    let list: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let list = list.join(",");
    vec![
        ("arrays in arrays", nested("[", "]", 30)),
        ("arrays without end", nested("[", "]", 100_000)),
        ("sets in sets", nested("{", "}", 40)),
        ("objects in objects", nested("{1: ", "}", 40)),
        (
            "comprehensions in comprehensions",
            nested("[y | y := ", "]", 40),
        ),
        ("parentheses", nested("(", ")", 60)),
        ("calls in calls", nested("abs(", ")", 60)),
        ("minus signs", nested("-", "", 100_000)),
        ("a long sum", nested("1+", "", 200_000)),
        (
            "a long path",
            format!("allow {{ x := input{}; x }}", ".a".repeat(200_000)),
        ),
        (
            "many negations",
            format!("allow {{ {} false }}", "not ".repeat(100_000)),
        ),
        (
            "lists that double",
            doubled("[1]", "array.concat(P, P)", "count(x59) == 1"),
        ),
        (
            "comprehensions that double",
            doubled(
                "[1, 2]",
                "[[a, b] | a := P[_]; b := P[_]]",
                "count(x59) == 1",
            ),
        ),
        (
            "texts that double",
            doubled("\"a\"", "concat(\"\", [P, P])", "x59 == \"\""),
        ),
        (
            "objects that double",
            doubled(
                "{\"a\": 1}",
                "{\"a\": P, \"b\": P}",
                "json.marshal(x59) == \"\"",
            ),
        ),
        (
            "replacements that double",
            doubled("\"a\"", "replace(P, \"a\", \"aa\")", "x59 == \"\""),
        ),
        (
            "a wide number",
            "allow { sprintf(\"%4000000000d\", [1]) == \"\" }".to_owned(),
        ),
        (
            "a great number",
            "allow { bits.lsh(1, 100000000000) == 1 }".to_owned(),
        ),
        (
            "a product of lists",
            format!(
                "l := [{list}]\nallow {{ count({{[a, b, c, d, e] | a := l[_]; b := l[_]; c := l[_]; d := l[_]; e := l[_]}}) == 1 }}"
            ),
        ),
        (
            "a chain of functions",
            format!("{}\nallow {{ f0(1) == 1 }}", chain.join("\n")),
        ),
        (
            "a pattern of patterns",
            "allow { regex.match(\"((a{1000}){1000}){1000}\", \"a\") }".to_owned(),
        ),
    ]
}

#[test]
fn no_policy_takes_more_than_it_is_given() {
    let scene = Scene::new();
    let hostile = hostile();
    assert!(hostile.len() >= 12);
    let judge = |n: usize| {
        scene.policy(
            &format!("hostile-{n}.rego"),
            &format!("package signature\n{}\n", hostile[n].1),
        )
    };
    // A few at a time: each may take all that it is given.
    let next = std::sync::atomic::AtomicUsize::new(0);
    let verdicts = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                match hostile.get(n) {
                    Some((name, _)) => done.push((*name, judge(n))),
                    None => return done,
                }
            }
        };
        let workers = [(); 3].map(|()| scope.spawn(work));
        workers.map(|worker| worker.join().unwrap())
    });
    for (name, run) in verdicts.into_iter().flatten() {
        let code = run.code.unwrap_or(-1);
        assert!([12, 30].contains(&code), "{name}: {run:#?}");
        let document = run.json();
        let error = match code {
            12 => &document["images"][0]["error"],
            _ => &document["error"],
        };
        let told = error["code"].as_str().unwrap_or_default();
        assert!(
            told == "predicate-refused" || told.starts_with("rego-"),
            "{name}: {told}"
        );
    }
}
