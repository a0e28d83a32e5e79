use serde_json::{Value, json};

use super::*;

fn now() -> UnixTime {
    UnixTime::parse_rfc3339("2026-11-23T07:00:00Z").unwrap()
}

fn made(given_type: &str, bytes: &[u8]) -> Result<String, PredicateError> {
    predicate(given_type, bytes, now()).map(Cow::into_owned)
}

/// A predicate of each type with a schema, and members without which it is none.
fn genuine() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    vec![
        (
            "slsaprovenance",
            json!({ "builder": { "id": "https://b" }, "buildType": "https://t", "materials": [{ "uri": "git+x" }] }),
            vec!["/builder", "/builder/id", "/buildType"],
        ),
        (
            "slsaprovenance1",
            json!({
                "buildDefinition": {
                    "buildType": "https://t", "externalParameters": {}, "resolvedDependencies": [{ "uri": "x" }],
                },
                "runDetails": { "builder": { "id": "https://b" }, "metadata": {} },
            }),
            vec![
                "/buildDefinition",
                "/buildDefinition/buildType",
                "/buildDefinition/externalParameters",
                "/runDetails",
                "/runDetails/builder",
                "/runDetails/builder/id",
            ],
        ),
        (
            "spdxjson",
            json!({
                "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app", "dataLicense": "CC0-1.0",
                "creationInfo": { "created": "2026-11-23T07:00:00Z", "creators": ["Tool: x"] }, "packages": [],
            }),
            vec![
                "/spdxVersion",
                "/SPDXID",
                "/name",
                "/dataLicense",
                "/creationInfo",
                "/creationInfo/created",
                "/creationInfo/creators",
            ],
        ),
        (
            "spdxjson",
            json!({ "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [] }),
            vec!["/@graph"],
        ),
        (
            "cyclonedx",
            json!({ "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": [] }),
            vec!["/bomFormat", "/specVersion"],
        ),
        (
            "vuln",
            json!({
                "scanner": { "uri": "pkg:x", "db": {}, "result": {} },
                "metadata": { "scanStartedOn": "2026-11-23T07:00:00Z", "scanFinishedOn": "2026-11-23T07:01:00Z" },
            }),
            vec![
                "/scanner",
                "/scanner/uri",
                "/metadata",
                "/metadata/scanStartedOn",
                "/metadata/scanFinishedOn",
            ],
        ),
        (
            "openvex",
            json!({
                "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://x/vex", "author": "a",
                "timestamp": "2026-11-23T07:00:00Z", "version": 1,
                "statements": [{ "vulnerability": { "name": "CVE-1" }, "status": "fixed" }],
            }),
            vec![
                "/@context",
                "/@id",
                "/author",
                "/timestamp",
                "/statements",
                "/statements/0/vulnerability",
                "/statements/0/status",
            ],
        ),
        (
            "link",
            json!({ "name": "build", "materials": {}, "command": ["make"], "byproducts": {}, "environment": {} }),
            vec!["/name", "/materials"],
        ),
    ]
}

#[test]
fn each_type_has_what_its_specification_requires() {
    for (kind, value, required) in genuine() {
        let text = value.to_string();
        assert_eq!(
            made(kind, text.as_bytes()).as_deref(),
            Ok(text.as_str()),
            "{kind}"
        );
        for pointer in required {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let mut without = value.clone();
            let parent_value = without.pointer_mut(parent).unwrap();
            parent_value.as_object_mut().unwrap().remove(name).unwrap();
            let mut other = value.clone();
            // No member may be true.
            *other.pointer_mut(pointer).unwrap() = true.into();
            for changed in [without, other] {
                let error = made(kind, changed.to_string().as_bytes()).unwrap_err();
                let PredicateError::Member { member, .. } = &error else {
                    panic!("{kind} {pointer}: {error}");
                };
                let dotted = pointer[1..].replace("/0/", "[0].").replace('/', ".");
                assert_eq!(*member, dotted, "{kind}");
                assert_eq!(error.code(), "predicate-invalid");
            }
        }
        // What the type does not name is carried along.
        let mut further = value.clone();
        further["x-own"] = json!({ "n": [1] });
        let further = further.to_string();
        assert_eq!(made(kind, further.as_bytes()), Ok(further.clone()));
    }
}

#[test]
fn optional_members_are_of_their_kind() {
    for (kind, member) in [
        ("slsaprovenance", "invocation"),
        ("slsaprovenance", "buildConfig"),
        ("slsaprovenance", "metadata"),
        ("slsaprovenance", "materials"),
        ("spdxjson", "packages"),
        ("spdxjson", "files"),
        ("spdxjson", "relationships"),
        ("spdxjson", "documentNamespace"),
        ("cyclonedx", "components"),
        ("cyclonedx", "services"),
        ("cyclonedx", "dependencies"),
        ("cyclonedx", "vulnerabilities"),
        ("cyclonedx", "metadata"),
        ("cyclonedx", "version"),
        ("cyclonedx", "serialNumber"),
        ("vuln", "invocation"),
        ("link", "command"),
        ("link", "byproducts"),
        ("link", "environment"),
    ] {
        let (_, mut value, _) = genuine().into_iter().find(|(k, ..)| *k == kind).unwrap();
        value[member] = Value::Null;
        assert!(
            made(kind, value.to_string().as_bytes()).is_ok(),
            "{kind} {member}"
        );
        value[member] = true.into();
        let error = made(kind, value.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.code(), "predicate-invalid", "{kind} {member}");
    }
    let (_, mut value, _) = genuine().swap_remove(0);
    value["materials"] = json!(["text"]);
    let error = made("slsaprovenance", value.to_string().as_bytes()).unwrap_err();
    assert!(matches!(error, PredicateError::Member { member, .. } if member == "materials[0]"));
    let (_, mut value, _) = genuine().swap_remove(1);
    for pointer in ["internalParameters", "resolvedDependencies"] {
        let mut changed = value.clone();
        changed["buildDefinition"][pointer] = true.into();
        assert!(made("slsaprovenance1", changed.to_string().as_bytes()).is_err());
    }
    for pointer in ["metadata", "byproducts"] {
        let mut changed = value.clone();
        changed["runDetails"][pointer] = true.into();
        assert!(made("slsaprovenance1", changed.to_string().as_bytes()).is_err());
    }
    value["runDetails"]["builder"]["id"] = "".into();
    assert!(made("slsaprovenance1", value.to_string().as_bytes()).is_err());
    let (_, mut value, _) = genuine().swap_remove(5);
    for (db, fits) in [(Value::Null, true), (json!({}), true), (json!([]), false)] {
        value["scanner"]["db"] = db;
        assert_eq!(made("vuln", value.to_string().as_bytes()).is_ok(), fits);
    }
}

#[test]
fn kinds_are_those_of_json() {
    let fits = |kind: &str, pointer: &str, other: Value| {
        let (_, mut value, _) = genuine().into_iter().find(|(k, ..)| *k == kind).unwrap();
        *value.pointer_mut(pointer).unwrap() = other;
        made(kind, value.to_string().as_bytes()).is_ok()
    };
    for number in [json!(-1), json!(0), json!(1.5e300)] {
        assert!(fits("cyclonedx", "/version", number));
    }
    for other in [json!("1"), json!([1]), json!({ "n": 1 })] {
        assert!(!fits("cyclonedx", "/version", other));
    }
    for named in [json!("CVE-1"), json!({ "name": "CVE-1" })] {
        assert!(fits("openvex", "/statements/0/vulnerability", named));
    }
    for other in [json!(""), json!(["CVE-1"]), json!(1)] {
        assert!(!fits("openvex", "/statements/0/vulnerability", other));
    }
}

#[test]
fn a_predicate_of_a_whole_statement_is_an_object_or_an_spdx_text() {
    assert_eq!(check(SPDX_DOCUMENT, r#""SPDXVersion: SPDX-2.3""#), Ok(()));
    assert_eq!(check("https://own.test/type", r#"{"x":1}"#), Ok(()));
    assert!(check(SPDX_DOCUMENT, r#"{"x":1}"#).is_err());
    for (raw, words) in [
        ("[{}]", "a list"),
        ("\"\"", "an empty string"),
        ("\"text\"", "a string"),
        ("true", "true or false"),
        ("false", "true or false"),
        ("null", "null"),
        ("-1", "a number"),
    ] {
        let error = check("https://own.test/type", raw).unwrap_err();
        let PredicateError::Member { member, found, .. } = &error else {
            panic!("{raw}: {error}");
        };
        assert_eq!((member.as_str(), found.as_str()), ("the whole", words));
    }
}

#[test]
fn a_wrong_member_is_shown_where_it_is_short() {
    let found = |builder: &Value| {
        let text = json!({ "builder": builder, "buildType": "https://t" }).to_string();
        match made("slsaprovenance", text.as_bytes()) {
            Err(PredicateError::Member { found, .. }) => found,
            other => panic!("{other:?}"),
        }
    };
    let text = "x".repeat(78);
    assert_eq!(found(&json!(text)), format!("\"{text}\""));
    assert_eq!(found(&json!("x".repeat(79))), "a string");
    assert_eq!(found(&json!(vec![0; 100])), "a list");
}

#[test]
fn what_cosign_signs_empty_is_refused() {
    for kind in [
        "slsaprovenance",
        "slsaprovenance02",
        "slsaprovenance1",
        "vuln",
        "cyclonedx",
        "openvex",
        "link",
        "spdxjson",
    ] {
        assert_eq!(
            made(kind, br#"{"x":1}"#).unwrap_err().code(),
            "predicate-invalid",
            "{kind}"
        );
    }
    assert!(made("https://own.test/type", br#"{"x":1}"#).is_ok());
}

#[test]
fn bytes_are_carried_exactly() {
    let text = "{ \"b\" : 1.0e2 ,\n \"a\":\"\\u00e9\" , \"n\": 12345678901234567890 }";
    let padded = format!("\n {text} \n");
    assert_eq!(
        made("https://own.test/type", padded.as_bytes()).as_deref(),
        Ok(text)
    );
}

#[test]
fn what_is_no_predicate_is_refused() {
    for (bytes, code) in [
        (&b""[..], "predicate-malformed"),
        (b"{", "predicate-malformed"),
        (b"{} {}", "predicate-malformed"),
        (br#"{"a":1,"a":2}"#, "predicate-malformed"),
        (br#"{"a":{"b":[{"c":1,"c":2}]}}"#, "predicate-malformed"),
        (b"[]", "predicate-malformed"),
        (b"\"text\"", "predicate-malformed"),
        (b"null", "predicate-malformed"),
        (b"{\"a\":\"\xff\"}", "predicate-malformed"),
    ] {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(
            made("https://own.test/type", bytes).unwrap_err().code(),
            code,
            "{shown}"
        );
    }
    assert_eq!(
        made("custom", b"\xff").unwrap_err().code(),
        "predicate-not-text"
    );
    assert_eq!(
        made("spdx", b"\xff").unwrap_err().code(),
        "predicate-not-text"
    );
}

#[test]
fn text_is_wrapped_as_cosign_does() {
    let text = "line \"one\"\n\u{1}é<>&";
    let wrapped: Value = serde_json::from_str(&made("custom", text.as_bytes()).unwrap()).unwrap();
    assert_eq!(
        wrapped,
        json!({ "Data": text, "Timestamp": "2026-11-23T07:00:00Z" })
    );
    let string: Value = serde_json::from_str(&made("spdx", text.as_bytes()).unwrap()).unwrap();
    assert_eq!(string, text);
}

#[test]
fn types_have_names_and_any_uri_is_its_own() {
    assert_eq!(
        type_uri("slsaprovenance1"),
        Ok("https://slsa.dev/provenance/v1")
    );
    assert_eq!(type_uri("custom"), Ok(CUSTOM));
    for uri in ["https://a.test/x?y#z", "urn:example:1", "a+b-1.2:x"] {
        assert_eq!(type_uri(uri), Ok(uri));
    }
    for wrong in [
        "",
        "slsa",
        "Custom",
        "https://a b",
        "https:",
        ":x",
        "1a:b",
        "https://a\u{202e}",
        "a_b:c",
    ] {
        assert_eq!(
            type_uri(wrong).unwrap_err().code(),
            "predicate-type",
            "{wrong}"
        );
    }
}
