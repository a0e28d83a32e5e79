//! Bodies of log entries, of every kind.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyless::crypto::{Certificate, HashAlgorithm};
use serde_json::{Value, json};

use crate::Change::Forge as Before;
use crate::forge::{ARTIFACT, Forge};
use crate::key::{Key, sha256};
use crate::log::base64;
use crate::{Case, PASSES, judge};

fn edit_text(body: &mut Value, pointer: &str, edit: fn(String) -> String) {
    let text = body.pointer_mut(pointer).unwrap();
    let pem = String::from_utf8(STANDARD.decode(text.as_str().unwrap()).unwrap()).unwrap();
    *text = json!(base64(edit(pem).as_bytes()));
}

const VERIFIER: &str = "/spec/signature/publicKey/content";

#[test]
fn bodies() {
    judge(&[
        Case(
            "pem-with-carriage-returns",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].edit =
                    |body| edit_text(body, VERIFIER, |pem| pem.replace('\n', "\r\n"));
            }),
            PASSES,
        ),
        Case(
            "pem-without-line-break-behind",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].edit =
                    |body| edit_text(body, VERIFIER, |pem| pem.trim_end().to_owned());
            }),
            PASSES,
        ),
        Case(
            "pem-twice",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].edit = |body| edit_text(body, VERIFIER, |pem| pem.repeat(2));
            }),
            "log-body-malformed",
        ),
        Case(
            "pem-with-text-in-front",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].edit =
                    |body| edit_text(body, VERIFIER, |pem| format!("text\n{pem}"));
            }),
            "log-body-malformed",
        ),
        Case(
            "key-of-the-certificate",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    edit_text(body, VERIFIER, |pem| {
                        let chain = Certificate::chain_from_pem(&pem, 1).unwrap();
                        chain[0].public_key().to_pem()
                    });
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "digest-in-capitals",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let value = body.pointer_mut("/spec/data/hash/value").unwrap();
                    *value = json!(value.as_str().unwrap().to_uppercase());
                };
            }),
            PASSES,
        ),
        Case(
            "hash-algorithm-in-capitals",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    body["spec"]["data"]["hash"]["algorithm"] = json!("SHA256");
                };
            }),
            "log-body-malformed",
        ),
        Case(
            "with-spaces",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].write =
                    Rc::new(|body| serde_json::to_string_pretty(body).unwrap());
            }),
            PASSES,
        ),
        Case(
            "with-spaces-v2",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].write =
                    Rc::new(|body| serde_json::to_string_pretty(body).unwrap());
            }),
            PASSES,
        ),
        Case(
            "key-details-of-another-key-v2",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    body["spec"]["hashedRekordV002"]["signature"]["verifier"]["keyDetails"] =
                        json!("PKIX_ECDSA_P384_SHA_384");
                };
            }),
            PASSES,
        ),
        Case(
            "key-details-unknown-v2",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    body["spec"]["hashedRekordV002"]["signature"]["verifier"]["keyDetails"] =
                        json!("NONE_OF_THEM");
                };
            }),
            PASSES,
        ),
        Case(
            "key-of-the-certificate-v2",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let verifier = &mut body["spec"]["hashedRekordV002"]["signature"]["verifier"];
                    let text = verifier["x509Certificate"]["rawBytes"].as_str().unwrap();
                    let der = STANDARD.decode(text).unwrap();
                    let leaf = Certificate::from_der(&der).unwrap();
                    *verifier = json!({
                        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                        "publicKey": { "rawBytes": base64(leaf.public_key().spki_der()) },
                    });
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "algorithm-of-another-hash-v2",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let data = &mut body["spec"]["hashedRekordV002"]["data"];
                    let digest = HashAlgorithm::Sha512.digest(ARTIFACT);
                    *data = json!({ "algorithm": "SHA2_512", "digest": base64(digest.as_bytes()) });
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "algorithm-of-another-hash",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let digest = HashAlgorithm::Sha512.digest(ARTIFACT);
                    body["spec"]["data"]["hash"] =
                        json!({ "algorithm": "sha512", "value": digest.hex() });
                };
            }),
            "log-entry-mismatch",
        ),
    ]);
}

#[test]
fn bodies_of_intoto() {
    judge(&[
        Case(
            "intoto-payload-hash-of-other-content",
            Forge::intoto1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let other = hex::encode(sha256(b"other content"));
                    body["spec"]["content"]["payloadHash"]["value"] = json!(other);
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "intoto-payload-type-of-another",
            Forge::intoto1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    body["spec"]["content"]["envelope"]["payloadType"] = json!("text/plain");
                };
            }),
            PASSES,
        ),
        Case(
            "intoto-with-payload",
            Forge::intoto1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    body["spec"]["content"]["envelope"]["payload"] = json!("b3RoZXI=");
                };
            }),
            PASSES,
        ),
        Case(
            "intoto-signature-encoded-once",
            Forge::intoto1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let sig = &mut body["spec"]["content"]["envelope"]["signatures"][0]["sig"];
                    let once = STANDARD.decode(sig.as_str().unwrap()).unwrap();
                    *sig = json!(String::from_utf8(once).unwrap());
                };
            }),
            "log-body-malformed",
        ),
        Case(
            "intoto-signature-differs",
            Forge::intoto1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let other = base64(base64(b"other").as_bytes());
                    body["spec"]["content"]["envelope"]["signatures"][0]["sig"] = json!(other);
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "intoto-verifier-is-another-key",
            Forge::intoto1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let other = base64(Key::p256().public().to_pem().as_bytes());
                    body["spec"]["content"]["envelope"]["signatures"][0]["publicKey"] =
                        json!(other);
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "intoto-two-signatures",
            Forge::intoto1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let list = &mut body["spec"]["content"]["envelope"]["signatures"];
                    let list = list.as_array_mut().unwrap();
                    list.push(list[0].clone());
                };
            }),
            "log-body-malformed",
        ),
        Case(
            "dsse-2-payload-hash-of-other-content",
            Forge::dsse2,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let other = base64(&sha256(b"other content"));
                    body["spec"]["dsseV002"]["payloadHash"]["digest"] = json!(other);
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "dsse-2-signature-differs",
            Forge::dsse2,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    body["spec"]["dsseV002"]["signatures"][0]["content"] = json!(base64(b"other"));
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "dsse-2-verifier-is-another-certificate",
            Forge::dsse2,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let other = Forge::dsse2().leaf.issue();
                    body["spec"]["dsseV002"]["signatures"][0]["verifier"]["x509Certificate"] =
                        json!({ "rawBytes": base64(other.der()) });
                };
            }),
            "log-entry-mismatch",
        ),
    ]);
}
