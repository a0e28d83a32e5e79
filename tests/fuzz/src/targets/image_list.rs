//! A file that names images, of every kind; its first line is the file's name. What is found is each once, has a line
//! of the file, and can be shown as it is; written as a plain list it is found again.

use std::collections::BTreeSet;

use keyless::format::image_list::{ImageList, ImageListKind};
use keyless::format::limits::{IMAGE_LIST_LEN, LISTED_IMAGES};

use super::{Grammar, SHORT, Target, present};

pub const TARGET: Target = Target {
    name: "image_list",
    run,
    grammar: Grammar::Text,
    max_len: 8 * 1024,
    limit: IMAGE_LIST_LEN,
    weight: 4,
};

const KINDS: [ImageListKind; 4] = [
    ImageListKind::List,
    ImageListKind::Kubernetes,
    ImageListKind::Compose,
    ImageListKind::Dockerfile,
];

fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (name, file) = data.split_at(end.map_or(0, |end| end + 1));
    let name = String::from_utf8_lossy(name);
    let found = check(file, name.trim_end(), None);
    if data.len() > SHORT {
        return;
    }
    for kind in KINDS {
        let of_kind = check(file, "-", Some(kind));
        if let Some(found) = &found
            && found.kind == kind
        {
            assert_eq!(of_kind.as_ref(), Some(found));
        }
    }
}

fn check(file: &[u8], name: &str, kind: Option<ImageListKind>) -> Option<ImageList> {
    let list = match ImageList::parse(file, name, kind) {
        Ok(list) => list,
        Err(error) => {
            present(&error);
            assert!(error.to_string().len() < 1024);
            assert!(!error.to_string().contains(char::is_control));
            return None;
        }
    };
    let lines = 1 + file
        .iter()
        .filter(|byte| **byte == b'\n' || **byte == b'\r')
        .count();
    assert!(!list.images.is_empty() && list.images.len() <= LISTED_IMAGES);
    let mut names = BTreeSet::new();
    for image in &list.images {
        let unfit = |c: char| c.is_whitespace() || c.is_control();
        assert!(!image.reference.is_empty() && !image.reference.contains(unfit));
        assert!(
            (1..=lines).contains(&image.line),
            "{} of {lines}",
            image.line
        );
        assert!(!image.place.contains(char::is_control));
        assert!(names.insert(&image.reference));
    }
    for remark in &list.remarks {
        assert!(
            (1..=lines).contains(&remark.line),
            "{} of {lines}",
            remark.line
        );
        let text = remark.kind.to_string();
        assert!(!text.contains(char::is_control) && text.len() < 1024);
    }
    if file.len() <= SHORT
        && list
            .images
            .iter()
            .all(|image| !image.reference.starts_with('#'))
    {
        let plain: String = list
            .images
            .iter()
            .map(|image| image.reference.clone() + "\n")
            .collect();
        // A name may begin with the mark of byte order, which a file loses.
        let again = ImageList::parse(
            format!("\n{plain}").as_bytes(),
            "-",
            Some(ImageListKind::List),
        );
        let again = again.expect("what was found is a list");
        assert!(
            again
                .images
                .iter()
                .map(|image| &image.reference)
                .eq(list.images.iter().map(|image| &image.reference))
        );
    }
    Some(list)
}
