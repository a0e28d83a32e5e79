//! An index of referrers: every member survives being added to.

use keyless::format::oci::{Descriptor, OCI_MANIFEST, ReferrersIndex};

use super::{Grammar, SHORT, Target};

pub const TARGET: Target = Target {
    name: "oci_referrers",
    run,
    grammar: Grammar::Json,
    max_len: 8 * 1024,
    limit: 4 * 1024 * 1024, // `net::registry`, an index
    weight: 1,
};

fn run(data: &[u8]) {
    let mut index = match ReferrersIndex::parse(data) {
        Ok(index) => index,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let listed = index.list(1000);
    let count = index.len();
    assert_eq!(index.is_empty(), count == 0);
    assert!(listed.descriptors.len() + listed.malformed + listed.beyond <= index.len());
    if data.len() < SHORT {
        for descriptor in listed.descriptors.iter().take(8) {
            assert!(index.contains(&descriptor.digest));
            assert!(!index.add(descriptor));
        }
        let encoded = index.encode();
        let again = ReferrersIndex::parse(&encoded).expect("what was read is written as it was");
        assert_eq!(again.encode(), encoded);
        assert_eq!(again.list(1000), listed);
    }
    let new = Descriptor::of(OCI_MANIFEST, data);
    let before = index.len();
    assert!(index.add(&new));
    assert_eq!(index.len(), before + 1);
    let encoded = index.encode();
    if data.len() < SHORT {
        let again = ReferrersIndex::parse(&encoded).expect("with one more it is still one");
        assert!(again.contains(&new.digest));
        assert_eq!(again.list(usize::MAX).descriptors.last(), Some(&new));
    }
}
