//! Cases as files, for other implementations to judge (`tests/oracle`).
//!
//! With `KEYLESS_FORGE_OUT=DIR` every case that the tables judge is also written to DIR, one folder a case:
//! `bundle.json`, `artifact`, `trusted_root.json`, `key.pem` where a key is asked for, and `case.json`.
//! `DIR/base` holds what each of them was before its one change.

use std::fs;
use std::panic::Location;
use std::path::{Path, PathBuf};

use keyless::crypto::key::KeyKind;
use keyless::crypto::{Digest, PublicKey, TimeRange, UnixTime};
use keyless::diagnostic::Diagnostic as _;
use keyless::format::bundle::{Bundle, KeyMaterial};
use keyless::format::log_entry::key_details;
use keyless::trust::TrustedRoot;
use keyless::trust::trusted_root::{
    CertificateAuthority, LogInstance, MEDIA_TYPE, TimestampAuthority,
};
use keyless::verify::policy::ValueMatcher;
use keyless::verify::{ExpectedContent, Thresholds};
use serde_json::{Value, json};

use crate::PASSES;
use crate::forge::{ARTIFACT, Forge, OTHER_ARTIFACT, Scene, Signed};
use crate::log::{Kind, Rekor, base64};

fn folder() -> Option<PathBuf> {
    std::env::var_os("KEYLESS_FORGE_OUT").map(PathBuf::from)
}

/// Name of a case: the file that its table stands in, and its own.
fn full_name(table: &Location<'_>, name: &str) -> String {
    let stem = Path::new(table.file()).file_stem().unwrap();
    format!("{}.{}", stem.to_str().unwrap(), name.replace('/', "."))
}

/// Writes what passes.
pub fn base(forge: &Forge) {
    let Some(folder) = folder() else { return };
    let scene = forge.make();
    write_base(
        &folder,
        &describe(forge),
        forge,
        &scene,
        &scene.bundle.encode(),
    );
}

/// Writes a case. What our policy alone refuses is left out, and what asks for more than a signer, or gives
/// less than the artifact: no peer is asked the same.
pub fn scene(table: &Location<'_>, name: &str, forge: &Forge, scene: &Scene) {
    let Some(folder) = folder() else { return };
    let code = any(scene);
    let asks_for_more = !scene.claims.is_empty()
        || !scene.waivers.is_empty()
        || scene.thresholds != Thresholds::default();
    let by_policy = code != scene.verify().map_or_else(|error| error.code(), |_| PASSES);
    if asks_for_more || by_policy || code == "digest-needed" {
        return;
    }
    base(forge);
    let about = about(&full_name(table, name), &describe(forge), scene, code);
    write_case(&folder, &scene.bundle.encode(), scene, &about);
}

/// Writes a case of JSON that may be no bundle: before its change, and after.
pub fn document(
    table: &Location<'_>,
    name: &str,
    forge: &Forge,
    scene: &Scene,
    [before, after]: [&str; 2],
) {
    let Some(folder) = folder() else { return };
    let code = match Bundle::parse(after.as_bytes()) {
        Err(error) => error.code(),
        Ok(bundle) => any(&Scene {
            bundle,
            ..scene.clone()
        }),
    };
    let version = match ["=0.1", "=0.2"].iter().find(|end| before.contains(**end)) {
        Some(end) => end.replace('=', "-v"),
        None => String::new(),
    };
    let base = describe(forge) + &version;
    write_base(&folder, &base, forge, scene, before);
    let about = about(&full_name(table, name), &base, scene, code);
    write_case(&folder, after, scene, &about);
}

/// Writes a case whose leaf this program does not read, and returns the code that its bundle is refused with.
pub fn unread(table: &Location<'_>, name: &str, forge: &Forge, scene: &Scene) -> &'static str {
    let leaf = match &scene.bundle.key_material {
        KeyMaterial::Certificate(leaf) => base64(leaf.der()),
        KeyMaterial::PublicKey { .. } => panic!("{name}: no certificate"),
    };
    let unread = base64(
        scene
            .unread_leaf
            .as_ref()
            .unwrap_or_else(|| panic!("{name}: it is read")),
    );
    let before = scene.bundle.encode();
    let after = before.replacen(&leaf, &unread, 1);
    let unchanged = forge.make().bundle.encode();
    document(table, name, forge, scene, [&unchanged, &after]);
    Bundle::parse(after.as_bytes()).map_or_else(|error| error.code(), |_| PASSES)
}

/// Names what is signed, by whom, in which logs, with which timestamps.
pub fn describe(forge: &Forge) -> String {
    let mut name = match (&forge.signed, forge.hinted) {
        (Signed::Blob, true) => "blob",
        (Signed::Blob, false) => "blob-unhinted",
        (Signed::Envelope { .. }, _) => "envelope",
    }
    .to_owned();
    name.push_str(match forge.key.public().kind() {
        KeyKind::EcdsaP256 => "",
        KeyKind::EcdsaP384 => "-p384",
        KeyKind::EcdsaP521 => "-p521",
        KeyKind::Rsa => "-rsa",
        KeyKind::Ed25519 => "-ed25519",
    });
    name.push_str(if forge.managed { "-key" } else { "" });
    for entry in &forge.entries {
        name.push_str(match entry.log.rekor {
            Rekor::V1 => "-v1",
            Rekor::V2 => "-v2",
        });
        name.push_str(match (entry.log.rekor, entry.kind) {
            (Rekor::V2, Kind::Hashedrekord1) => "-older-kind",
            (_, Kind::Intoto) => "-intoto",
            (_, Kind::Dsse2) => "-dsse",
            _ => "",
        });
        let is_odd = entry.log.rekor == Rekor::V2 && !entry.log.key.is_ed25519();
        name.push_str(if is_odd { "-ecdsa" } else { "" });
        let is_odd = entry.log.rekor == Rekor::V1 && !entry.promise;
        name.push_str(if is_odd { "-unpromised" } else { "" });
    }
    name.push_str(&"-stamped".repeat(forge.tokens.len()));
    let is_anchor = forge.tsa_alone && !forge.tokens.is_empty();
    name.push_str(if is_anchor { "-by-anchor" } else { "" });
    name
}

/// Code of the verdict, whatever kind of statement or signature it is.
fn any(scene: &Scene) -> &'static str {
    let scene = Scene {
        content: ExpectedContent::Any,
        ..scene.clone()
    };
    scene.verify().map_or_else(|error| error.code(), |_| PASSES)
}

/// Writes what many cases share, the first time, and a second signature by the same authorities beside it.
fn write_base(folder: &Path, name: &str, forge: &Forge, scene: &Scene, bundle: &str) {
    let folder = folder.join("base").join(name);
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    if fs::create_dir(&folder).is_err() {
        return;
    }
    files(&folder, bundle, scene, &about(name, name, scene, PASSES));
    let scene = forge.sibling().make();
    let folder = folder.join("sibling");
    fs::create_dir(&folder).unwrap();
    let about = about(name, name, &scene, PASSES);
    files(&folder, &scene.bundle.encode(), &scene, &about);
}

fn write_case(folder: &Path, bundle: &str, scene: &Scene, about: &Value) {
    let name = about["name"].as_str().unwrap();
    let folder = folder.join("forged").join(name);
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    fs::create_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
    files(&folder, bundle, scene, about);
}

fn files(folder: &Path, bundle: &str, scene: &Scene, about: &Value) {
    let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    put("bundle.json", bundle.as_bytes());
    put(
        "trusted_root.json",
        trusted_root(&scene.trust).to_string().as_bytes(),
    );
    put("case.json", about.to_string().as_bytes());
    if let Some(bytes) = artifact(scene) {
        put("artifact", bytes);
    }
    if let Some(key) = &scene.expected_key {
        put("key.pem", key.to_pem().as_bytes());
    }
}

/// The artifact's bytes, where its digest is that of bytes known here.
fn artifact(scene: &Scene) -> Option<&'static [u8]> {
    let digests = scene.artifact.digests();
    [ARTIFACT, OTHER_ARTIFACT]
        .into_iter()
        .find(|bytes| digests[0] == Digest::sha256(bytes))
}

fn about(name: &str, base: &str, scene: &Scene, code: &str) -> Value {
    let matcher = |matcher: &ValueMatcher| match matcher {
        ValueMatcher::Exact(text) => json!({ "exact": text }),
        ValueMatcher::Pattern { source, .. } => json!({ "pattern": source }),
    };
    let digest = &scene.artifact.digests()[0];
    json!({
        "name": name,
        "base": base,
        "code": code,
        "digest": format!("{}:{}", digest.algorithm().name(), digest.hex()),
        "key": scene.expected_key.is_some(),
        "identity": matcher(&scene.subject),
        "issuer": matcher(&scene.issuer),
    })
}

fn time(time: UnixTime) -> Value {
    json!(time.rfc3339())
}

fn range(range: TimeRange) -> Value {
    let mut value = json!({ "start": time(range.start) });
    if let Some(end) = range.end {
        value["end"] = time(end);
    }
    value
}

fn details(key: &PublicKey) -> &'static str {
    match key.kind() {
        KeyKind::Ed25519 => "PKIX_ED25519",
        _ => key_details(key),
    }
}

fn log(log: &LogInstance) -> Value {
    json!({
        "baseUrl": log.base_url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": base64(log.public_key.spki_der()),
            "keyDetails": details(&log.public_key),
            "validFor": range(log.valid_for),
        },
        "logId": { "keyId": base64(&log.log_id) },
    })
}

fn chain<'a>(
    uri: &str,
    certificates: impl Iterator<Item = &'a keyless::crypto::Certificate>,
    valid_for: TimeRange,
) -> Value {
    let certificates: Vec<_> = certificates
        .map(|certificate| json!({ "rawBytes": base64(certificate.der()) }))
        .collect();
    json!({
        "subject": { "organization": "forge", "commonName": "forge" },
        "uri": uri,
        "certChain": { "certificates": certificates },
        "validFor": range(valid_for),
    })
}

/// The file that the trust would have been read from.
fn trusted_root(trust: &TrustedRoot) -> Value {
    let authority = |ca: &CertificateAuthority| chain(&ca.uri, ca.chain.iter(), ca.valid_for);
    let stamper = |tsa: &TimestampAuthority| {
        let certificates = std::iter::once(&tsa.leaf).chain(&tsa.issuers);
        chain(&tsa.uri, certificates, tsa.valid_for)
    };
    let list = |values: Vec<Value>| Value::Array(values);
    json!({
        "mediaType": MEDIA_TYPE,
        "tlogs": list(trust.logs.iter().map(log).collect()),
        "certificateAuthorities":
            list(trust.certificate_authorities.iter().map(authority).collect()),
        "ctlogs": list(trust.ct_logs.iter().map(log).collect()),
        "timestampAuthorities":
            list(trust.timestamp_authorities.iter().map(stamper).collect()),
    })
}
