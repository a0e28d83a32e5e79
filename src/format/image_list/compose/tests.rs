use super::super::ImageListKind;
use super::super::tests::{images, names, read, refused, remarks};

const KIND: ImageListKind = ImageListKind::Compose;

const FILE: &str = "\
name: shop
x-common: &common
  restart: always
  image: registry.example/base:1
services:
  web:
    image: registry.example/web:2
    build: .
  job:
    <<: *common
  worker:
    build: {context: ., dockerfile: D}
  db:
    image: \"registry.example/db@sha256:00\"
    profiles: [debug]
    volumes:
    - ./data:/data
    - {type: image, source: registry.example/seed:3, target: /seed}
    - {type: volume, source: image, target: /x}
volumes:
  image: {}
";

#[test]
fn services_name_their_images() {
    assert_eq!(
        images(KIND, FILE),
        [
            ("registry.example/web:2".to_owned(), 7),
            ("registry.example/base:1".to_owned(), 4),
            ("registry.example/db@sha256:00".to_owned(), 14),
            ("registry.example/seed:3".to_owned(), 18),
        ]
    );
    let list = read(KIND, FILE).unwrap();
    assert_eq!(list.images[0].place, "service web");
    assert_eq!(list.images[3].place, "service db, image volume");
    assert_eq!(
        remarks(KIND, FILE),
        ["12 left out service worker, which is built here"]
    );
    assert!(!list.remarks[0].kind.is_warning());
}

#[test]
fn what_other_files_say_is_told_as_left_out() {
    let text = "\
include: [other.yaml]
services:
  a: {image: a}
  b: {extends: {service: a}}
  c: {extends: {service: x, file: other.yaml}}
  d: {environment: {}}
  e:
  f: !reset null
  g: {extends: a}
";
    assert_eq!(names(KIND, text), ["a"]);
    assert_eq!(
        remarks(KIND, text),
        [
            "1 left out the files that this one includes",
            "5 left out service c, whose image is not named in this file",
            "6 left out service d, whose image is not named in this file",
            "7 left out service e, whose image is not named in this file",
            "8 left out service f, whose image is not named in this file",
        ]
    );
    let list = read(KIND, text).unwrap();
    assert!(list.remarks.iter().all(|remark| remark.kind.is_warning()));
}

fn with_image(image: &str) -> String {
    format!("services:\n  a:\n    image: '{image}'\n")
}

#[test]
fn defaults_stand_for_variables() {
    let expanded = [
        ("a:${TAG:-1}", "a:1"),
        ("a:${TAG-1}", "a:1"),
        ("${R:-registry.example}/a:${TAG:-1}", "registry.example/a:1"),
        ("a:${A:-${B:-${C-2}}}", "a:2"),
        ("a${SUFFIX:+-$SUFFIX}", ""),
        ("a${SUFFIX:+-x}", "a"),
        ("a${SUFFIX+-x}", "a"),
        ("a$$b", "a$b"),
        ("a:${A:-$$B}", "a:$B"),
    ];
    for (image, name) in expanded.into_iter().filter(|(_, name)| !name.is_empty()) {
        assert_eq!(names(KIND, &with_image(image)), [name], "{image}");
    }
    assert_eq!(
        remarks(KIND, &with_image("a:${TAG:-1}")),
        ["3 TAG was taken to be \"1\", its default; with another value this may be another image"]
    );
    assert!(remarks(KIND, &with_image("a$$b")).is_empty());
}

#[test]
fn a_variable_without_a_default_is_refused_by_name() {
    for image in [
        "a:$TAG",
        "a:${TAG}",
        "$TAG",
        "a:${TAG:?it must be set}",
        "a:${TAG?}",
        "a:${A:-$TAG}",
        "a:${A:-b${TAG}}",
        "a${SUFFIX:+-$TAG}",
    ] {
        let error = read(KIND, &with_image(image)).unwrap_err();
        let message = "the image depends on the variable TAG, which has no default";
        assert_eq!(error.to_string(), message, "{image}");
        refused(KIND, &with_image(image), "image-list-variable", Some(3));
    }
}

#[test]
fn other_uses_of_a_dollar_sign_are_refused() {
    for image in [
        "a$",
        "a$-",
        "a${",
        "a${}",
        "a${A",
        "a${A:-b",
        "a${A!b}",
        "a${A:b}",
        "a$1",
        "a${1:-b}",
        "a${A.b}",
        "a${A/b/c}",
        "a${A:?b",
    ] {
        refused(
            KIND,
            &with_image(image),
            "image-list-variable-form",
            Some(3),
        );
    }
    let deep = format!("{}x{}", "${A:-".repeat(20), "}".repeat(20));
    refused(
        KIND,
        &with_image(&deep),
        "image-list-variable-form",
        Some(3),
    );
    let long = "${A:-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}".repeat(64);
    refused(KIND, &with_image(&long), "image-list-name", Some(3));
    let many = "${A:-}".repeat(10_000);
    refused(KIND, &with_image(&many), "image-list-name", Some(3));
    refused(KIND, &with_image("${A:-}"), "image-list-name", Some(3));
}

#[test]
fn a_file_of_another_shape_is_refused() {
    for text in [
        "a\n",
        "[]\n",
        "name: a\n",
        "services:\n",
        "services: [a]\n",
        "services: {a: b}\n",
        "services: {a: [b]}\n",
        "services: {a: {image: [b]}}\n",
        "services: {a: {image: !override b}}\n",
    ] {
        refused(KIND, text, "image-list-shape", Some(1));
    }
}

#[test]
fn what_says_nothing_is_passed_over() {
    let text = "---\n---\nservices:\n  a: {image: , build: .}\n  b: !!map {image: c}\n";
    assert_eq!(names(KIND, text), ["c"]);
    let told = ["4 left out service a, which is built here"];
    assert_eq!(remarks(KIND, text), told);
}

#[test]
fn texts_with_variables_have_bounds() {
    use super::super::variables::{MAX_DEPTH, MAX_LEN};
    use crate::format::limits::IMAGE_NAME_LEN;
    let nested = |operator: &str, levels: usize| {
        let open = format!("${{A:{operator}").repeat(levels);
        with_image(&format!("a{open}b{}", "}".repeat(levels)))
    };
    assert_eq!(names(KIND, &nested("-", MAX_DEPTH)), ["ab"]);
    assert_eq!(names(KIND, &nested("+", MAX_DEPTH)), ["a"]);
    for operator in ["-", "+"] {
        let deeper = nested(operator, MAX_DEPTH + 1);
        refused(KIND, &deeper, "image-list-variable-form", Some(3));
    }
    let long = |len: usize| {
        let empty = "${A:-}".repeat(len / 6 - 1);
        let rest = "b".repeat(len - empty.len());
        (with_image(&format!("{empty}{rest}")), rest)
    };
    let (text, name) = long(MAX_LEN);
    assert_eq!(names(KIND, &text), [name]);
    refused(KIND, &long(MAX_LEN + 1).0, "image-list-name", Some(3));
    let name = "a".repeat(IMAGE_NAME_LEN);
    assert_eq!(names(KIND, &with_image(&name)), [name.as_str()]);
    let longer = with_image(&format!("{name}a"));
    refused(KIND, &longer, "image-list-name", Some(3));
}

#[test]
fn what_a_tag_makes_of_a_service_is_told_as_left_out() {
    let text = "services:\n  a: {image: b}\n  f: !override {image: c}\n";
    assert_eq!(names(KIND, text), ["b"]);
    let told = ["3 left out service f, whose image is not named in this file"];
    assert_eq!(remarks(KIND, text), told);
}
