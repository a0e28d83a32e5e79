//! Images named by files: `sign --from` and `verify --from`, many at once.

use keyless::sandbox::Service;
use serde_json::{Value, json};

use crate::support::{Image, Run, World};

/// Images of a list, beside the one that nobody signed.
const GOOD: usize = 30;

/// Thirty images that are signed in one run, and one that is not, somewhere among them.
struct Many {
    world: World,
    /// In the order in which files name them.
    images: Vec<Image>,
    unsigned: usize,
}

impl Many {
    fn new() -> Self {
        let world = World::new();
        let mut images: Vec<Image> = (0..GOOD).map(|i| world.image(&format!("v{i}"))).collect();
        let list: String = images
            .iter()
            .map(|image| image.by_digest() + "\n")
            .collect();
        world.write("images.txt", list);
        world.keyless("sign --from images.txt").run().exits(0);
        let unsigned = 17;
        images.insert(unsigned, world.image("unsigned"));
        Many {
            world,
            images,
            unsigned,
        }
    }

    /// A file with a part for each image.
    fn file(&self, head: &str, part: impl Fn(usize, &str) -> String) -> String {
        let parts = self.images.iter().enumerate();
        let parts = parts.map(|(i, image)| part(i, &image.by_digest()));
        format!("{head}{}", parts.collect::<String>())
    }

    fn verify(&self, arguments: &[&str], stdin: &str) -> Run {
        self.world
            .keyless("verify --output json")
            .args(arguments)
            .args(self.world.expecting())
            .stdin(stdin)
            .run()
    }

    /// Asserts that each image has its own verdict, in the file's order, in one document.
    #[track_caller]
    fn are_judged(&self, run: Run, line_of: impl Fn(usize) -> usize, place: &str) {
        let run = run.exits(10);
        let document = run.json();
        let summary = json!({ "images": GOOD + 1, "accepted": GOOD, "refused": 1, "errors": 0 });
        assert_eq!(document["summary"], summary, "{run:#?}");
        assert_eq!(document["exitCode"], 10);
        let verdicts = document["images"].as_array().unwrap();
        assert_eq!(verdicts.len(), self.images.len());
        for (i, (verdict, image)) in verdicts.iter().zip(&self.images).enumerate() {
            assert_eq!(verdict["image"], image.by_digest());
            assert_eq!(verdict["namedIn"]["line"], line_of(i), "image {i}");
            let of_image = place.replace("{i}", &i.to_string());
            assert_eq!(verdict["namedIn"]["place"], of_image);
            if i == self.unsigned {
                assert_eq!(verdict["result"], "refused");
                assert_eq!(verdict["error"]["code"], "no-signature");
            } else {
                assert_eq!(verdict["result"], "accepted");
                assert_eq!(verdict["error"], Value::Null);
            }
        }
        let total = GOOD + 1;
        run.says(&format!("{total} images: {GOOD} verified, 1 refused"));
    }
}

#[test]
fn every_kind_of_file_names_the_same_images() {
    let many = Many::new();
    let world = &many.world;

    let list = many.file("# all\n\n", |_, image| format!("{image} # one\n"));
    world.write("all.txt", &list);
    many.are_judged(many.verify(&["--from", "all.txt"], ""), |i| i + 3, "");
    many.are_judged(many.verify(&["--from", "-"], &list), |i| i + 3, "");

    let manifests = many.file("", |i, image| {
        format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d{i}}}\nspec:\n  template:\n    spec:\n      \
             containers:\n      - name: c\n        image: {image}\n"
        )
    });
    world.write("all.yaml", &manifests);
    let place = "Deployment/d{i}, container c";
    let run = many.verify(&["--from", "all.yaml"], "");
    many.are_judged(run, |i| 10 * i + 10, place);
    many.are_judged(
        many.verify(&["--from", "-"], &manifests),
        |i| 10 * i + 10,
        place,
    );

    let pods: Vec<Value> = many
        .images
        .iter()
        .enumerate()
        .map(|(i, image)| {
            let container = json!({ "name": "c", "image": image.by_digest() });
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("p{i}") },
                "spec": { "initContainers": [container] },
            })
        })
        .collect();
    let pods = json!({ "apiVersion": "v1", "kind": "List", "items": pods });
    let place = "Pod/p{i}, init container c";
    many.are_judged(
        many.verify(&["--from", "-"], &pods.to_string()),
        |_| 1,
        place,
    );

    let compose = many.file("services:\n", |i, image| {
        format!("  s{i}:\n    image: {image}\n")
    });
    world.write("compose.yaml", &compose);
    let run = many.verify(&["--from", "compose.yaml"], "");
    many.are_judged(run, |i| 2 * i + 3, "service s{i}");

    let dockerfile = many.file("", |i, image| format!("FROM {image} AS s{i}\n"));
    world.write("Dockerfile", &dockerfile);
    let run = many.verify(&["--from", "Dockerfile"], "");
    many.are_judged(run, |i| i + 1, "stage s{i}");
    // Whatever it is called.
    world.write("all.bin", &dockerfile);
    let run = many.verify(&["--from", "all.bin", "--from-format", "dockerfile"], "");
    many.are_judged(run, |i| i + 1, "stage s{i}");

    // One at a time is the same.
    let run = many.verify(&["--from", "all.txt", "--jobs", "1"], "");
    many.are_judged(run, |i| i + 3, "");
}

#[test]
fn people_read_where_a_refused_image_is_named() {
    let many = Many::new();
    let compose = many.file("services:\n", |i, image| {
        format!("  s{i}: {{image: \"{image}\"}}\n")
    });
    many.world.write("compose.yaml", compose);
    let unsigned = many.images[many.unsigned].by_digest();
    let verify = |arguments: &str| {
        many.world
            .keyless(arguments)
            .args(many.world.expecting())
            .run()
            .exits(10)
            .says(&format!("refused {unsigned}\n"))
            .says("  named in compose.yaml, line 19, service s17\n")
    };
    let run = verify("verify --from compose.yaml")
        .says("31 images: 30 verified, 1 refused\n")
        .shows(&format!("verified {}\n", many.images[0].by_digest()));
    assert!(!run.stdout.contains(&unsigned), "{run:#?}");
    // Nobody watches, so that nothing is drawn.
    assert!(!run.stderr.contains('\r'), "{run:#?}");
    verify("verify --quiet --from compose.yaml").does_not_say("31 images");
}

#[test]
fn the_worst_outcome_is_the_exit_code() {
    let world = World::new();
    let image = world.image("v1");
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    let unsigned = world.image("v2");
    let missing = format!("{}:missing", image.repository);
    let unreachable = "127.0.0.1:1/a:b";
    let list = [
        &image.by_digest(),
        unreachable,
        &missing,
        &unsigned.by_digest(),
    ]
    .join("\n");
    let run = world
        .keyless("verify --from - --output json")
        .args(world.expecting())
        .stdin(list)
        .run()
        .exits(11);
    let document = run.json();
    let of_each: Vec<&Value> = document["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| &verdict["exitCode"])
        .collect();
    assert_eq!(of_each, [0, 40, 11, 10]);
    let summary = json!({ "images": 4, "accepted": 1, "refused": 2, "errors": 1 });
    assert_eq!(document["summary"], summary);
    run.says("4 images: 1 verified, 2 refused, 1 not judged");
}

#[test]
fn arguments_and_files_name_images_together() {
    let world = World::new();
    let images = [world.image("v1"), world.image("v2"), world.image("v3")];
    let [one, two, three] = images.each_ref().map(Image::by_digest);
    world.write("two.txt", format!("{two}\n{one}\n"));
    let run = world
        .keyless("sign --output json --from two.txt --from -")
        .arg(&one)
        .stdin(format!(
            "services: {{a: {{image: '{three}'}}, b: {{image: '{two}'}}}}"
        ))
        .run()
        .exits(0)
        .says("3 images: 3 signed\n");
    // One certificate for all of them.
    assert_eq!(world.count(Service::Fulcio), 1);
    let document = run.json();
    let signed: Vec<(&Value, &Value)> = document["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|signed| (&signed["image"], &signed["namedIn"]))
        .collect();
    let in_file = |file: &str, place: &str| json!({ "file": file, "line": 1, "place": place });
    assert_eq!(
        signed,
        [
            (&json!(one), &Value::Null),
            (&json!(two), &in_file("two.txt", "")),
            (&json!(three), &in_file("-", "service a")),
        ]
    );
    let summary = json!({ "images": 3, "accepted": 3, "refused": 0, "errors": 0 });
    assert_eq!(document["summary"], summary);
    // One image alone needs no sum.
    world
        .keyless("verify")
        .arg(&one)
        .args(world.expecting())
        .run()
        .exits(0)
        .does_not_say("images:");
}

#[test]
fn nothing_is_asked_for_a_file_that_is_refused() {
    let world = World::new();
    let good = world.image("v1").by_digest();
    let before = world.sandbox.requests().len();
    let refused = |stdin: &str, arguments: &str, code: &str, says: &str| {
        for command in ["verify", "sign"] {
            let run = world
                .keyless(&format!("{command} --output json {arguments}"))
                .stdin(stdin)
                .run();
            run.fails(2, code).says(says);
        }
    };
    let from = "--from -";
    let malformed = format!("{good}\n\nregistry.example/A b\n");
    refused(
        &malformed,
        from,
        "image-list-name",
        "error: standard input, line 3: not the name",
    );
    let malformed = format!("{good}\nregistry.example/App\n");
    refused(
        &malformed,
        from,
        "image-reference-malformed",
        "error: standard input, line 2: malformed",
    );
    refused(
        "",
        from,
        "image-list-empty",
        "the list of images names no image",
    );
    refused(
        "FROM scratch\n",
        from,
        "image-list-empty",
        "the Dockerfile names no image",
    );
    refused(
        "a: b\n",
        from,
        "image-list-kind-unknown",
        "--from-format says",
    );
    let variable = format!("services: {{a: {{image: '{good}'}}, b: {{image: 'b:${{TAG}}'}}}}");
    refused(
        &variable,
        from,
        "image-list-variable",
        "the variable TAG, which has no default",
    );
    let template = "apiVersion: v1\nkind: Pod\nspec:\n  image: {{ .Values.image }}\n";
    refused(template, from, "image-list-ambiguous", "helm template");
    refused(
        &good,
        "--from - --from-format compose",
        "image-list-shape",
        "not a compose file",
    );
    refused(
        &good,
        "--from - --from -",
        "usage-conflict",
        "can be read once",
    );
    for command in ["verify", "sign"] {
        world
            .keyless(&format!("{command} --output json --from none.txt"))
            .run()
            .fails(3, "file-not-found");
        for arguments in [
            "",
            "--from-format list",
            "--from a --jobs 0",
            "--from a --jobs 257",
        ] {
            world
                .keyless(&format!("{command} {arguments}"))
                .run()
                .exits(2);
        }
    }
    world
        .keyless("verify --local-image --from a")
        .run()
        .exits(2);
    world
        .keyless("sign --output json --from - --identity-token -")
        .run()
        .fails(2, "usage-conflict");
    assert_eq!(world.sandbox.requests().len(), before);
}

#[test]
fn what_a_file_leaves_out_is_told() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    let dockerfile = format!(
        "# syntax=docker/dockerfile:1\nARG BASE={image}\nFROM ${{BASE}} AS build\nFROM scratch\nCOPY --from=build / /\n"
    );
    let sign = |arguments: &str| {
        world
            .keyless(&format!("sign --output json --from - {arguments}"))
            .stdin(dockerfile.as_str())
            .run()
            .exits(0)
    };
    let run = sign("")
        .says("warning: standard input, line 1: left out docker/dockerfile:1")
        .says("standard input, line 4: left out scratch")
        .says("standard input, line 5: left out build, a stage of the same file");
    let warnings = run.json()["warnings"].clone();
    let warnings: Vec<&str> = warnings
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains("which reads the Dockerfile"),
        "{warnings:?}"
    );
    assert!(warnings[1].contains("BASE was taken to be"), "{warnings:?}");
    // Warnings are no part of what is asked to be quiet.
    sign("--quiet")
        .says("warning: standard input, line 1: left out")
        .does_not_say("left out scratch");
}
