//! What kind of file it is, by its name and then by its content.

use super::yaml::{Documents, Visits};
use super::{ImageListError, ImageListKind};

/// Tells the kind. A name that has a meaning decides; content decides for others.
pub(super) fn kind(text: &str, name: &str) -> Result<ImageListKind, ImageListError> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
    let first = name.split('.').next().unwrap_or_default();
    if ["dockerfile", "containerfile"]
        .iter()
        .any(|known| first == *known || extension == *known)
    {
        return Ok(ImageListKind::Dockerfile);
    }
    let is_yaml = matches!(extension, "yaml" | "yml");
    let is_compose = ["compose", "docker-compose", "podman-compose"]
        .iter()
        .any(|known| stem == *known || stem.starts_with(&format!("{known}.")));
    if is_yaml && is_compose {
        return Ok(ImageListKind::Compose);
    }
    if is_yaml || extension == "json" || looks_like_yaml(text) {
        return of_yaml(text);
    }
    Ok(match first_line(text) {
        Some(line) if begins_a_dockerfile(line) => ImageListKind::Dockerfile,
        _ => ImageListKind::List,
    })
}

/// The first line that is neither blank nor a comment.
fn first_line(text: &str) -> Option<&str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| !line.is_empty() && !line.starts_with('#'))
}

fn begins_a_dockerfile(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    let has_more = line.len() > word.len();
    has_more && (word.eq_ignore_ascii_case("from") || word.eq_ignore_ascii_case("arg"))
}

/// Returns whether the first line can be no image's name: it opens a document, a mapping or a list.
fn looks_like_yaml(text: &str) -> bool {
    let Some(line) = first_line(text) else {
        return false;
    };
    let is_key = |(key, rest): (&str, &str)| {
        let rest_is_value = rest.is_empty() || rest.starts_with([' ', '\t']);
        rest_is_value && !key.contains(char::is_whitespace)
    };
    line.starts_with(['{', '[', '%'])
        || line == "---"
        || line.starts_with("--- ")
        || line.starts_with("- ")
        || line.split_once(':').is_some_and(is_key)
}

/// Tells the two kinds of YAML apart by the keys of the first document that has any.
fn of_yaml(text: &str) -> Result<ImageListKind, ImageListError> {
    let mut visits = Visits::default();
    let mut line = 1;
    for document in Documents::new(text)? {
        let document = document?;
        let root = document.root();
        line = root.line();
        if root.is_null() {
            continue;
        }
        let Some(members) = root.members(&mut visits)? else {
            break;
        };
        let has = |key| members.iter().any(|member| member.key == key);
        if has("apiVersion") && has("kind") {
            return Ok(ImageListKind::Kubernetes);
        }
        if has("services") {
            return Ok(ImageListKind::Compose);
        }
        break;
    }
    Err(ImageListError::UnknownKind { line })
}
