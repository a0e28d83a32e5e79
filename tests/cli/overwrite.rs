//! What a call reads is never replaced by what it writes, however the two are named.

use crate::support::World;

const REFUSAL: &str = "is to be written, and the same call reads it";

/// A world with something of every kind to read.
fn world() -> World {
    let world = World::new();
    for (name, content) in [
        ("a", "content of a"),
        ("b", "content of b"),
        ("predicate", "{}"),
        ("images", "registry.example.test/app:v1\n"),
        ("rule.toml", "version = 1\n"),
        ("token", "not a token"),
    ] {
        world.write(name, content);
    }
    world.keyless("sign-blob a").run().exits(0);
    std::fs::create_dir(world.path("layout")).unwrap();
    world.write("layout/index.json", "{}");
    std::os::unix::fs::symlink("a", world.path("symlink")).unwrap();
    std::fs::hard_link(world.path("a"), world.path("hardlink")).unwrap();
    std::os::unix::fs::symlink(".", world.path("here")).unwrap();
    world
}

#[test]
fn an_output_that_is_an_input_is_refused_before_anything_is_done() {
    let world = world();
    let files = world.files();
    let made = world.counts().total();
    let kept = [
        "a",
        "b",
        "predicate",
        "images",
        "rule.toml",
        "token",
        "a.sigstore.json",
    ];
    let before = kept.map(|name| world.read(name));
    for call in [
        // Every way to write a name.
        "sign-blob a --overwrite --bundle a",
        "sign-blob a --overwrite --bundle ./a",
        "sign-blob a --overwrite --bundle here/a",
        "sign-blob a --overwrite --bundle symlink",
        "sign-blob a --overwrite --bundle hardlink",
        "sign-blob symlink --overwrite --bundle a",
        "sign-blob hardlink --overwrite --bundle a",
        "sign-blob ./here/a --overwrite --bundle here/here/a",
        // Every output.
        "sign-blob a --bundle c --overwrite --output-signature a",
        "sign-blob a --bundle c --overwrite --output-certificate a",
        "sign-blob a --bundle c --output-file a",
        "sign-blob a a.sigstore.json --overwrite",
        // Every input, and every command that writes.
        "sign-blob a --bundle c --identity-token token --output-file token",
        "sign-blob a --overwrite --bundle rule.toml --trusted-root rule.toml",
        "sign-blob a --overwrite --bundle rule.toml --signing-config rule.toml",
        "attest-blob a b --overwrite --type vuln --predicate predicate --bundle b",
        "attest-blob a --overwrite --type vuln --predicate predicate --bundle predicate",
        "attest-blob a --overwrite --statement predicate --bundle predicate",
        "attest-blob a --type vuln --predicate predicate --bundle c --output-file predicate",
        "sign --from images --overwrite --bundle images",
        "sign --from images --output-file images",
        "attest --from images --type vuln --predicate predicate --overwrite --bundle predicate",
        "verify --from images --policy rule.toml --output-file images",
        "verify --from images --policy rule.toml --output-file rule.toml",
        "verify --local-image layout --policy rule.toml --output-file layout/index.json",
        "verify-blob a --policy rule.toml --output-file a",
        "verify-blob a --policy rule.toml --output-file a.sigstore.json",
        "verify-blob a --policy rule.toml --bundle b --output-file b",
        "verify-blob a --key rule.toml --bundle b --output-file rule.toml",
        "inspect a.sigstore.json --output-file a.sigstore.json",
        "bundle upgrade a.sigstore.json --overwrite --out a.sigstore.json",
        "bundle upgrade a.sigstore.json --overwrite --out a --artifact a",
        "bundle create --bundle a.sigstore.json --overwrite --out a.sigstore.json",
        "bundle create --bundle a.sigstore.json --output-file a.sigstore.json",
        "bundle create --signature b --certificate a --artifact a --overwrite --out b",
        "policy check --policy rule.toml --output-file rule.toml",
        "load registry.example.test/app:v1 --dir layout --output-file layout/index.json",
        "save registry.example.test/app:v1 --dir layout --output-file layout/index.json",
    ] {
        let run = world.keyless(call).run();
        assert!(
            run.stderr.contains(REFUSAL),
            "{call}: {:?} {}",
            run.code,
            run.stderr
        );
        run.exits(2);
        assert_eq!(world.files(), files, "{call}");
    }
    assert_eq!(kept.map(|name| world.read(name)), before);
    assert_eq!(world.counts().total(), made, "nothing was asked of anybody");
}

#[test]
fn files_of_trust_material_are_inputs_too() {
    let world = world();
    for call in [
        "trusted-root create --fulcio=url=https://ca.example.test,certificate-chain=b,start-time=2024-01-01T00:00:00Z --out b",
        "trusted-root create --fulcio=url=https://ca.example.test,certificate-chain=b --output-file here/b",
    ] {
        let run = world.keyless(call).run();
        run.exits(2).says(REFUSAL);
        assert_eq!(world.read("b"), "content of b");
    }
}

#[test]
fn what_is_no_input_is_replaced_as_before() {
    let world = world();
    // Without --overwrite it is refused as any file that is there.
    world
        .keyless("sign-blob a --bundle b --output json")
        .run()
        .fails(3, "file-exists");
    world
        .keyless("sign-blob a --bundle a --output json")
        .run()
        .fails(3, "file-exists");
    world.keyless("sign-blob a --overwrite").run().exits(0);
    world
        .keyless("sign-blob a --overwrite --bundle b")
        .run()
        .exits(0);
    world
        .keyless("verify-blob a --output-file b")
        .args(world.expecting())
        .run()
        .exits(0);
    world
        .keyless("verify-blob a --output-file layout/told")
        .args(world.expecting())
        .run()
        .exits(0);
    assert!(world.files().contains(&"a".to_owned()));
}

#[test]
fn no_limit_is_too_large_to_be_one() {
    let world = world();
    world.write("large", format!("{{\"a\":\"{}\"}}", "x".repeat(1000)));
    for limit in [
        "18446744073709551615",
        "18446744073709551614",
        "9223372036854775807",
    ] {
        world
            .keyless(
                "attest-blob a --overwrite --type https://own.test/x --predicate large --bundle c",
            )
            .args(["--max-attachment-size", limit])
            .run()
            .exits(0);
        let run = world
            .keyless("verify-blob-attestation a --type https://own.test/x --bundle c --output json")
            .args(["--max-attachment-size", limit])
            .args(world.expecting())
            .run()
            .exits(0);
        assert!(run.stdout.contains(&"x".repeat(1000)), "{limit}");
    }
}
