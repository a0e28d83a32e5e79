use super::*;
use crate::format::oci::OCI_MANIFEST;

fn filter(text: &str) -> PlatformFilter {
    text.parse().unwrap()
}

/// An entry for `os/architecture[/variant]`; for `-`, without a platform.
fn entry(text: &str) -> Descriptor {
    let mut parts = text.split('/').map(str::to_owned);
    Descriptor {
        platform: (text != "-").then(|| Platform {
            os: parts.next().unwrap(),
            architecture: parts.next().unwrap(),
            variant: parts.next(),
        }),
        ..Descriptor::of(OCI_MANIFEST, text.as_bytes())
    }
}

#[test]
fn platforms_are_read() {
    assert_eq!(filter("linux/arm64/v8").to_string(), "linux/arm64/v8");
    for bad in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/amd 64"] {
        assert!(bad.parse::<PlatformFilter>().is_err(), "{bad}");
    }
}

#[test]
fn one_platform_has_many_spellings() {
    let same: [&[&str]; 10] = [
        &[
            "linux/amd64",
            "Linux/x86_64",
            "LINUX/X86-64",
            "linux/amd64/v1",
        ],
        &[
            "linux/arm64",
            "linux/aarch64",
            "linux/arm64/v8",
            "linux/arm64/8",
            "linux/aarch64/V8",
            "linux/arm64/v8.0",
        ],
        &["linux/arm64/v9", "linux/aarch64/9", "linux/arm64/9.0"],
        &[
            "linux/arm/v7",
            "linux/arm",
            "linux/arm/7",
            "linux/armhf",
            "linux/armhf/v5",
        ],
        &["linux/arm/v6", "linux/arm/6", "linux/armel"],
        &["linux/arm/v5", "linux/arm/5"],
        &["linux/386", "linux/i386", "linux/i386/v2"],
        &["darwin/arm64", "macos/aarch64", "MacOS/arm64/v8"],
        &["linux/amd64/v2", "linux/x86_64/v2"],
        &["windows/amd64", "Windows/x86_64"],
    ];
    for (i, spellings) in same.iter().enumerate() {
        for asked in *spellings {
            for found in *spellings {
                let found = entry(found);
                assert!(filter(asked).fits(found.platform.as_ref()), "{asked}");
            }
            for (j, others) in same.iter().enumerate() {
                // Without a variant, any is meant.
                let is_open = filter(asked).0.variant.is_none();
                for other in others.iter().filter(|_| i != j && !is_open) {
                    let found = entry(other);
                    assert!(
                        !filter(asked).fits(found.platform.as_ref()),
                        "{asked} {other}"
                    );
                }
            }
        }
    }
    assert!(!filter("linux/amd64").fits(None));
    let own = entry("/amd64");
    assert!(
        filter("linux/amd64").fits(own.platform.as_ref()),
        "the puller's own system"
    );
}

/// `asked: entries`; those that somebody who pulls may be given have a star.
const TAKEN: &str = "
linux/amd64: linux/amd64* linux/arm64
linux/amd64: linux/amd64* linux/x86_64* Linux/amd64* linux/amd64/v1* linux/arm64
linux/amd64: linux/amd64* linux/amd64/v3*
linux/x86_64: linux/amd64* linux/x86_64*
linux/arm64: linux/arm64* linux/arm64/v8* linux/amd64
linux/arm64: linux/aarch64* linux/arm64/v8* linux/arm/v7
linux/arm64/v8: linux/arm64* linux/aarch64/8* linux/arm/v7
linux/arm64: linux/arm/v7* linux/arm/v5* linux/amd64
linux/arm64/v9: linux/arm64/v8* linux/arm64/v8.5* linux/arm64/v9.1
linux/arm64/v7: linux/arm64/v8 linux/arm/v7
linux/arm: linux/arm/v5* linux/arm/v6* linux/arm/v7* linux/arm64
linux/arm/v7: linux/arm/v7* linux/arm/v6 linux/arm/v5
linux/arm/v7: linux/arm* linux/arm/v6* linux/arm/v8 linux/arm64
linux/arm/v7: linux/armel* linux/arm/v5* linux/arm/v8
linux/arm/v6: linux/arm/v7 linux/arm/v5*
linux/arm/v6: linux/arm* linux/armhf
linux/arm/v5: linux/arm/v7 linux/arm*
linux/arm/v5: linux/arm/v5* linux/arm
linux/amd64: linux/386* linux/arm64
linux/amd64: linux/amd64* linux/386
linux/amd64/v3: linux/amd64* linux/amd64/v2* linux/amd64/v4 linux/386*
linux/amd64/v3: linux/amd64 linux/amd64/v3*
linux/386: linux/amd64 linux/i386*
linux/riscv64: linux/amd64 linux/arm64
windows/amd64: linux/amd64 windows/amd64* Windows/x86_64*
linux/amd64: -* linux/amd64*
linux/amd64: linux/amd64* -
linux/amd64: linux/x86_64* -*
linux/amd64: linux/amd64/v3* -*
linux/arm64: - linux/arm64*
linux/arm64: -* linux/aarch64*
linux/arm64: -* linux/amd64
linux/arm64: -* -*
linux/amd64: unknown/unknown linux/amd64*
linux/amd64: /amd64* linux/arm64
";

#[test]
fn every_entry_is_taken_that_some_puller_may_be_given() {
    for line in TAKEN.lines().filter(|line| !line.is_empty()) {
        let (asked, listed) = line.split_once(": ").unwrap();
        let listed: Vec<&str> = listed.split(' ').collect();
        let entries: Vec<Descriptor> = listed
            .iter()
            .map(|text| entry(text.trim_end_matches('*')))
            .collect();
        let expected: Vec<usize> = (0..listed.len())
            .filter(|i| listed[*i].ends_with('*'))
            .collect();
        assert_eq!(filter(asked).taken(&entries), expected, "{line}");
    }
}
