//! Bounds on what is kept of a text or list that somebody else wrote.

/// A part, or why it cannot be read.
pub type Part<T> = Result<T, String>;

/// Characters that are kept of a text; whoever wrote it decides its length.
pub const TEXT_LEN: usize = 1024;
/// Items that are kept of a list.
pub const LIST_LEN: usize = 100;

/// Cuts a text to [`TEXT_LEN`] characters, visibly.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_LEN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Keeps an error as what is shown in the place of a part.
pub(super) fn unreadable(error: impl std::fmt::Display) -> String {
    cut(&error.to_string())
}

/// The first items of a list, at most [`LIST_LEN`], and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T> {
    /// The first items.
    pub items: Vec<T>,
    /// How many there are.
    pub total: usize,
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut list = List {
            items: Vec::new(),
            total: 0,
        };
        for item in all {
            list.total += 1;
            if list.items.len() < LIST_LEN {
                list.items.push(item);
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_shows_it() {
        let whole = "é".repeat(TEXT_LEN);
        assert_eq!(cut(&whole), whole);
        assert_eq!(cut(&format!("{whole}é")), format!("{whole}…"));
        let list: List<usize> = (0..LIST_LEN).collect();
        assert_eq!((list.items.len(), list.total), (LIST_LEN, LIST_LEN));
        let list: List<usize> = (0..LIST_LEN * 3).collect();
        assert_eq!(list.items.last(), Some(&(LIST_LEN - 1)));
        assert_eq!(list.total, LIST_LEN * 3);
    }
}
