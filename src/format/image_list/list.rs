//! A plain list: one image a line, comments after `#`.

use super::{Collector, ImageListError};

pub(super) fn read(text: &str, found: &mut Collector) -> Result<(), ImageListError> {
    for (i, line) in text.lines().enumerate() {
        let name = without_comment(line).trim();
        if !name.is_empty() {
            found.image(name, i + 1, "")?;
        }
    }
    Ok(())
}

/// Cuts a comment off: from a `#` that begins the line or follows white space.
fn without_comment(line: &str) -> &str {
    let mut after_space = true;
    for (at, c) in line.char_indices() {
        if c == '#' && after_space {
            return &line[..at];
        }
        after_space = c.is_whitespace();
    }
    line
}
