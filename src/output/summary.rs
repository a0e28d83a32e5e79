//! What became of all images of a run, in numbers.

use serde_json::{Value, json};

use super::document::result;
use crate::diagnostic::Exit;

/// Images by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    accepted: usize,
    refused: usize,
    errors: usize,
}

impl Summary {
    /// Counts the outcomes of images.
    pub fn of(exits: impl Iterator<Item = Exit>) -> Self {
        let mut summary = Summary::default();
        for exit in exits {
            match result(exit) {
                "accepted" => summary.accepted += 1,
                "refused" => summary.refused += 1,
                _ => summary.errors += 1,
            }
        }
        summary
    }

    fn images(self) -> usize {
        self.accepted + self.refused + self.errors
    }

    /// Returns the line for people; `None` where there is one image, or none.
    pub fn line(self, accepted: &str, without_outcome: &str) -> Option<String> {
        let images = self.images();
        if images < 2 {
            return None;
        }
        let mut line = format!("{images} images: {} {accepted}", self.accepted);
        if self.refused > 0 {
            line.push_str(&format!(", {} refused", self.refused));
        }
        if self.errors > 0 {
            line.push_str(&format!(", {} {without_outcome}", self.errors));
        }
        Some(line)
    }

    /// Returns the numbers as JSON.
    pub fn json(self) -> Value {
        json!({
            "images": self.images(),
            "accepted": self.accepted,
            "refused": self.refused,
            "errors": self.errors,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_counted_once() {
        let exits = [
            Exit::Accepted,
            Exit::Accepted,
            Exit::NoSignature,
            Exit::Unreachable,
            Exit::Internal,
        ];
        let line = |count: usize| {
            let summary = Summary::of(exits.into_iter().take(count));
            summary.line("verified", "not judged")
        };
        assert_eq!(line(0), None);
        assert_eq!(line(1), None);
        assert_eq!(line(2).unwrap(), "2 images: 2 verified");
        assert_eq!(line(3).unwrap(), "3 images: 2 verified, 1 refused");
        assert_eq!(
            line(5).unwrap(),
            "5 images: 2 verified, 1 refused, 2 not judged"
        );
        let json = Summary::of(exits.into_iter()).json();
        assert_eq!(
            json,
            json!({ "images": 5, "accepted": 2, "refused": 1, "errors": 2 })
        );
    }
}
