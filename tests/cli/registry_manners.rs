//! Registries of every manner, and what each command makes of them: one table.
//!
//! What is attached under a manner is found under it again, whatever the registry says of itself; where nothing can be
//! attached, or not everything be read, the exit code says so. "No signature" (10) is said where there is none.

use keyless::sandbox::registry::{MANNERS, Manner, UploadLocation};

use crate::support::{Image, REPOSITORY, Run, World, put_image};

/// What is done under a manner, in this order, on one image.
const STEPS: [&str; 12] = [
    "verify unsigned",
    "sign",
    "attest",
    "verify",
    "verify-attestation",
    "tree",
    "copy",
    "verify copy",
    "save",
    "download",
    "attach",
    "clean",
];

/// Exit codes of a registry as it should be, step by step.
const GOOD: [i32; 12] = [10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Rows that differ from [`GOOD`]: a manner, a step, its exit code. Every other cell is as if there were no manner.
fn differs(manner: Manner, step: &str) -> Option<i32> {
    let is = |steps: &[&str]| steps.contains(&step);
    match manner {
        // An image without signatures cannot be told from one whose signatures the API holds.
        Manner::Referrers(status) => match (status, step) {
            (404, _) => None,
            (403, "verify unsigned") => Some(43),
            (500, "verify unsigned") => Some(41),
            (501, "verify unsigned") => Some(41),
            (204, "verify unsigned") => Some(42),
            (_, "verify unsigned") => Some(44),
            _ => None,
        },
        Manner::ReferrersAre(media_type, text) => {
            let is_list = media_type.contains("index") && text.contains("\"manifests\"");
            let is_document = media_type.contains("index") || text == "{}";
            match step {
                "verify unsigned" if is_list => None,
                "verify unsigned" if is_document => Some(22),
                "verify unsigned" => Some(42),
                _ => None,
            }
        }
        // Nothing is deleted, and the exit code says so.
        Manner::Delete(status) if is(&["clean"]) => Some(if status == 403 { 43 } else { 44 }),
        _ => None,
    }
}

struct Scene<'a> {
    world: &'a World,
    image: Image,
    name: &'static str,
}

impl Scene<'_> {
    fn run(&self, step: &str) -> Run {
        let (world, image) = (self.world, self.image.by_digest());
        let copy = format!("{}-copy:v1", self.image.repository);
        let bundle = format!("{}.json", self.name);
        let expecting = world.expecting();
        match step {
            "verify" | "verify unsigned" => {
                world.keyless("verify").arg(image).args(expecting).run()
            }
            "sign" => {
                let run = world.keyless("sign --overwrite --bundle");
                run.args([&bundle, &image]).run()
            }
            "attest" => {
                let run = world.keyless("attest --type custom --predicate predicate.json");
                run.arg(image).run()
            }
            "verify-attestation" => {
                let run = world.keyless("verify-attestation --type custom").arg(image);
                run.args(expecting).run()
            }
            "tree" => {
                let run = world.keyless("tree --output json").arg(image).run();
                if run.code == Some(0) {
                    let document = run.json();
                    let attached = document["manifest"]["attached"].as_array().unwrap();
                    assert_eq!(attached.len(), 2, "{}: {run:#?}", self.name);
                }
                run
            }
            "copy" => world.keyless("copy").args([&image, &copy]).run(),
            "verify copy" => world.keyless("verify").arg(copy).args(expecting).run(),
            "save" => {
                let run = world.keyless("save --overwrite --dir").arg(self.name);
                run.arg(image).run()
            }
            "download" => {
                let run = world.keyless("download signature").arg(image).run();
                assert_eq!(run.stdout.lines().count(), 1, "{}: {run:#?}", self.name);
                run
            }
            "attach" => {
                let run = world.keyless("attach bundle").args([&image, &bundle]);
                run.args(expecting).run()
            }
            "clean" => world.keyless("clean --force").arg(image).run(),
            _ => panic!("no such step: {step}"),
        }
    }
}

/// Runs every step under a manner; returns what differs from the table.
fn try_manner(world: &World, name: &'static str, manners: &[Manner]) -> Vec<String> {
    let registry = world.sandbox.registry();
    let host = world.host(keyless::sandbox::Service::Registry);
    registry.set_manners([]);
    let repository = format!("{REPOSITORY}-{name}");
    let image = put_image(registry, &host, &repository, "v1");
    let scene = Scene { world, image, name };
    registry.set_manners(manners.iter().copied());
    let mut wrong = Vec::new();
    for (step, good) in STEPS.into_iter().zip(GOOD) {
        let differs = manners.first().and_then(|manner| differs(*manner, step));
        let expected = differs.unwrap_or(good);
        let run = scene.run(step);
        if run.code != Some(expected) {
            let code = run.code;
            wrong.push(format!(
                "{name}: {step}: {code:?}, not {expected}\n{run:#?}"
            ));
        }
        // What was signed and attached is found as long as it is there.
        if step == "clean" && run.code != Some(0) {
            wrong.extend((scene.run("verify").code != Some(0)).then(|| format!("{name}: lost")));
        }
    }
    wrong
}

fn table(wanted: impl Fn(Manner) -> bool) {
    let world = World::new();
    world.write("predicate.json", "{\"x\":1}");
    let rows = MANNERS.iter().filter(|(_, manner)| wanted(*manner));
    let wrong: Vec<String> = rows
        .flat_map(|(name, manner)| try_manner(&world, name, &[*manner]))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_registry_without_manners_is_what_the_table_compares_with() {
    let world = World::new();
    world.write("predicate.json", "{\"x\":1}");
    assert_eq!(try_manner(&world, "none", &[]), [""; 0]);
}

#[test]
fn lists_that_answer_something_else() {
    table(|manner| matches!(manner, Manner::Referrers(_)));
}

#[test]
fn lists_that_are_no_list_or_lack_something() {
    table(|manner| {
        use Manner::{ReferrersAre, ReferrersLate, SubjectUnconfirmed};
        matches!(
            manner,
            ReferrersAre(..) | ReferrersLate(_) | SubjectUnconfirmed
        )
    });
}

#[test]
fn heads_and_mounts_that_are_refused() {
    table(|manner| matches!(manner, Manner::Head(_) | Manner::Mount(_)));
}

#[test]
fn deletes_that_are_refused() {
    table(|manner| matches!(manner, Manner::Delete(_)));
}

#[test]
fn uploads_in_every_way() {
    table(|manner| {
        use Manner::{ChunkMinimum, Location, Patch, PutWithContent, Range};
        matches!(
            manner,
            Location(_) | ChunkMinimum(_) | Patch(_) | PutWithContent(_) | Range(_)
        )
    });
}

#[test]
fn answers_and_tokens_in_every_spelling() {
    table(|manner| {
        use Manner::{EntityTag, NoContentDigest, Ok200, Token};
        matches!(manner, EntityTag(_) | NoContentDigest | Ok200 | Token(_))
    });
}

/// Real ones have more than one manner.
#[test]
fn several_manners_at_once() {
    let world = World::new();
    world.write("predicate.json", "{\"x\":1}");
    let no_api = Manner::Referrers(404);
    let sets: [(&str, &[Manner]); 5] = [
        ("tag-etag-odd", &[no_api, Manner::EntityTag("1")]),
        ("tag-etag-weak", &[no_api, Manner::EntityTag("W/\"1\"")]),
        ("tag-etag-strong", &[no_api, Manner::EntityTag("\"1\"")]),
        (
            "tag-bare",
            &[
                no_api,
                Manner::Head(405),
                Manner::NoContentDigest,
                Manner::Ok200,
            ],
        ),
        (
            "405-chunks",
            &[
                Manner::Referrers(405),
                Manner::PutWithContent(413),
                Manner::ChunkMinimum(1 << 20),
                Manner::Location(UploadLocation::Query),
                Manner::Head(403),
            ],
        ),
    ];
    let wrong: Vec<String> = sets
        .into_iter()
        .flat_map(|(name, manners)| try_manner(&world, name, manners))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Two at once: the claim is made, the list has nothing, and nothing may be written to make up for it.
#[test]
fn what_cannot_be_attached_is_kept_and_said_to_be() {
    let world = World::new();
    let host = world.host(keyless::sandbox::Service::Registry);
    let registry = world.sandbox.registry();
    let image = put_image(registry, &host, REPOSITORY, "v1");
    registry.set_manners([
        Manner::Location(UploadLocation::Missing),
        Manner::PutWithContent(400),
        Manner::Mount(405),
    ]);
    registry.take_out(keyless::sandbox::registry::Handler::BlobPost);
    let run = world.keyless("sign").arg(image.by_digest()).run();
    run.exits(42).says("could not be attached").says("bundle: ");
    registry.set_manners([]);
    let files = world.files();
    assert!(
        files.iter().any(|name| name.ends_with(".sigstore.json")),
        "{files:?}"
    );
}

/// The command line has the manners as faults of both registries.
#[test]
fn a_sandbox_starts_with_manners() {
    let world = World::with(&["registry-referrers-404", "registry-head-405"]);
    let image = world.image("v1");
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    let run = world.keyless("verify").arg(image.by_digest());
    run.args(world.expecting()).run().exits(0);
}

/// An unusable fallback document hides neither an older signature nor its own unusability.
#[test]
fn an_unusable_place_hides_nothing() {
    use keyless::format::oci::{OCI_INDEX, fallback_tag};
    for (text, code) in [("[]", 22), ("{\"manifests\":{}}", 22), ("{}", 22), ("", 22)] {
        let world = World::new();
        let host = world.host(keyless::sandbox::Service::RegistryPlain);
        let plain = world.sandbox.registry_plain();
        let image = put_image(plain, &host, REPOSITORY, "v1");
        let sign = world.keyless("sign --format legacy").arg(image.by_digest());
        let tag = fallback_tag(&image.descriptor.digest);
        plain
            .put_manifest(REPOSITORY, Some(&tag), OCI_INDEX, text.to_owned())
            .unwrap();
        let verify = || {
            let run = world.keyless("verify --output json").arg(image.by_digest());
            run.args(world.expecting()).run()
        };
        verify().exits(code);
        sign.run().exits(0);
        let run = verify().exits(0).says("warning: not everything").says(&tag);
        assert_eq!(run.json()["warnings"].as_array().unwrap().len(), 1);
    }
}

/// What the API lists does not keep a reader from what the fallback tag has beside it.
#[test]
fn both_lists_are_read() {
    let world = World::new();
    let host = world.host(keyless::sandbox::Service::Registry);
    let registry = world.sandbox.registry();
    let image = put_image(registry, &host, REPOSITORY, "v1");
    registry.set_manners([Manner::ReferrersLate(100)]);
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    world.write("predicate.json", "{\"x\":1}");
    // The newest is never on the API's list: the attestation is not, and the signature is.
    let run = world.keyless("attest --type custom --predicate predicate.json");
    run.arg(image.by_digest()).run().exits(0);
    for command in ["verify", "verify-attestation --type custom"] {
        let run = world.keyless(command).arg(image.by_digest());
        run.args(world.expecting()).run().exits(0);
    }
    let run = world
        .keyless("inspect --output json")
        .arg(image.by_digest());
    run.run().exits(0);
}
