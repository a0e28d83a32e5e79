//! Names of fields that two readers take differently.
//!
//! Go's JSON reader, and with it containerd, Docker, skopeo and crane, takes `Manifests` for `manifests`, and of
//! both the later. A document could show us one list of images and them another.

/// Every field that decides which image is meant.
const FIELDS: [&str; 13] = [
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "size",
    "digest",
    "platform",
    "architecture",
    "os",
    "variant",
];

/// Returns a name in a JSON document that is one of the fields but for its case. Names of annotations are free.
///
/// The text is JSON; of anything else the answer means nothing.
pub(super) fn other_spelling(json: &[u8]) -> Option<String> {
    // Of each open brace or bracket: whether it is a bracket, and whether names in it are free.
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut is_free_value = false;
    let mut i = 0;
    while let Some(byte) = json.get(i) {
        match byte {
            b'{' | b'[' => {
                let is_free = match open.last() {
                    Some((true, is_free)) => *is_free,
                    Some((false, is_free)) => *is_free || is_free_value,
                    None => false,
                };
                open.push((*byte == b'[', is_free));
            }
            b'}' | b']' => drop(open.pop()),
            b'"' => {
                let end = string_end(json, i);
                let after = json[end..].iter().find(|b| !b.is_ascii_whitespace());
                if after == Some(&b':') {
                    let name: String = serde_json::from_slice(&json[i..end]).unwrap_or_default();
                    is_free_value = name == "annotations";
                    let is_free = open.last().is_none_or(|(_, is_free)| *is_free);
                    if !is_free && FIELDS.iter().any(|field| is_folded(field, &name)) {
                        return Some(name);
                    }
                }
                i = end;
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    None
}

/// Returns where a string ends, behind its closing mark.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut i = start + 1;
    while let Some(byte) = json.get(i) {
        match byte {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    json.len()
}

/// Returns whether a name is a field's in other letters. Two letters beyond ASCII fold into it: the long s and
/// the Kelvin sign.
fn is_folded(field: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name != field && name.chars().map(fold).eq(field.chars().map(fold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_other_letters_are_told() {
        for (json, found) in [
            (r#"{"manifests":[],"Manifests":[]}"#, Some("Manifests")),
            (r#"{"manifest\u017f":[]}"#, Some("manifest\u{17f}")),
            (r#"{"\u004danifests":[]}"#, Some("Manifests")),
            (r#"{"a":[{"b":{"OS" : 1}}]}"#, Some("OS")),
            (r#"{"manifests":[{"Platform":{}}]}"#, Some("Platform")),
            (r#"{"Annotations":{}}"#, Some("Annotations")),
            (r#"{"annotations":{"a":"b"},"Config":{}}"#, Some("Config")),
            (r#"{"x":[{"annotations":{}},{"Size":1}]}"#, Some("Size")),
            (
                r#"{"annotations":{"a\\":"b\"{"},"mediatype":""}"#,
                Some("mediatype"),
            ),
            (r#"{"annotations":{"OS":"a","Size":"b"}}"#, None),
            (
                r#"{"x":[{"annotations":{"OS":"a"}}],"os":"OS","y":["Size"]}"#,
                None,
            ),
            (
                r#"{"\u006danifests":[],"mediaTypes":"x","urls":["Layers"]}"#,
                None,
            ),
            ("{}", None),
        ] {
            assert_eq!(other_spelling(json.as_bytes()).as_deref(), found, "{json}");
        }
    }
}
