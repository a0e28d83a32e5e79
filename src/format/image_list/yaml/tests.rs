use super::super::ImageListKind;
use super::super::tests::{names, refused};
use super::*;
use crate::diagnostic::Diagnostic as _;

const KIND: ImageListKind = ImageListKind::Kubernetes;

fn pod(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nspec:\n{spec}")
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut text = String::from("  a0: &a0 {containers: [{image: a}]}\n");
    for i in 1..40 {
        let before = format!("*a{}", i - 1);
        text += &format!("  a{i}: &a{i} [{}]\n", [before.as_str(); 9].join(", "));
    }
    let Err(error) = super::super::tests::read(KIND, &pod(&text)) else {
        panic!("a bomb was read");
    };
    let ImageListError::TooManyValues { limit, aliases, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((limit, aliases), (IMAGE_LIST_VISITS, true));
    let few = pod(&text
        .lines()
        .take(4)
        .map(|line| format!("{line}\n"))
        .collect::<String>());
    assert_eq!(names(KIND, &few), ["a"]);
}

#[test]
fn merges_that_multiply_are_refused() {
    let mut text = String::from("  a0: &a0 {k: v}\n");
    for i in 1..40 {
        let before = format!("*a{}", i - 1);
        text += &format!(
            "  a{i}: &a{i} {{<<: [{}]}}\n",
            [before.as_str(); 9].join(", ")
        );
    }
    let line = pod(&text).lines().count();
    let error = super::super::tests::read(KIND, &pod(&text)).unwrap_err();
    assert!(
        matches!(error, ImageListError::TooManyValues { aliases: true, .. }),
        "{error} in {line}"
    );
}

#[test]
fn aliases_that_nest_are_refused() {
    let mut text = String::from("  a0: &a0 [x]\n");
    for i in 1..200 {
        text += &format!("  a{i}: &a{i} [*a{}]\n", i - 1);
    }
    let error = super::super::tests::read(KIND, &pod(&text)).unwrap_err();
    assert!(matches!(error, ImageListError::TooDeep { .. }), "{error}");
    let mut text = String::from("  a0: &a0 {k: v}\n");
    for i in 1..200 {
        text += &format!("  a{i}: &a{i} {{<<: *a{}}}\n", i - 1);
    }
    let error = super::super::tests::read(KIND, &pod(&text)).unwrap_err();
    assert!(matches!(error, ImageListError::TooDeep { .. }), "{error}");
}

#[test]
fn an_alias_is_for_something_before_it() {
    for spec in [
        "  &a x: *b\n",
        "  x: &a [*a]\n",
        "  x: &a {y: [*a]}\n",
        "  &a x: &b {k: *b}\n",
    ] {
        let error = super::super::tests::read(KIND, &pod(spec)).unwrap_err();
        assert_eq!(error.line(), Some(4), "{spec:?}: {error}");
    }
    // Another document's.
    let text = format!("{}---\n{}", pod("  x: &a 1\n"), pod("  y: *a\n"));
    assert!(super::super::tests::read(KIND, &text).is_err());
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| {
        let spec = format!(
            "  x: {}{}\n  containers: [{{image: a}}]\n",
            "[".repeat(levels),
            "]".repeat(levels)
        );
        pod(&spec)
    };
    // The document, spec, and what is asked for.
    assert_eq!(names(KIND, &nested(IMAGE_LIST_DEPTH - 2)), ["a"]);
    refused(
        KIND,
        &nested(IMAGE_LIST_DEPTH - 1),
        "image-list-too-deep",
        Some(4),
    );
    let deep: String = (0..9000)
        .map(|i| format!("{}- \n", " ".repeat(i % 500)))
        .collect();
    assert!(super::super::tests::read(KIND, &deep).is_err());
    refused(KIND, &"- ".repeat(9000), "image-list-too-deep", Some(1));
}

#[test]
fn values_are_bounded() {
    let many = |count: usize| {
        pod(&format!(
            "  containers: [{{image: a}}]\n  x: [{}]\n",
            "a,".repeat(count)
        ))
    };
    // Beside them: the keys and values of the head, and where each collection begins and ends.
    let most = IMAGE_LIST_VALUES - 19;
    assert_eq!(names(KIND, &many(most)), ["a"]);
    let code = "image-list-too-many-values";
    refused(KIND, &many(most + 1), code, Some(6));
    let aliases = format!("  x: &a b\n  y: [{}]\n", "*a,".repeat(IMAGE_LIST_VALUES));
    refused(KIND, &pod(&aliases), code, Some(5));
    let documents = |count: usize| pod("  containers: [{image: a}]\n") + &"---\n".repeat(count - 1);
    assert_eq!(names(KIND, &documents(IMAGE_LIST_DOCUMENTS)), ["a"]);
    let more = documents(IMAGE_LIST_DOCUMENTS + 1);
    refused(KIND, &more, "image-list-too-many", None);
}

#[test]
fn keys_stand_once_and_are_text() {
    let twice = pod("  containers:\n  - image: a\n    image: b\n");
    refused(KIND, &twice, "image-list-duplicate-key", Some(6));
    let twice = pod("  containers:\n  - {image: a, \"image\": b}\n");
    refused(KIND, &twice, "image-list-duplicate-key", Some(5));
    let twice = pod("  containers: [{image: a}]\n  containers: [{image: b}]\n");
    refused(KIND, &twice, "image-list-duplicate-key", Some(5));
    let merged_twice = pod("  x: {<<: {a: b}, <<: {c: d}}\n");
    refused(KIND, &merged_twice, "image-list-duplicate-key", Some(4));
    for (key, code) in [
        ("[a]", "image-list-ambiguous"),
        ("? {a: b}\n ", "image-list-ambiguous"),
        // A template that was not rendered.
        ("{{ .Values.x }}", "image-list-ambiguous"),
        ("!x image", "image-list-ambiguous"),
        ("!!binary aW1hZ2U=", "image-list-ambiguous"),
    ] {
        refused(KIND, &pod(&format!("  {key}: c\n")), code, Some(4));
    }
    let plain = pod("  containers:\n  - {!!str image: a, \"<<\": {image: b}}\n");
    assert_eq!(names(KIND, &plain), ["a"]);
    // In quotes it merges nothing.
    let quoted = pod("  containers:\n  - {image: c}\n  - {name: a, \"<<\": {image: b}}\n");
    assert_eq!(names(KIND, &quoted), ["c"]);
    let tagged = pod("  containers:\n  - {!!merge \"<<\": {image: b}}\n");
    assert_eq!(names(KIND, &tagged), ["b"]);
    for merged in ["a", "[a]", "[[{image: a}]]"] {
        let text = pod(&format!("  x: {{<<: {merged}}}\n"));
        refused(KIND, &text, "image-list-ambiguous", Some(4));
    }
}

#[test]
fn disputed_ends_of_lines_are_refused() {
    for c in DISPUTED_BREAKS {
        let text = pod(&format!("  containers: [{{image: a}}] # {c} - image: b\n"));
        refused(KIND, &text, "image-list-ambiguous", Some(4));
    }
    let windows = pod("  containers:\n  - image: a\n").replace('\n', "\r\n");
    assert_eq!(names(KIND, &windows), ["a"]);
}

#[test]
fn what_is_not_yaml_is_refused() {
    for spec in [
        "  a: [\n",
        "  a: \"\n",
        "  a: b: c\n",
        "  - a\n b\n",
        "  a: *\n",
        "  a: @b\n",
        "\ta: b\n",
        "  a: 'b\n",
        "  ? a\n  b\n",
    ] {
        let error = super::super::tests::read(KIND, &pod(spec)).unwrap_err();
        assert_eq!(error.code(), "image-list-yaml", "{spec:?}: {error}");
        assert!(
            error.line().is_some_and(|line| line >= 3),
            "{spec:?}: {error}"
        );
    }
}

#[test]
fn lists_that_multiply_are_refused() {
    let mut text = String::from("  a0: &a0 [x]\n");
    for i in 1..40 {
        let before = format!("*a{}", i - 1);
        text += &format!("  a{i}: &a{i} [{}]\n", [before.as_str(); 9].join(", "));
    }
    let error = super::super::tests::read(KIND, &pod(&text)).unwrap_err();
    assert!(
        matches!(error, ImageListError::TooManyValues { aliases: true, .. }),
        "{error}"
    );
    let many = pod(&format!("  x: [{}]\n", "a,".repeat(IMAGE_LIST_VALUES)));
    let error = super::super::tests::read(KIND, &many).unwrap_err();
    assert!(
        matches!(error, ImageListError::TooManyValues { aliases: false, .. }),
        "{error}"
    );
}

#[test]
fn what_is_part_of_itself_is_told_as_that() {
    for spec in [
        "  x: &a [*a]\n",
        "  x: &a {y: [*a]}\n",
        "  x: &a {y: [{z: *a}]}\n",
    ] {
        refused(KIND, &pod(spec), "image-list-ambiguous", Some(4));
    }
    // Beside it, what has ended may be used again.
    let twice = pod("  x: &a [b]\n  y: &c [*a, *a]\n  z: [*c, *a]\n  containers: [{image: d}]\n");
    assert_eq!(names(KIND, &twice), ["d"]);
}

#[test]
fn a_tag_is_the_cores_or_unknown() {
    refused(
        KIND,
        &pod("  containers: [{image: !str a}]\n"),
        "image-list-shape",
        Some(4),
    );
    assert_eq!(
        names(KIND, &pod("  containers: [{image: !!str null}]\n")),
        ["null"]
    );
    let collections = pod("  containers: !!seq [!!map {image: a}]\n");
    assert_eq!(names(KIND, &collections), ["a"]);
}

#[test]
fn the_first_disputed_end_of_a_line_is_told() {
    let text = pod("  x: \"\u{2028}\"\n  y: \"\u{85}\"\n");
    refused(KIND, &text, "image-list-ambiguous", Some(4));
}

#[test]
fn mappings_that_multiply_are_refused() {
    let mut text = String::from("  a0: &a0 x\n");
    for i in 1..40 {
        let members: Vec<String> = (0..9).map(|k| format!("k{k}: *a{}", i - 1)).collect();
        text += &format!("  a{i}: &a{i} {{{}}}\n", members.join(", "));
    }
    let error = super::super::tests::read(KIND, &pod(&text)).unwrap_err();
    assert!(
        matches!(error, ImageListError::TooManyValues { aliases: true, .. }),
        "{error}"
    );
}

#[test]
fn merges_nest_as_deep_as_anything() {
    let chain = |levels: usize| {
        let mut text = String::from("  a0: &a0 {containers: [{image: a}]}\n");
        for i in 1..=levels {
            text += &format!("  a{i}: &a{i} {{<<: *a{}}}\n", i - 1);
        }
        pod(&text)
    };
    assert_eq!(names(KIND, &chain(IMAGE_LIST_DEPTH)), ["a"]);
    let deeper = super::super::tests::read(KIND, &chain(IMAGE_LIST_DEPTH + 1));
    assert!(
        matches!(deeper, Err(ImageListError::TooDeep { .. })),
        "{deeper:?}"
    );
}

#[test]
fn a_members_own_value_is_the_only_one() {
    let spec = "  x: {<<: {containers: [{image: b}]}, containers: [{image: a}]}\n";
    assert_eq!(names(KIND, &pod(spec)), ["a"]);
    let text = pod("  containers:\n  - {image: c}\n  - {name: a, !!str <<: {image: b}}\n");
    assert_eq!(names(KIND, &text), ["c"]);
}
