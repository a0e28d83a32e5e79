use super::super::tests::{images, names, read, refused, remarks};
use super::super::{ImageListKind, ListedImage};

const KIND: ImageListKind = ImageListKind::Kubernetes;

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    metadata: {labels: {image: none}}
    spec:
      initContainers:
      - name: migrate
        image: registry.example/migrate:1
      containers:
      - name: app
        image: registry.example/app@sha256:00
        env:
        - {name: image, value: none}
      - name: proxy
        image: 'registry.example/proxy:2'
      volumes:
      - name: model
        image:
          reference: registry.example/model:3
          pullPolicy: Always
      - name: data
        emptyDir: {}
";

#[test]
fn a_pod_template_names_its_images() {
    assert_eq!(
        images(KIND, DEPLOYMENT),
        [
            ("registry.example/migrate:1".to_owned(), 11),
            ("registry.example/app@sha256:00".to_owned(), 14),
            ("registry.example/proxy:2".to_owned(), 18),
            ("registry.example/model:3".to_owned(), 22),
        ]
    );
    let list = read(KIND, DEPLOYMENT).unwrap();
    let places: Vec<&str> = list.images.iter().map(|i| i.place.as_str()).collect();
    assert_eq!(
        places,
        [
            "Deployment/web, init container migrate",
            "Deployment/web, container app",
            "Deployment/web, container proxy",
            "Deployment/web, image volume",
        ]
    );
    assert!(list.remarks.is_empty());
}

#[test]
fn every_kind_with_a_pod_is_read() {
    let pod = "{containers: [{name: a, image: a}]}";
    let specs = [
        ("v1", "Pod", format!("spec: {pod}")),
        ("v1", "PodTemplate", format!("template: {{spec: {pod}}}")),
        (
            "apps/v1",
            "StatefulSet",
            format!("spec: {{template: {{spec: {pod}}}}}"),
        ),
        (
            "batch/v1",
            "CronJob",
            format!("spec: {{jobTemplate: {{spec: {{template: {{spec: {pod}}}}}}}}}"),
        ),
        (
            "v1",
            "List",
            format!("items: [{{apiVersion: v1, kind: Pod, spec: {pod}}}]"),
        ),
        (
            "v1",
            "PodList",
            format!("items: [{{metadata: {{name: b}}, spec: {pod}}}]"),
        ),
        (
            "serving.knative.dev/v1",
            "Service",
            format!("spec: {{template: {{spec: {pod}}}}}"),
        ),
        (
            "v1",
            "Pod",
            "spec: {ephemeralContainers: [{image: a}]}".to_owned(),
        ),
    ];
    for (version, kind, spec) in specs {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: n}}\n{spec}\n");
        assert_eq!(names(KIND, &text), ["a"], "{kind}");
    }
}

#[test]
fn documents_and_json_are_read() {
    let pod = |image: &str| {
        format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {image}\n")
    };
    let text = format!(
        "---\n# nothing\n---\n{}---\n{}...\n---\n{}",
        pod("a"),
        pod("b"),
        pod("a")
    );
    assert_eq!(
        images(KIND, &text),
        [("a".to_owned(), 8), ("b".to_owned(), 14)]
    );
    let json = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\n\
                \t\"spec\":{\"containers\":[{\"name\":\"c\",\n\"image\":\"registry.example\\/a:1\"}]}}\n";
    assert_eq!(
        read(KIND, json).unwrap().images,
        [ListedImage {
            reference: "registry.example/a:1".to_owned(),
            line: 3,
            place: "Pod/p, container c".to_owned(),
        }]
    );
}

#[test]
fn other_keys_named_image_are_no_images() {
    let text = "\
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations: {image: no, containers: [{image: no}]}
spec:
  containers: [{image: yes, env: [{name: image, value: no}]}]
status:
  image: no
  containers: [{image: no}]
  containerStatuses: [{image: no}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {image: no, pod: 'containers: [{image: no}]'}
";
    assert_eq!(names(KIND, text), ["yes"]);
    assert!(remarks(KIND, text).is_empty());
}

#[test]
fn a_custom_resource_tells_of_images_that_are_not_read() {
    let text = "\
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: k8s}
spec:
  image: registry.example/prometheus:3
  containers:
  - {name: side, image: registry.example/side:1}
  - {name: patched}
";
    assert_eq!(names(KIND, text), ["registry.example/side:1"]);
    assert_eq!(
        remarks(KIND, text),
        [
            "5 left out registry.example/prometheus:3 of Prometheus/k8s, a custom resource in which only containers \
             are read",
            "8 left out Prometheus/k8s, container patched, which has no image",
        ]
    );
    let list = read(KIND, text).unwrap();
    assert!(list.remarks.iter().all(|remark| remark.kind.is_warning()));
    for version in ["v1", "apps/v1", "gateway.networking.k8s.io/v1"] {
        let text = text.replace("monitoring.coreos.com/v1", version);
        assert_eq!(remarks(KIND, &text).len(), 1, "{version}");
    }
}

#[test]
fn aliases_and_merges_are_followed() {
    let text = "\
apiVersion: v1
kind: Pod
spec:
  initContainers:
  - &base {name: a, image: a}
  containers:
  - *base
  - {<<: *base, name: b}
  - {<<: [{image: c}, *base]}
  - {<<: *base, image: d}
";
    assert_eq!(names(KIND, text), ["a", "c", "d"]);
}

#[test]
fn a_document_that_is_no_object_is_refused() {
    for text in [
        "a: b\n",
        "apiVersion: v1\n",
        "kind: Pod\n",
        "apiVersion: v1\nkind:\n",
        "apiVersion: v1\nkind: [Pod]\n",
        "- apiVersion: v1\n  kind: Pod\n",
        "Pod\n",
    ] {
        refused(KIND, text, "image-list-shape", Some(1));
    }
    // One that is good does not speak for the others.
    let text = format!("{DEPLOYMENT}---\nimage: a\n");
    refused(KIND, &text, "image-list-shape", Some(27));
}

#[test]
fn an_image_is_text() {
    let pod = |image: &str| {
        format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {image}\n")
    };
    for image in ["[a]", "{a: b}", "!custom a", "!!binary YQ=="] {
        refused(KIND, &pod(image), "image-list-shape", Some(5));
    }
    for image in ["''", "a b", "\"a\\u0007\"", "{{ .Values.image }} x"] {
        let error = read(KIND, &pod(image)).unwrap_err();
        assert_eq!(error.line(), Some(5), "{error}");
    }
    assert_eq!(names(KIND, &pod("!!str a")), ["a"]);
    assert_eq!(names(KIND, &pod("1.5")), ["1.5"]);
    for nothing in ["", "~", "null"] {
        let text = format!("{}  - image: b\n", pod(nothing));
        assert_eq!(names(KIND, &text), ["b"]);
        assert_eq!(remarks(KIND, &text).len(), 1);
    }
}

fn places(text: &str) -> Vec<String> {
    let images = read(KIND, text).unwrap().images.into_iter();
    images
        .map(|image| format!("{}: {}", image.place, image.reference))
        .collect()
}

#[test]
fn an_image_is_told_by_the_object_it_is_in() {
    let pod = |head: &str, spec: &str| format!("apiVersion: v1\nkind: Pod\n{head}spec: {spec}\n");
    let container = "{containers: [{name: c, image: a}]}";
    for (text, place) in [
        (pod("", container), "container c: a"),
        (
            pod("metadata: {labels: {name: x}}\n", container),
            "Pod, container c: a",
        ),
        (
            pod("metadata: {name: p, namespace: n}\n", container),
            "Pod/p, container c: a",
        ),
        // What is named by its kind alone is another object, and not this one.
        (
            pod(
                "metadata: {name: p}\n",
                "{kind: Other, containers: [{name: c, image: a}]}",
            ),
            "Pod/p, container c: a",
        ),
    ] {
        assert_eq!(places(&text), [place], "{text}");
    }
}

#[test]
fn lists_of_containers_are_found_wherever_they_stand() {
    let b = "{containers: [{image: b}]}";
    for spec in [
        format!("{{status: {b}, containers: [{{image: a}}]}}"),
        format!("{{metadata: {b}, containers: [{{image: a}}]}}").replace("metadata", "meta"),
        format!("{{image: {b}, containers: [{{image: a}}]}}"),
        format!("{{containers: [{{image: a, x: {b}}}]}}"),
        format!("{{volumes: [{{x: {b}}}], containers: [{{image: a}}]}}"),
        format!("{{volumes: {b}, containers: [{{image: a}}]}}"),
        format!("{{initContainers: {b}, containers: [{{image: a}}]}}"),
    ] {
        let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {spec}\n");
        let mut found = names(KIND, &text);
        found.sort();
        assert_eq!(found, ["a", "b"], "{spec}");
    }
}

#[test]
fn what_refers_to_no_image_is_none() {
    let text = "\
apiVersion: own.test/v1
kind: Own
metadata: {name: o}
spec:
  image:
  containers: [{image: a}]
  volumes:
  - {name: v, other: {reference: no}}
  - {name: w, image: {reference: }}
  - {name: x, image: {reference: ~, pullPolicy: Always}}
";
    assert_eq!(names(KIND, text), ["a"]);
    assert!(remarks(KIND, text).is_empty());
}

#[test]
fn aliases_nest_in_every_shape_and_are_bounded() {
    use crate::format::limits::IMAGE_LIST_DEPTH;
    let chain = |shape: &str, levels: usize| {
        let mut text = String::from("apiVersion: v1\nkind: Pod\nspec:\n  a0: &a0 {y: x}\n");
        for i in 1..=levels {
            let alias = format!("*a{}", i - 1);
            text += &format!("  a{i}: &a{i} {}\n", shape.replace('@', &alias));
        }
        text + "  containers: [{image: a}]\n"
    };
    for shape in [
        "[@]",
        "{k: @}",
        "{containers: @}",
        "{volumes: @}",
        "{containers: [{k: @}]}",
        "{volumes: [{k: @}]}",
    ] {
        let error = read(KIND, &chain(shape, 4 * IMAGE_LIST_DEPTH)).unwrap_err();
        assert_eq!(
            crate::diagnostic::Diagnostic::code(&error),
            "image-list-too-deep",
            "{shape}"
        );
    }
    // Around the outermost alias are the document and its `spec`; within the innermost is its text.
    let room = IMAGE_LIST_DEPTH - 3;
    for (shape, depth) in [
        ("[@]", 1),
        ("{k: @}", 1),
        ("{containers: @}", 1),
        ("{volumes: @}", 1),
        ("{containers: [{k: @}]}", 2),
        ("{volumes: [{k: @}]}", 2),
    ] {
        let most = room / depth;
        assert_eq!(names(KIND, &chain(shape, most)), ["a"], "{shape}");
        assert!(read(KIND, &chain(shape, most + 1)).is_err(), "{shape}");
    }
}
