//! How fast the pure verdict is: bundles of every kind, and the parts of a verdict, beside the P-256
//! verifications of the `openssl speed` on the PATH, in the same run, on one core, with the trusted root
//! parsed once. The baseline is not of this build: what is compiled badly here cannot slow it down too.
//!
//!     cargo run --release --locked --example verify_rate [SECONDS]
//!
//! Bundles are the forge's, with keys as the public instance has them: P-384 authorities, P-256 signers and
//! logs. Three figures a kind, in verdicts a second:
//! - alone: `verify`, nothing remembered from one bundle to the next;
//! - in a batch: 64 bundles of 64 certificates under one `Verifier`, which remembers the authorities;
//! - shared: one certificate and one checkpoint over and over, as the images of one signing have them.
//!
//! Each is followed by its share of OpenSSL's figure and of the raw one of aws-lc-rs, which is to be at least
//! OpenSSL's; medians of seven rounds that take turns.

#[allow(dead_code)]
#[path = "../forge/asn1.rs"]
mod asn1;
#[allow(dead_code)]
#[path = "../forge/certificate.rs"]
mod certificate;
#[allow(dead_code)]
#[path = "../forge/forge.rs"]
mod forge;
#[allow(dead_code)]
#[path = "../forge/key.rs"]
mod key;
#[allow(dead_code)]
#[path = "../forge/log.rs"]
mod log;
#[allow(dead_code)]
#[path = "../forge/token.rs"]
mod token;

use std::hint::black_box;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use keyless::crypto::merkle::{leaf_hash, verify_inclusion};
use keyless::crypto::{HashAlgorithm, SignatureMemo, UnixTime};
use keyless::format::bundle::{Bundle, KeyMaterial};
use keyless::format::checkpoint::Checkpoint;
use keyless::format::log_entry::signed_entry_timestamp_input;
use keyless::format::timestamp::TimestampResponse;
use keyless::verify::chain::verify_chain_at;
use keyless::verify::sct::verify_sct;
use keyless::verify::timestamp::verify_timestamp;
use keyless::verify::{Verifier, verify};

use forge::{Forge, NOW, Scene};
use key::Key;

const ROUNDS: usize = 7;
const BATCH: usize = 64;

/// The public instance's kinds of key: authorities on P-384, everybody else on P-256.
fn as_in_public(mut forge: Forge) -> Forge {
    let (root, ca) = (Key::p384(), Key::p384());
    forge.root.key = root.clone();
    forge.root.signer = root.clone();
    forge.intermediate.key = ca.clone();
    forge.intermediate.signer = root;
    forge.leaf.signer = ca.clone();
    for sct in &mut forge.scts {
        sct.issuer = ca.clone();
    }
    forge
}

/// Bundles of as many certificates under the same authorities.
fn batch(forge: &Forge) -> Vec<Scene> {
    let trust = forge.make().trust;
    let make = |serial: u8| {
        let mut other = forge.clone();
        if !other.managed {
            other.key = Key::p256();
            other.leaf.key = other.key.clone();
            other.leaf.serial = serial;
        }
        let mut scene = other.make();
        let signature = scene.bundle.content.signature();
        let tsa = &trust.timestamp_authorities[0].leaf;
        let tokens = other.tokens.iter();
        let tokens = tokens.map(|token| token.issue(signature, &other.tsa, tsa));
        scene.bundle.timestamps = tokens.collect();
        scene.trust = trust.clone();
        scene
    };
    (0..BATCH).map(|at| make(20 + at as u8)).collect()
}

/// Runs for a while; returns runs a second of processor time.
fn rate(time: Duration, mut run: impl FnMut()) -> f64 {
    run();
    let (began, used) = (Instant::now(), processor_time());
    let mut runs = 0u32;
    while began.elapsed() < time {
        run();
        runs += 1;
    }
    let used = processor_time().zip(used).map(|(now, then)| now - then);
    f64::from(runs) / used.unwrap_or_else(|| began.elapsed()).as_secs_f64()
}

/// What this thread took of the processor so far, as OpenSSL counts too; others may be running.
fn processor_time() -> Option<Duration> {
    std::thread::yield_now(); // which brings the count up to date
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = counts.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// P-256 verifications a second of the OpenSSL on the PATH.
fn openssl_rate() -> std::io::Result<f64> {
    let output = Command::new("openssl")
        .args(["speed", "-seconds", "1", "-mr", "ecdsap256"])
        .output()?;
    // Its only line of this form: "+F4:INDEX:BITS:SIGNATURES-A-SECOND:VERIFICATIONS-A-SECOND".
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("+F4:"))
        .find_map(|figures| figures.rsplit(':').next()?.trim().parse().ok())
        .ok_or_else(|| std::io::Error::other("`openssl speed` gave no figure for ECDSA"))
}

type Run<'a> = Box<dyn FnMut() + 'a>;

struct Row<'a> {
    name: String,
    /// Verdicts that one run makes.
    each: usize,
    run: Run<'a>,
    rates: Vec<f64>,
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> std::io::Result<()> {
    let seconds: f64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.25);
    let time = Duration::from_secs_f64(seconds);
    let kinds = [
        ("hashedrekord 0.0.1, promise and proof", Forge::blob1()),
        ("hashedrekord 0.0.1 and a timestamp", Forge::stamped1()),
        ("dsse 0.0.1, promise and proof", Forge::envelope1()),
        ("hashedrekord 0.0.2, proof and timestamp", Forge::blob2()),
        ("envelope in 0.0.2, proof and timestamp", Forge::envelope2()),
        ("managed key, hashedrekord 0.0.1", Forge::key1()),
    ];
    let made: Vec<(&str, Vec<Scene>)> = kinds
        .into_iter()
        .map(|(name, forge)| (name, batch(&as_in_public(forge))))
        .collect();
    let shared: Vec<Verifier<'_>> = made
        .iter()
        .map(|(_, scenes)| Verifier::new(&scenes[0].trust))
        .collect();

    let signer = Key::p256();
    let signature = signer.sign(b"message");
    let raw_key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, signer.raw());
    let mut rows = vec![Row {
        name: "raw P-256 verification".to_owned(),
        each: 1,
        run: Box::new(|| raw_key.verify(black_box(b"message"), &signature).unwrap()),
        rates: Vec::new(),
    }];
    for ((name, scenes), shared) in made.iter().zip(&shared) {
        let policies: Vec<_> = scenes.iter().map(Scene::policy).collect();
        let policy = policies[0].clone();
        let mut at = 0;
        let alone = policy.clone();
        rows.push(Row {
            name: format!("{name}: alone"),
            each: 1,
            run: Box::new(move || {
                at = (at + 1) % BATCH;
                let scene = &scenes[at];
                verify(&scene.bundle, &scene.artifact, &scene.trust, &alone).unwrap();
            }),
            rates: Vec::new(),
        });
        rows.push(Row {
            name: format!("{name}: in a batch"),
            each: BATCH,
            run: Box::new(move || {
                let verifier = Verifier::new(&scenes[0].trust);
                for (scene, policy) in scenes.iter().zip(&policies) {
                    let verdict = verifier.verify(&scene.bundle, &scene.artifact, policy);
                    verdict.unwrap();
                }
            }),
            rates: Vec::new(),
        });
        let scene = &scenes[0];
        rows.push(Row {
            name: format!("{name}: shared"),
            each: 1,
            run: Box::new(move || {
                let verdict = shared.verify(&scene.bundle, &scene.artifact, &policy);
                verdict.unwrap();
            }),
            rates: Vec::new(),
        });
    }
    rows.extend(parts(&made[1].1[0]));
    let mut outside = Vec::new();
    for _ in 0..ROUNDS {
        outside.push(openssl_rate()?);
        for row in &mut rows {
            let each = row.each as f64;
            let rate = rate(time, &mut row.run) * each;
            row.rates.push(rate);
        }
    }
    let mut out = std::io::stdout().lock();
    let raw = median(&mut rows[0].rates);
    let openssl = median(&mut outside);
    let columns = ["a second", "of OpenSSL", "of raw"];
    writeln!(
        out,
        "{:58} {:>10} {:>10} {:>9}",
        "", columns[0], columns[1], columns[2]
    )?;
    let name = "P-256 verification, `openssl speed`";
    writeln!(
        out,
        "{name:58} {openssl:>10.0} {:>10.3} {:>9.3}",
        1.0,
        openssl / raw
    )?;
    for row in &mut rows {
        let rate = median(&mut row.rates);
        let (of_openssl, of_raw) = (rate / openssl, rate / raw);
        writeln!(
            out,
            "{:58} {rate:>10.0} {of_openssl:>10.3} {of_raw:>9.3}",
            row.name
        )?;
    }
    Ok(())
}

/// The parts of a verdict, each alone, for a bundle in Rekor v1 with a timestamp.
fn parts(scene: &Scene) -> Vec<Row<'_>> {
    let KeyMaterial::Certificate(leaf) = &scene.bundle.key_material else {
        return Vec::new();
    };
    let trust = &scene.trust;
    let (log, entry) = (&trust.logs[0], &scene.bundle.log_entries[0]);
    let proof = entry.inclusion_proof.as_ref().unwrap();
    let promise = entry.inclusion_promise.as_ref().unwrap();
    let promised = signed_entry_timestamp_input(
        &entry.canonicalized_body,
        entry.integrated_time.unwrap(),
        &entry.log_id,
        entry.log_index,
    );
    let times = [UnixTime::from_seconds(NOW)];
    let json = scene.bundle.encode();
    let der = &scene.bundle.timestamps[0];
    let response = TimestampResponse::parse(der).unwrap();
    let chain = verify_chain_at(leaf, &times, &Verifier::new(trust)).unwrap();
    let digest = *scene.artifact.digests().first().unwrap();
    let signature = scene.bundle.content.signature();
    let parts: Vec<(&str, Run<'_>)> = vec![
        ("bundle parsed", {
            Box::new(move || drop(Bundle::parse(json.as_bytes()).unwrap()))
        }),
        ("signature over the artifact", {
            Box::new(move || leaf.public_key().verify_digest(&digest, signature).unwrap())
        }),
        ("certificate and authorities, nothing remembered", {
            Box::new(move || drop(verify_chain_at(leaf, &times, &Verifier::new(trust)).unwrap()))
        }),
        ("signed certificate timestamp", {
            let chain = chain.clone();
            Box::new(move || drop(verify_sct(leaf, &chain, &Verifier::new(trust)).unwrap()))
        }),
        ("inclusion promise", {
            Box::new(move || {
                let hash = HashAlgorithm::Sha256;
                log.public_key.verify(hash, &promised, promise).unwrap();
            })
        }),
        ("checkpoint", {
            Box::new(move || {
                let checkpoint = Checkpoint::parse(&proof.checkpoint).unwrap();
                let memo = SignatureMemo::default();
                let line = &checkpoint.signatures[0];
                assert!(line.verifies(&checkpoint.note, &log.public_key, &memo));
            })
        }),
        ("inclusion proof", {
            Box::new(move || {
                let leaf = leaf_hash(&entry.canonicalized_body);
                let size = proof.tree_size;
                let at = proof.log_index;
                verify_inclusion(at, size, leaf, &proof.hashes, &proof.root_hash).unwrap();
            })
        }),
        ("timestamp parsed", {
            Box::new(move || drop(TimestampResponse::parse(der).unwrap()))
        }),
        ("timestamp, nothing remembered", {
            Box::new(move || {
                let found = verify_timestamp(&response, signature, &Verifier::new(trust));
                assert!(found.unwrap().is_some());
            })
        }),
    ];
    parts
        .into_iter()
        .map(|(name, run)| Row {
            name: format!("part: {name}"),
            each: 1,
            run,
            rates: Vec::new(),
        })
        .collect()
}
