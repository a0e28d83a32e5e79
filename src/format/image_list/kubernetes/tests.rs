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
