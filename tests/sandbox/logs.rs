//! The logs as a monitor reads them: proofs, tiles, retrieval, the CT log's entries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyless::crypto::merkle::{self, Hash};
use keyless::format::checkpoint::Checkpoint;
use keyless::sandbox::{RekorVersion, Sandbox, Service};
use serde_json::{Value, json};

use crate::client::{
    ARTIFACT, IDENTITY, Key, certify, entries_url, fetch, hashedrekord_v1, hashedrekord_v2, send,
    start,
};

fn hashes(list: &Value, decode: impl Fn(&str) -> Vec<u8>) -> Vec<Hash> {
    let list = list.as_array().unwrap().iter();
    list.map(|hash| decode(hash.as_str().unwrap()).try_into().unwrap())
        .collect()
}

async fn fill(sandbox: &Sandbox, rekor: RekorVersion, count: usize) -> Vec<Value> {
    let key = Key::new();
    let leaf = certify(sandbox, &key, IDENTITY).await.remove(0);
    let mut answers = Vec::new();
    for number in 0..count {
        let artifact = format!("{number}");
        let signature = key.sign(artifact.as_bytes());
        let proposal = match rekor {
            RekorVersion::V1 => hashedrekord_v1(&leaf, &signature, artifact.as_bytes()),
            RekorVersion::V2 => hashedrekord_v2(&leaf, &signature, artifact.as_bytes()),
        };
        let answer = send(entries_url(sandbox, rekor), proposal).await.unwrap();
        assert_eq!(answer.status, 201);
        answers.push(answer.json());
    }
    answers
}

#[tokio::test]
async fn an_entry_of_version_1_is_found_again() {
    let sandbox = start(&[]).await;
    let key = Key::new();
    let leaf = certify(&sandbox, &key, IDENTITY).await.remove(0);
    let proposal = hashedrekord_v1(&leaf, &key.sign(ARTIFACT), ARTIFACT);
    let url = entries_url(&sandbox, RekorVersion::V1);
    let created = send(url.clone(), proposal.clone()).await.unwrap();
    let answer = created.json();
    let (id, entry) = answer.as_object().unwrap().iter().next().unwrap();
    assert_eq!(created.status, 201);
    assert_eq!(created.header("etag").unwrap(), id);
    let location = format!("/api/v1/log/entries/{id}");
    assert_eq!(created.header("location").unwrap(), location);

    let again = send(url.clone(), proposal.clone()).await.unwrap();
    assert_eq!(again.status, 409);
    assert_eq!(again.header("location").unwrap(), location);
    let message =
        format!("an equivalent entry already exists in the transparency log with UUID {id}");
    assert_eq!(again.json(), json!({ "code": 409, "message": message }));

    let base = sandbox.url(Service::RekorV1);
    let index = &entry["logIndex"];
    for url in [
        format!("{base}{location}"),
        format!("{base}/api/v1/log/entries/{}", &id[16..]),
        format!("{url}?logIndex={index}"),
    ] {
        let found = fetch(url).await.json();
        assert_eq!(found[id]["body"], entry["body"]);
        assert_eq!(found[id]["integratedTime"], entry["integratedTime"]);
    }
    let retrieve = format!("{url}/retrieve");
    for wanted in [
        json!({ "entryUUIDs": [id] }),
        json!({ "logIndexes": [index, 99] }),
        json!({ "entries": [proposal] }),
    ] {
        let found = send(retrieve.clone(), wanted).await.unwrap().json();
        assert_eq!(found.as_array().unwrap().len(), 1);
        assert_eq!(found[0][id]["body"], entry["body"]);
    }
    let many = json!({ "logIndexes": (0..11).collect::<Vec<_>>() });
    assert_eq!(send(retrieve.clone(), many).await.unwrap().status, 422);
    assert_eq!(
        send(retrieve, json!({ "logIndexes": [] }))
            .await
            .unwrap()
            .status,
        422
    );
    for (id, status) in [("0".repeat(64), 404), ("zz".to_owned(), 422)] {
        let url = format!("{base}/api/v1/log/entries/{id}");
        assert_eq!(fetch(url).await.status, status);
    }
}

#[tokio::test]
async fn version_1_is_consistent_with_every_earlier_state() {
    let sandbox = start(&[]).await;
    let base = sandbox.url(Service::RekorV1);
    let state = fetch(format!("{base}/api/v1/log")).await.json();
    let mut roots = vec![state["rootHash"].clone()];
    for answer in fill(&sandbox, RekorVersion::V1, 6).await {
        let entry = answer.as_object().unwrap().values().next().unwrap();
        let root = &entry["verification"]["inclusionProof"]["rootHash"];
        roots.push(root.clone());
    }
    let from_hex = |hash: &str| hex::decode(hash).unwrap();
    let state = fetch(format!("{base}/api/v1/log")).await.json();
    let head = Checkpoint::parse(state["signedTreeHead"].as_str().unwrap()).unwrap();
    assert_eq!(head.tree_size, 7);
    assert_eq!(hex::encode(head.root_hash), state["rootHash"]);
    for first in 1..=6 {
        let url = format!("{base}/api/v1/log/proof?firstSize={first}&lastSize=7");
        let answer = fetch(url).await.json();
        assert_eq!(answer["rootHash"], state["rootHash"]);
        let proof = hashes(&answer["hashes"], from_hex);
        let old = hashes(&json!([roots[first - 1]]), from_hex)[0];
        consistent(first as u64, 7, &old, &head.root_hash, &proof);
    }
    for (query, status) in [
        ("", 422),
        ("lastSize=0", 422),
        ("firstSize=5&lastSize=3", 400),
        ("lastSize=8", 400),
        ("lastSize=2&treeID=1", 404),
    ] {
        let url = format!("{base}/api/v1/log/proof?{query}");
        assert_eq!(fetch(url).await.status, status, "{query}");
    }
}

/// RFC 9162 §2.1.4.2, written out here: the tests do not lean on what they test.
fn consistent(old: u64, new: u64, old_root: &Hash, new_root: &Hash, proof: &[Hash]) {
    let mut path = proof.to_vec();
    if old.is_power_of_two() {
        path.insert(0, *old_root);
    }
    let (mut first, mut last) = (old - 1, new - 1);
    while first & 1 == 1 {
        first >>= 1;
        last >>= 1;
    }
    let (mut left, mut right) = (path[0], path[0]);
    for node in &path[1..] {
        assert_ne!(last, 0);
        if first & 1 == 1 || first == last {
            left = merkle::node_hash(node, &left);
            right = merkle::node_hash(node, &right);
            while first & 1 == 0 && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            right = merkle::node_hash(&right, node);
        }
        first >>= 1;
        last >>= 1;
    }
    assert_eq!((last, left, right), (0, *old_root, *new_root));
}

#[tokio::test]
async fn version_2_is_read_by_tiles() {
    let sandbox = start(&[]).await;
    let answers = fill(&sandbox, RekorVersion::V2, 299).await;
    let api = format!("{}/api/v2", sandbox.url(Service::RekorV2));
    let note = fetch(format!("{api}/checkpoint")).await;
    let head = Checkpoint::parse(std::str::from_utf8(&note.body).unwrap()).unwrap();
    assert_eq!((head.origin.as_str(), head.tree_size), ("127.0.0.1", 300));

    let full = fetch(format!("{api}/tile/0/000")).await.body;
    let partial = fetch(format!("{api}/tile/0/001.p/44")).await.body;
    let leaves: Vec<Hash> = [full.clone(), partial]
        .concat()
        .chunks_exact(32)
        .map(|hash| hash.try_into().unwrap())
        .collect();
    assert_eq!(leaves.len(), 300);
    assert_eq!(merkle::root(&leaves), head.root_hash);
    let above = fetch(format!("{api}/tile/1/000.p/1")).await.body;
    assert_eq!(above, merkle::root(&leaves[..256]));
    // A partial tile stays readable when the full one is there.
    let early = fetch(format!("{api}/tile/0/000.p/5")).await.body;
    assert_eq!(early, full[..160]);

    let mut bundle = &fetch(format!("{api}/tile/entries/001.p/44")).await.body[..];
    for leaf in &leaves[256..] {
        let (len, rest) = bundle.split_first_chunk().unwrap();
        let (body, rest) = rest.split_at(u16::from_be_bytes(*len).into());
        assert_eq!(merkle::leaf_hash(body), *leaf);
        bundle = rest;
    }
    assert!(bundle.is_empty());
    let last = STANDARD.encode(answers[298]["canonicalizedBody"].as_str().unwrap());
    assert!(!last.is_empty());
    for missing in [
        "tile/0/001",
        "tile/0/001.p/45",
        "tile/0/002.p/1",
        "tile/1/000",
        "tile/2/000.p/1",
        "tile/00/000",
        "tile/0/0",
        "tile/entries/001",
    ] {
        assert_eq!(
            fetch(format!("{api}/{missing}")).await.status,
            404,
            "{missing}"
        );
    }
}

#[tokio::test]
async fn an_entry_of_version_2_is_taken_once() {
    let sandbox = start(&[]).await;
    let key = Key::new();
    let leaf = certify(&sandbox, &key, IDENTITY).await.remove(0);
    let proposal = hashedrekord_v2(&leaf, &key.sign(ARTIFACT), ARTIFACT);
    let url = entries_url(&sandbox, RekorVersion::V2);
    let created = send(url.clone(), proposal.clone()).await.unwrap().json();
    assert_eq!(created["integratedTime"], "0");
    assert_eq!(created["inclusionPromise"], Value::Null);
    let again = send(url, proposal).await.unwrap();
    assert_eq!(again.status, 409);
    assert_eq!(again.header("x-log-index").unwrap(), created["logIndex"]);
    assert_eq!(again.json()["code"], 6);
}

#[tokio::test]
async fn every_certificate_is_in_the_ct_log() {
    let sandbox = start(&[]).await;
    let ct = format!("{}/ct/v1", sandbox.url(Service::CtLog));
    let chain = certify(&sandbox, &Key::new(), IDENTITY).await;
    certify(&sandbox, &Key::new(), IDENTITY).await;
    let head = fetch(format!("{ct}/get-sth")).await.json();
    assert_eq!(head["tree_size"], 2);

    let entries = fetch(format!("{ct}/get-entries?start=0&end=9"))
        .await
        .json();
    let leaf_input = STANDARD.decode(entries["entries"][0]["leaf_input"].as_str().unwrap());
    let leaf_input = leaf_input.unwrap();
    let leaf = keyless::crypto::Certificate::from_der(&chain[0]).unwrap();
    let tbs = keyless::format::sct::without_sct_list(leaf.tbs()).unwrap();
    assert!(leaf_input.windows(tbs.len()).any(|window| window == tbs));

    let hash = STANDARD.encode(merkle::leaf_hash(&leaf_input));
    let hash: String = url::form_urlencoded::byte_serialize(hash.as_bytes()).collect();
    let proof = fetch(format!("{ct}/get-proof-by-hash?hash={hash}&tree_size=2"))
        .await
        .json();
    assert_eq!(proof["leaf_index"], 0);
    let path = hashes(&proof["audit_path"], |hash| STANDARD.decode(hash).unwrap());
    let root = STANDARD
        .decode(head["sha256_root_hash"].as_str().unwrap())
        .unwrap();
    let root = root.try_into().unwrap();
    merkle::verify_inclusion(0, 2, merkle::leaf_hash(&leaf_input), &path, &root).unwrap();
    let roots = fetch(format!("{ct}/get-roots")).await.json();
    assert_eq!(roots["certificates"][0], STANDARD.encode(&chain[2]));
}
