//! Signed certificate timestamps in the leaf.

use keyless::crypto::UnixTime;
use keyless::verify::SignerEvidence;

use crate::Change::{Forge as Before, Scene as After};
use crate::forge::{Forge, NOW};
use crate::{Case, PASSES, judge};

#[test]
fn timestamps_of_ct_logs() {
    judge(&[
        Case(
            "none",
            Forge::blob1,
            Before(|forge| forge.scts.clear()),
            "sct-untrusted",
        ),
        Case(
            "signed-by-another-key",
            Forge::blob1,
            Before(|forge| forge.scts[0].signer = forge.stranger.clone()),
            "sct-untrusted",
        ),
        Case(
            "time-changed-after-signing",
            Forge::blob1,
            Before(|forge| forge.scts[0].time_shift = 1),
            "sct-untrusted",
        ),
        Case(
            "over-another-issuer",
            Forge::blob1,
            Before(|forge| forge.scts[0].issuer = forge.stranger.clone()),
            "sct-untrusted",
        ),
        Case(
            "over-the-root",
            Forge::blob1,
            Before(|forge| forge.scts[0].issuer = forge.root.key.clone()),
            "sct-untrusted",
        ),
        Case(
            "rsa-under-an-ec-key",
            Forge::blob1,
            Before(|forge| forge.scts[0].algorithm = Some(1)),
            "sct-untrusted",
        ),
        Case(
            "log-not-listed",
            Forge::blob1,
            After(|scene| scene.trust.ct_logs.clear()),
            "sct-untrusted",
        ),
        Case(
            "log-retired",
            Forge::blob1,
            After(|scene| {
                let end = UnixTime::from_seconds(NOW - 61);
                scene.trust.ct_logs[0].valid_for.end = Some(end);
            }),
            "sct-untrusted",
        ),
        Case(
            "log-not-begun",
            Forge::blob1,
            After(|scene| {
                let start = UnixTime::from_seconds(NOW - 59);
                scene.trust.ct_logs[0].valid_for.start = start;
            }),
            "sct-untrusted",
        ),
        Case(
            "log-retired-since",
            Forge::blob1,
            After(|scene| {
                let end = UnixTime::from_seconds(NOW - 60);
                scene.trust.ct_logs[0].valid_for.end = Some(end);
            }),
            PASSES,
        ),
        Case(
            "another-by-an-unlisted-log",
            Forge::blob1,
            Before(|forge| {
                let mut sct = forge.scts[0].clone();
                sct.log = forge.stranger.clone();
                sct.signer = forge.stranger.clone();
                forge.scts.insert(0, sct);
            }),
            PASSES,
        ),
    ]);
}

#[test]
fn a_list_that_cannot_be_read() {
    judge(&[
        Case(
            "list-cut-short",
            Forge::blob1,
            Before(|forge| {
                forge.scts.clear();
                let list = ("1.3.6.1.4.1.11129.2.4.2", false, vec![4, 3, 0, 9, 0]);
                forge.leaf.more.push(list);
            }),
            "sct-malformed",
        ),
        Case(
            "bytes-behind-the-list",
            Forge::blob1,
            Before(|forge| {
                forge.scts.clear();
                let list = ("1.3.6.1.4.1.11129.2.4.2", false, vec![4, 3, 0, 0, 9]);
                forge.leaf.more.push(list);
            }),
            "sct-malformed",
        ),
        Case(
            "more-than-sixteen",
            Forge::blob1,
            Before(|forge| forge.scts = vec![forge.scts[0].clone(); 17]),
            "sct-malformed",
        ),
        Case(
            "sixteen",
            Forge::blob1,
            Before(|forge| forge.scts = vec![forge.scts[0].clone(); 16]),
            PASSES,
        ),
    ]);
}

#[test]
fn one_log_counts_once() {
    let mut forge = Forge::blob1();
    let mut second = forge.scts[0].clone();
    second.time += 1000;
    forge.scts.push(second);
    let verified = forge.make().verify().unwrap();
    let SignerEvidence::Certificate(evidence) = verified.signer_evidence() else {
        panic!("signed with a certificate");
    };
    assert_eq!(evidence.sct().checked().unwrap().promises().len(), 1);
}
