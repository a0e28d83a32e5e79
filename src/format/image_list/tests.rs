//! What all kinds have in common: bounds, kinds told by name and content, plain lists.

use super::*;
use crate::diagnostic::Diagnostic as _;
use crate::format::limits::IMAGE_LIST_DEPTH;

/// Reads a text as a kind.
pub(super) fn read(kind: ImageListKind, text: &str) -> Result<ImageList, ImageListError> {
    ImageList::parse(text.as_bytes(), "-", Some(kind))
}

/// Names and lines of what is found.
#[track_caller]
pub(super) fn images(kind: ImageListKind, text: &str) -> Vec<(String, usize)> {
    let list = read(kind, text).unwrap();
    let images = list.images.into_iter();
    images.map(|image| (image.reference, image.line)).collect()
}

/// Names of what is found.
#[track_caller]
pub(super) fn names(kind: ImageListKind, text: &str) -> Vec<String> {
    images(kind, text)
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

/// What is told beside the images.
#[track_caller]
pub(super) fn remarks(kind: ImageListKind, text: &str) -> Vec<String> {
    let list = read(kind, text).unwrap();
    let remarks = list.remarks.iter();
    remarks
        .map(|remark| format!("{} {}", remark.line, remark.kind))
        .collect()
}

#[track_caller]
pub(super) fn refused(kind: ImageListKind, text: &str, code: &str, line: Option<usize>) {
    let error = read(kind, text).unwrap_err();
    assert_eq!(
        (error.code(), error.line()),
        (code, line),
        "{error} for {text:?}"
    );
}

fn told(name: &str, text: &str) -> Result<ImageListKind, ImageListError> {
    detect::kind(text, name)
}

#[test]
fn a_list_has_one_image_a_line() {
    let text = "# all of them\n\n  registry.example/a:1  \r\nregistry.example/b@sha256:00 # the other\n\
                registry.example/a:1\nc\n";
    let list = read(ImageListKind::List, text).unwrap();
    let found: Vec<(&str, usize)> = list
        .images
        .iter()
        .map(|image| (image.reference.as_str(), image.line))
        .collect();
    assert_eq!(
        found,
        [
            ("registry.example/a:1", 3),
            ("registry.example/b@sha256:00", 4),
            ("c", 6)
        ]
    );
    assert!(list.remarks.is_empty());
    assert_eq!(names(ImageListKind::List, "\u{feff}a\nb#c"), ["a", "b#c"]);
}

#[test]
fn a_list_has_nothing_else() {
    refused(ImageListKind::List, "a\nb c\n", "image-list-name", Some(2));
    refused(ImageListKind::List, "a\rb", "image-list-name", Some(1));
    refused(ImageListKind::List, "a\u{7}", "image-list-name", Some(1));
    let long = "a".repeat(IMAGE_NAME_LEN + 1);
    refused(ImageListKind::List, &long, "image-list-name", Some(1));
    let longest = &long[1..];
    assert_eq!(names(ImageListKind::List, longest), [longest]);
}

#[test]
fn a_file_without_an_image_is_refused() {
    let empty = [
        (ImageListKind::List, ""),
        (ImageListKind::List, "# nothing\n\n"),
        (ImageListKind::Kubernetes, ""),
        (ImageListKind::Kubernetes, "---\n---\n# nothing\n"),
        (
            ImageListKind::Kubernetes,
            "apiVersion: v1\nkind: ConfigMap\ndata: {image: a}\n",
        ),
        (ImageListKind::Compose, "services: {a: {build: .}}\n"),
        (ImageListKind::Compose, ""),
        (ImageListKind::Dockerfile, "# nothing\n"),
        (ImageListKind::Dockerfile, "FROM scratch\nCOPY a /\n"),
    ];
    for (kind, text) in empty {
        refused(kind, text, "image-list-empty", None);
    }
}

#[test]
fn what_is_read_is_bounded() {
    let many = |count: usize| -> String { (0..count).map(|i| format!("a{i}\n")).collect() };
    let list = many(LISTED_IMAGES);
    assert_eq!(names(ImageListKind::List, &list).len(), LISTED_IMAGES);
    // The same again is no more.
    assert_eq!(
        names(ImageListKind::List, &list.repeat(2)).len(),
        LISTED_IMAGES
    );
    let more = many(LISTED_IMAGES + 1);
    refused(ImageListKind::List, &more, "image-list-too-many", None);

    let mut bytes = b"a\n".to_vec();
    bytes.resize(IMAGE_LIST_LEN, b'\n');
    let parse = |bytes: &[u8]| ImageList::parse(bytes, "list", None);
    assert_eq!(parse(&bytes).unwrap().images.len(), 1);
    bytes.push(b'\n');
    assert_eq!(parse(&bytes).unwrap_err().code(), "image-list-too-large");
}

#[test]
fn remarks_are_bounded_and_defaults_are_told_once() {
    let stages = |count: usize| format!("FROM a\n{}", "FROM scratch\n".repeat(count));
    let kind = ImageListKind::Dockerfile;
    assert_eq!(remarks(kind, &stages(LISTED_IMAGES)).len(), LISTED_IMAGES);
    refused(
        kind,
        &stages(LISTED_IMAGES + 1),
        "image-list-too-many",
        None,
    );
    let defaults = format!("ARG X=a\n{}", "FROM $X\n".repeat(LISTED_IMAGES + 1));
    assert_eq!(remarks(kind, &defaults).len(), 1);
}

#[test]
fn text_is_utf8() {
    let error = ImageList::parse(b"a\nb\n\xff", "list", None).unwrap_err();
    assert_eq!(
        (error.code(), error.line()),
        ("image-list-not-text", Some(3))
    );
}

#[test]
fn a_name_tells_the_kind() {
    let dockerfiles = [
        "Dockerfile",
        "Dockerfile.prod",
        "dir.yaml/Containerfile",
        "app.dockerfile",
        "a\\Dockerfile",
    ];
    for name in dockerfiles {
        assert_eq!(
            told(name, "services:\n"),
            Ok(ImageListKind::Dockerfile),
            "{name}"
        );
    }
    let compose = [
        "compose.yaml",
        "compose.yml",
        "a/docker-compose.yml",
        "docker-compose.prod.yml",
        "compose.override.yaml",
    ];
    for name in compose {
        assert_eq!(
            told(name, "kind: a\napiVersion: b"),
            Ok(ImageListKind::Compose),
            "{name}"
        );
    }
    for name in ["-", "images.txt", "composer.txt", "Dockerfiles", "images"] {
        assert_eq!(told(name, "a\n"), Ok(ImageListKind::List), "{name}");
    }
}

#[test]
fn content_tells_the_kind() {
    use ImageListKind::*;
    let kinds = [
        ("apiVersion: v1\nkind: Pod", Kubernetes),
        ("---\nkind: Pod\napiVersion: v1", Kubernetes),
        (
            "# first\n--- # second\n---\napiVersion: v1\nkind: Pod",
            Kubernetes,
        ),
        ("{\"apiVersion\": \"v1\", \"kind\": \"List\"}", Kubernetes),
        ("%YAML 1.2\n---\nkind: Pod\napiVersion: v1", Kubernetes),
        ("name: a\nservices:\n  a: {}\n", Compose),
        ("services:\n", Compose),
        ("x: &x {services: {}}\n<<: *x\n", Compose),
        ("FROM a", Dockerfile),
        ("# syntax=a\n\narg A=1\nFROM a", Dockerfile),
        ("  From a AS b", Dockerfile),
        ("from", List),
        ("a:1\nb", List),
        ("registry.example:5000/a\n", List),
        ("docker.io/a\nFROM b", List),
        ("", List),
        ("- a", List),
    ];
    for (text, kind) in kinds.into_iter().take(kinds.len() - 1) {
        assert_eq!(told("-", text), Ok(kind), "{text:?}");
    }
    for text in [
        "- a\n- b\n",
        "image: a\n",
        "{}",
        "[a]",
        "a:\n",
        "--- a\n",
        "apiVersion: v1\n",
    ] {
        let error = told("-", text).unwrap_err();
        assert_eq!(error.code(), "image-list-kind-unknown", "{text:?}");
    }
    // By its name it is YAML, whatever it looks like.
    assert_eq!(
        told("a.yaml", "a\n").unwrap_err().code(),
        "image-list-kind-unknown"
    );
    assert_eq!(
        told("a.json", "FROM a\n").unwrap_err().code(),
        "image-list-kind-unknown"
    );
    assert_eq!(told("a.yml", "{").unwrap_err().code(), "image-list-yaml");
    assert_eq!(told("a.yml", "kind: Pod\napiVersion: v1"), Ok(Kubernetes));
}

#[test]
fn names_in_messages_are_cut_and_clean() {
    let hostile = format!("a\u{1b}[2J{}", "b".repeat(9999));
    let list = format!("{hostile} c");
    let compose = format!(
        "services:\n  \"{}\":\n    image: a\n",
        hostile.escape_default()
    );
    let error = read(ImageListKind::List, &list).unwrap_err().to_string();
    assert!(error.len() < 200 && !error.contains('\u{1b}'), "{error}");
    if let Ok(list) = read(ImageListKind::Compose, &compose) {
        let place = &list.images[0].place;
        assert!(place.len() < 200 && !place.contains('\u{1b}'), "{place}");
    }
    let deep = "[".repeat(IMAGE_LIST_DEPTH + 1);
    let error = read(ImageListKind::Kubernetes, &deep).unwrap_err();
    assert_eq!(error.code(), "image-list-too-deep");
}

#[test]
fn what_looks_alike_is_told_apart() {
    for name in ["compose", "docker-compose.txt", "compose.lst"] {
        assert_eq!(told(name, "a\n"), Ok(ImageListKind::List), "{name}");
    }
    for text in ["registry.example/b # first\n", "some words: x\n"] {
        assert_eq!(told("-", text), Ok(ImageListKind::List), "{text:?}");
    }
    for (name, text, line) in [
        ("a.yaml", "", 1),
        ("-", "# first\n\nimage: a\n", 3),
        ("-", "kind: Pod\n", 1),
    ] {
        let error = told(name, text).unwrap_err();
        let found = (error.code(), error.line());
        assert_eq!(found, ("image-list-kind-unknown", Some(line)), "{text:?}");
    }
}
