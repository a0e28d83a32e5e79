//! Places in a tree, checkpoints, addresses and times of logs.

use crate::Change::{Forge as Before, Scene as After};
use crate::forge::{Forge, NOW};
use crate::{Case, PASSES, judge};

#[test]
fn logs() {
    judge(&[
        Case(
            "first-entry",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].place = 0;
                forge.entries[0].earlier = 0;
            }),
            PASSES,
        ),
        Case(
            "first-entry-v2",
            Forge::blob2,
            Before(|forge| forge.entries[0].place = 0),
            PASSES,
        ),
        Case(
            "only-entry",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].place = 0;
                forge.entries[0].earlier = 0;
                forge.entries[0].leaves = 1;
            }),
            PASSES,
        ),
        Case(
            "only-entry-v2",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].place = 0;
                forge.entries[0].leaves = 1;
            }),
            PASSES,
        ),
        Case(
            "index-over-53-bits",
            Forge::blob1,
            Before(|forge| forge.entries[0].earlier = (1 << 60) + 1),
            PASSES,
        ),
        Case(
            "checkpoint-with-a-line-more",
            Forge::blob1,
            Before(|forge| forge.entries[0].checkpoint.more = "Timestamp: 1700000000000000000\n"),
            PASSES,
        ),
        Case(
            "checkpoint-with-a-line-more-v2",
            Forge::blob2,
            Before(|forge| forge.entries[0].checkpoint.more = "more\n"),
            PASSES,
        ),
        Case(
            "address-with-port-and-path-v2",
            Forge::blob2,
            After(|scene| scene.trust.logs[1].base_url = "https://rekor2.test:8443/log".to_owned()),
            PASSES,
        ),
        Case(
            "address-without-scheme-v2",
            Forge::blob2,
            After(|scene| scene.trust.logs[1].base_url = "rekor2.test".to_owned()),
            PASSES,
        ),
        Case(
            "address-of-another-host-v2",
            Forge::blob2,
            After(|scene| scene.trust.logs[1].base_url = "https://internal.test".to_owned()),
            PASSES,
        ),
        Case(
            "address-of-another-host",
            Forge::blob1,
            After(|scene| scene.trust.logs[0].base_url = "https://internal.test".to_owned()),
            PASSES,
        ),
        Case(
            "time-zero-v2",
            Forge::blob2,
            After(|scene| scene.bundle.log_entries[0].integrated_time = Some(0)),
            PASSES,
        ),
        Case(
            "time-without-promise-v2",
            Forge::blob2,
            After(|scene| scene.bundle.log_entries[0].integrated_time = Some(NOW)),
            PASSES,
        ),
        Case(
            "time-without-promise-outside-v2",
            Forge::blob2,
            After(|scene| scene.bundle.log_entries[0].integrated_time = Some(NOW + 10_000)),
            PASSES,
        ),
        Case(
            "promise-in-v2",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].promise = true;
                forge.entries[0].integrated_time = Some(NOW);
            }),
            PASSES,
        ),
        Case(
            "promise-in-v2-instead-of-a-timestamp",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].promise = true;
                forge.entries[0].integrated_time = Some(NOW);
                forge.tokens.clear();
            }),
            PASSES,
        ),
    ]);
}
