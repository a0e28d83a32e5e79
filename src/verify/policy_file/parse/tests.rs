//! Each fault of a policy file is refused, by its code and at its place.

use super::*;

const RULE: &str = r#"version = 1
[[rule]]
name = "app"
images = ["reg.test/app"]
[[rule.signer]]
identity = "dev@example.test"
issuer = "https://issuer.example.test"
"#;

fn refused(text: &str) -> PolicyFileError {
    let refused = PolicyFile::parse(text);
    refused.err().unwrap_or_else(|| panic!("accepted: {text}"))
}

/// Changes one thing of a good policy.
fn changed(from: &str, to: &str) -> PolicyFileError {
    assert!(RULE.contains(from), "{from}");
    refused(&RULE.replace(from, to))
}

const IMAGES: &str = r#"images = ["reg.test/app"]"#;
const IDENTITY: &str = r#"identity = "dev@example.test""#;
const ISSUER: &str = r#"issuer = "https://issuer.example.test""#;
const NAME: &str = r#"name = "app""#;
const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8aEXQsb4M50asUQgRPPs18He\n\
    LX5yiiZ+U4T4nDYW8P28Lw4YOF3SsHU1vnLkqHEGjNqJ4Cmuzm7dUjGwQg==\n\
    -----END PUBLIC KEY-----\n";

#[test]
fn a_rule_with_everything() {
    let text = r#"
        version = 1
        [[rule]]
        images = ["reg.test/**"]
        files = ["dist/*"]
        requires = ["https://slsa.dev/provenance/v1", "signature"]
        log-threshold = 2
        timestamp-threshold = 1
        sct-threshold = 3
        [[rule.signer]]
        identity-regexp = 'https://github\.com/octo/.*'
        issuer = "https://issuer.example.test"
        claims = { source-repository-uri = "https://github.com/octo/app" }
        [[rule.signer]]
        identity = "dev@example.test"
        issuer-regexp = "https://.*"
        [[rule]]
        name = "annotated"
        images = ["reg.test/app"]
        annotations = { env = "prod" }
        signer = [{ identity = "a", issuer = "b" }]
    "#;
    let file = PolicyFile::parse(text).unwrap();
    let [first, second] = file.rules() else {
        panic!("{file:?}");
    };
    assert_eq!(first.name(), "rule 1");
    assert_eq!(
        first.requires(),
        ["https://slsa.dev/provenance/v1", "signature"]
    );
    assert_eq!((first.of_images().len(), first.of_files().len()), (2, 2));
    assert_eq!(
        first.signers(),
        [
            r"/https://github\.com/octo/.*/ (issuer https://issuer.example.test), source-repository-uri=https://github.com/octo/app",
            "dev@example.test (issuer /https://.*/)"
        ]
    );
    let thresholds = first.thresholds();
    assert_eq!(
        (
            thresholds.log.get(),
            thresholds.timestamp,
            thresholds.sct.get()
        ),
        (2, 1, 3)
    );
    assert_eq!(second.thresholds(), Thresholds::default());
    let annotations = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    assert_eq!(
        *second.of_images()[0].policy().content(),
        ExpectedContent::Signature { annotations }
    );
}

#[test]
fn what_a_rule_is_not_about_it_requires_nothing_of() {
    let file = PolicyFile::parse(RULE).unwrap();
    let rule = &file.rules()[0];
    assert_eq!((rule.of_images().len(), rule.of_files().len()), (1, 0));
    let files = RULE.replace(IMAGES, "files = [\"dist/*\"]");
    let file = PolicyFile::parse(&files).unwrap();
    let rule = &file.rules()[0];
    assert_eq!((rule.of_images().len(), rule.of_files().len()), (0, 1));
    assert_eq!(rule.requires(), [SIGNATURE]);
}

#[test]
fn a_predicate_type_is_a_uri_and_no_image_signature() {
    for text in [
        "https://slsa.dev/provenance/v1",
        "https://a.test:8443/x",
        "urn:a",
        "a:b",
    ] {
        assert!(is_predicate_type(text), "{text:?}");
    }
    for text in [
        "",
        "signature",
        ":",
        ":x",
        "https:",
        "a b:c",
        " a:b",
        "a\n:b",
        COSIGN_SIGN_V1,
    ] {
        assert!(!is_predicate_type(text), "{text:?}");
    }
}

#[test]
fn what_cannot_be_required_is_told_why() {
    for (requires, why) in [
        ("\"signature\", \"signature\"", "is required twice"),
        ("\"a:b\", \"signature\", \"a:b\"", "is required twice"),
        (&format!("{COSIGN_SIGN_V1:?}"), "is written \"signature\""),
        (
            "\"sbom\"",
            "is neither \"signature\" nor a predicate type, which is a URI",
        ),
    ] {
        let error = changed(NAME, &format!("requires = [{requires}]"));
        let Fault::Requires { reason, .. } = error.fault else {
            panic!("{requires}: {error}");
        };
        assert_eq!(reason, why, "{requires}");
    }
}

#[test]
fn a_key_stands_alone() {
    let signer = format!("{IDENTITY}\n{ISSUER}");
    let key = format!("key = \"\"\"\n{PEM}\"\"\"");
    for beside in [
        IDENTITY,
        ISSUER,
        "identity-regexp = \"a\"",
        "issuer-regexp = \"a\"",
        "claims = { source-repository-uri = \"a\" }",
    ] {
        let error = changed(&signer, &format!("{key}\n{beside}"));
        assert_eq!(error.code(), "policy-signer", "{beside}");
    }
    let file = PolicyFile::parse(&RULE.replace(&signer, &key)).unwrap();
    assert!(file.rules()[0].signers()[0].starts_with("key sha256:"));
    assert_eq!(changed(IDENTITY, &key).code(), "policy-signer");
    let both = format!("{key}\n[[rule.signer]]\n{signer}");
    assert_eq!(changed(&signer, &both).code(), "policy-signer");
    let sct = RULE
        .replace(&signer, &key)
        .replace(NAME, "sct-threshold = 1");
    assert_eq!(refused(&sct).code(), "policy-sct-threshold");
    assert_eq!(changed(&signer, "key = \"\"").code(), "policy-empty");
    assert_eq!(changed(&signer, "key = \"key.pem\"").code(), "policy-key");
}

#[test]
fn each_fault_is_refused_by_its_code() {
    let two = |name: &str| {
        format!(
            "{RULE}{}",
            RULE.replace("version = 1", "").replace(NAME, name)
        )
    };
    for (code, text) in [
        ("policy-version", "".to_owned()),
        ("policy-version", RULE.replace("version = 1", "")),
        (
            "policy-version",
            RULE.replace("version = 1", "version = 2\nnew = 1"),
        ),
        (
            "policy-malformed",
            RULE.replace("version = 1", "version = \"1\""),
        ),
        (
            "policy-malformed",
            RULE.replace("version = 1", "version = 1\nversion = 1"),
        ),
        ("policy-malformed", RULE.replace("[[rule]]", "[[rule]")),
        ("policy-malformed", RULE.replace("[[rule]]", "[rule]")),
        (
            "policy-malformed",
            RULE.replace("[[rule]]", "new = 1\n[[rule]]"),
        ),
        (
            "policy-malformed",
            RULE.replace(NAME, "insecure-ignore-tlog = true"),
        ),
        ("policy-malformed", RULE.replace(NAME, "log-threshold = 0")),
        ("policy-malformed", RULE.replace(NAME, "sct-threshold = 0")),
        (
            "policy-malformed",
            RULE.replace(NAME, "timestamp-threshold = -1"),
        ),
        (
            "policy-malformed",
            RULE.replace(IMAGES, "images = \"reg.test/app\""),
        ),
        ("policy-malformed", RULE.replace("identity", "identty")),
        ("policy-empty", "version = 1".to_owned()),
        ("policy-empty", "version = 1\nrule = []".to_owned()),
        ("policy-empty", RULE.replace(NAME, "name = \"\"")),
        (
            "policy-empty",
            RULE.replace(IMAGES, "images = []\nfiles = [\"a\"]"),
        ),
        (
            "policy-empty",
            RULE.replace(IMAGES, &format!("files = []\n{IMAGES}")),
        ),
        ("policy-empty", RULE.replace(NAME, "requires = []")),
        ("policy-empty", RULE.replace(NAME, "annotations = {}")),
        ("policy-empty", RULE.replace(IDENTITY, "identity = \"\"")),
        (
            "policy-empty",
            RULE.replace(IDENTITY, "identity-regexp = \"\""),
        ),
        ("policy-empty", RULE.replace(ISSUER, "issuer = \"\"")),
        ("policy-empty", RULE.replace(ISSUER, "issuer-regexp = \"\"")),
        ("policy-empty", format!("{RULE}claims = {{}}")),
        (
            "policy-empty",
            format!("{RULE}claims = {{ build-trigger = \"\" }}"),
        ),
        ("policy-rule-without-pattern", RULE.replace(IMAGES, "")),
        (
            "policy-rule-without-signer",
            RULE.split("[[rule.signer]]").next().unwrap().to_owned(),
        ),
        (
            "policy-rule-without-signer",
            format!("version = 1\n[[rule]]\n{IMAGES}\nsigner = []"),
        ),
        ("policy-signer", RULE.replace(IDENTITY, "")),
        ("policy-signer", RULE.replace(ISSUER, "")),
        ("policy-signer", format!("{RULE}identity-regexp = \"a\"")),
        ("policy-signer", format!("{RULE}issuer-regexp = \"a\"")),
        ("policy-signer", format!("{RULE}[[rule.signer]]")),
        (
            "policy-glob",
            RULE.replace("reg.test/app", "reg.test/app:v1"),
        ),
        ("policy-glob", RULE.replace(IMAGES, "files = [\"\"]")),
        (
            "policy-regexp",
            RULE.replace(IDENTITY, "identity-regexp = \"(\""),
        ),
        (
            "policy-regexp",
            RULE.replace(ISSUER, "issuer-regexp = \")|(.*\""),
        ),
        (
            "policy-claim",
            format!("{RULE}claims = {{ repository = \"a\" }}"),
        ),
        ("policy-duplicate-name", two(NAME)),
        (
            "policy-duplicate-name",
            two("").replace(NAME, "name = \"rule 2\""),
        ),
        (
            "policy-requires",
            RULE.replace(NAME, "requires = [\"signatures\"]"),
        ),
        (
            "policy-requires",
            RULE.replace(NAME, "requires = [\"signature\", \"signature\"]"),
        ),
        ("policy-requires", RULE.replace(NAME, "requires = [\"\"]")),
        (
            "policy-requires",
            RULE.replace(NAME, &format!("requires = [{COSIGN_SIGN_V1:?}]")),
        ),
        (
            "policy-annotations",
            RULE.replace(NAME, "annotations = { a = \"b\" }\nfiles = [\"a\"]"),
        ),
        (
            "policy-annotations",
            RULE.replace(NAME, "annotations = { a = \"b\" }\nrequires = [\"a:b\"]"),
        ),
    ] {
        let error = refused(&text);
        assert_eq!(error.code(), code, "{error} of {text}");
        assert_eq!(error.exit().code(), 30);
    }
}

#[test]
fn a_fault_is_told_with_its_place() {
    for (from, to, line, column, message) in [
        (
            NAME,
            "nam = \"app\"",
            3,
            1,
            "unknown field `nam`, expected one of `name`, `images`",
        ),
        (
            IDENTITY,
            "identity = 7",
            6,
            12,
            "invalid type: integer `7`, expected a string",
        ),
        ("[[rule]]", "[[rule]", 2, 8, ""),
        (
            "reg.test/app",
            "réf/ü",
            4,
            11,
            "it must begin with a registry",
        ),
        (
            IMAGES,
            "files = [\"ü\", \"a?\"]",
            4,
            15,
            "only * and ** stand",
        ),
        (
            ISSUER,
            "claims = {\n  a = \"b\" }",
            5,
            1,
            "a signer has one issuer",
        ),
        (
            ISSUER,
            "issuer = \"b\"\nclaims = { a = \"b\" }",
            8,
            12,
            "no claim \"a\"",
        ),
    ] {
        let error = changed(from, to);
        assert_eq!(error.position, Some(Position { line, column }), "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("line {line}, column {column}: ")),
            "{text}"
        );
        assert!(text.contains(message), "{text}");
    }
    let first_line = refused("version = 2").position;
    assert_eq!(
        first_line,
        Some(Position {
            line: 1,
            column: 11
        })
    );
    let error = format!("{RULE}claims = {{ repository = \"a\" }}");
    let error = refused(&error);
    assert!(error.details()[0].1.contains("source-repository-uri"));
}

#[test]
fn no_depth_of_nesting_ends_the_program() {
    let deep = format!("version = 1\nrule = {}", "[".repeat(100_000));
    assert_eq!(refused(&deep).code(), "policy-malformed");
    let deep = format!("version = 1\n{} = 1", vec!["a"; 100_000].join("."));
    assert_eq!(refused(&deep).code(), "policy-malformed");
}
