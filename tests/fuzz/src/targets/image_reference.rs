//! An image reference: what is shown is read as the same.

use keyless::net::registry::{DigestReference, ImageReference, Repository, Target as Points};

use super::{Grammar, Target, present};

pub const TARGET: Target = Target {
    name: "image_reference",
    run,
    grammar: Grammar::Text,
    max_len: 512,
    limit: 128 * 1024, // the longest argument of a command
    weight: 1,
};

fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let reference: ImageReference = match text.parse() {
        Ok(reference) => reference,
        Err(error) => return present(&error),
    };
    assert!(text.is_ascii());
    let shown = reference.to_string();
    assert_eq!(
        shown.parse::<ImageReference>().as_ref().ok(),
        Some(&reference)
    );
    let repository = reference.repository();
    assert!(!repository.host().is_empty());
    assert!(!repository.name().is_empty() && repository.name().len() <= 255);
    assert!(
        !repository
            .name()
            .split('/')
            .any(|part| part.is_empty() || part == "..")
    );
    let _ = repository.is_loopback();
    let plain = repository.to_string().parse::<Repository>();
    assert_eq!(plain.as_ref().ok(), Some(repository));
    match (reference.target(), reference.pinned()) {
        (Points::Digest(digest), Some(pinned)) => {
            assert_eq!(pinned.digest(), *digest);
            let again = DigestReference::new(repository.clone(), *digest);
            assert_eq!(ImageReference::from(again), reference);
        }
        (Points::Tag(tag), None) => {
            let again = ImageReference::tagged(repository.clone(), tag);
            assert_eq!(again.as_ref(), Some(&reference));
        }
        other => panic!("pinned or not: {other:?}"),
    }
}
