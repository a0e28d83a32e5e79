//! One line on a terminal that says how far a run is. It is drawn over and erased with spaces, without any
//! escape sequence, so that terminals of every kind show it; other lines on standard error push it down.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shortest time between two drawings.
const PAUSE: Duration = Duration::from_millis(100);

/// What the line shows now.
static LINE: Mutex<Line> = Mutex::new(Line {
    shown: String::new(),
    drawn: None,
});

#[derive(Debug)]
struct Line {
    shown: String,
    drawn: Option<Instant>,
}

/// Returns whether somebody watches: standard error is a terminal that can overwrite a line, and this is no
/// job of a CI system.
pub fn is_watched() -> bool {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let is_ci = !matches!(variable("CI").as_str(), "" | "false" | "0");
    io::stderr().is_terminal() && variable("TERM") != "dumb" && !is_ci
}

/// Shows how far a run is; erases the line once all is done. A drawing soon after another is left out.
pub fn show(text: &str, is_over: bool) {
    if is_over {
        return erase();
    }
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    let is_soon = line.drawn.is_some_and(|drawn| drawn.elapsed() < PAUSE);
    if !is_soon {
        let drawn = format!("{}{text}", erasure(&line.shown));
        let _ = io::stderr().write_all(drawn.as_bytes());
        line.shown = text.to_owned();
        line.drawn = Some(Instant::now());
    }
}

/// Erases the line, if there is one.
pub fn erase() {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    if !line.shown.is_empty() {
        let _ = io::stderr().write_all(erasure(&line.shown).as_bytes());
        line.shown.clear();
    }
    line.drawn = None;
}

/// Writes a line of its own to standard error, above the one that is drawn over.
pub(super) fn write_above(text: &str) {
    let line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut stderr = io::stderr().lock();
    // One that is closed is no reason to stop.
    let _ = write!(stderr, "{}{text}\n{}", erasure(&line.shown), line.shown);
}

/// What makes a line empty again.
fn erasure(shown: &str) -> String {
    match shown.chars().count() {
        0 => String::new(),
        width => format!("\r{}\r", " ".repeat(width)),
    }
}
