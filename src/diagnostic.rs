//! The ground floor: how every refusal presents itself, and the exit-code table.
//!
//! Each floor keeps an error enum of its own; what they share is this trait. `code()` is stable and
//! appears in JSON, `exit()` is the row of the README's table, `details()` are the "expected / found"
//! lines, `hint()` says what to try.

use std::fmt;

/// Exit codes of the program; one table for every verb and format (README, "Exit codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done, or verified.
    Accepted = 0,
    /// The command line, or a combination of its options, cannot be carried out.
    Usage = 2,
    /// A local file cannot be read or written.
    File = 3,
    /// The image or file carries no signature.
    NoSignature = 10,
    /// The image does not exist in the registry.
    NoSuchImage = 11,
    /// Signed, but not by the identity, or not with the annotations, that was asked for.
    IdentityMismatch = 12,
    /// Signed without a certificate, where one is needed.
    NoCertificate = 13,
    /// The identity token is missing, malformed, expired or meant for somebody else.
    Token = 14,
    /// No rule of the policy file is about the image or file.
    NoRule = 15,
    /// The signature does not verify.
    SignatureInvalid = 20,
    /// The signature is for other content.
    ContentMismatch = 21,
    /// A bundle or envelope breaks its format.
    Malformed = 22,
    /// Trusted root, signing config or policy file is malformed, or has no usable service.
    TrustMaterial = 30,
    /// The certificate or its chain is refused.
    Certificate = 31,
    /// The transparency log entry is refused.
    Log = 32,
    /// No trusted time, or a timestamp is refused.
    Timestamp = 33,
    /// The signed certificate timestamp is refused.
    Sct = 34,
    /// A host cannot be reached, or took too long.
    Unreachable = 40,
    /// A service failed (5xx) or asked to slow down (429).
    ServiceFailed = 41,
    /// A service answered something that is not an answer.
    BadReply = 42,
    /// A registry denied access.
    Denied = 43,
    /// A service refused the request (other 4xx); repeating it unchanged will not help.
    Refused = 44,
    /// A fault of this program.
    Internal = 70,
}

impl Exit {
    /// Returns the process exit status.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns whether the same command may succeed later without any change.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Exit::Unreachable | Exit::ServiceFailed | Exit::BadReply
        )
    }

    /// Orders outcomes of a batch: an internal fault first, then "judged and refused", then "could not
    /// judge", then usage. Within one class the higher code is the more severe.
    fn severity(self) -> (u8, u8) {
        let class = match self.code() {
            0 => 0,
            2 | 3 => 1,
            40..=49 => 2,
            10..=39 => 3,
            _ => 4,
        };
        (class, self.code())
    }

    /// Returns the more severe of two outcomes.
    pub fn worst(self, other: Exit) -> Exit {
        if other.severity() > self.severity() {
            other
        } else {
            self
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code())
    }
}

/// What an error tells beyond its one-line message.
pub trait Diagnostic: std::error::Error {
    /// Stable kebab-case name; part of the JSON output.
    fn code(&self) -> &'static str;
    /// The row of the exit-code table.
    fn exit(&self) -> Exit;
    /// "expected" / "found" style lines, shown under the message.
    fn details(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// What to try next.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Makes foreign text printable: control characters (a terminal obeys them) become spaces, runs of
/// white space collapse, and after `limit` characters the rest is an ellipsis.
pub fn clean(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    let mut count = 0;
    let words = text
        .split(|c: char| c.is_control() || c.is_whitespace() || is_bidi_control(c))
        .filter(|word| !word.is_empty());
    for (i, word) in words.enumerate() {
        let space = (i > 0).then_some(' ');
        for c in space.into_iter().chain(word.chars()) {
            if count >= limit {
                shown.push('…');
                return shown;
            }
            shown.push(c);
            count += 1;
        }
    }
    shown
}

/// Returns a number with its noun: `1 payload`, `2 payloads`.
pub fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// Characters that reorder what a terminal shows (Unicode TR 36, "Trojan Source").
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that nobody sees, or that look like the space they are not (Unicode 16, Default_Ignorable and
/// format characters).
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Quotes a value for a POSIX shell, so that a suggested command can be pasted whoever wrote the value.
pub fn shell_quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    // zsh looks a word up as a command where it begins with an equals sign.
    if !text.is_empty() && !text.starts_with('=') && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Returns an option with its value as it can be pasted into a POSIX shell, joined where the value would be
/// taken for an option itself. `None` for a value with characters that a terminal obeys or hides: a command
/// with it would not do what it seems to.
pub fn shell_option(flag: &str, value: &str) -> Option<String> {
    // Shells that are not POSIX's read a backslash within quotes.
    let unsafe_char = |c: char| c.is_control() || is_unseen(c) || c == '\\';
    if value.chars().any(unsafe_char) {
        return None;
    }
    Some(match value.starts_with('-') {
        true => format!("{flag}={}", shell_quoted(value)),
        false => format!("{flag} {}", shell_quoted(value)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_can_be_pasted_or_is_none() {
        let option = |value| shell_option("--name", value);
        for (value, pasted) in [
            ("dev@example.test", "--name dev@example.test"),
            ("--insecure", "--name=--insecure"),
            ("-$(x)", "--name='-$(x)'"),
            ("=ls", "--name '=ls'"),
            ("", "--name ''"),
            ("a'b", r"--name 'a'\''b'"),
            ("a b;c&d|e>f!g*h~i#j", "--name 'a b;c&d|e>f!g*h~i#j'"),
            ("dév", "--name 'dév'"),
        ] {
            assert_eq!(option(value).as_deref(), Some(pasted));
        }
        for hidden in [
            "a\nb",
            "a\u{3}b",
            "a\u{1b}[2J",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{feff}",
            "a\\b",
        ] {
            assert_eq!(option(hidden), None, "{hidden:?}");
        }
    }

    #[test]
    fn foreign_text_is_cut_at_its_limit() {
        assert_eq!(clean(" a\u{1b}[2J\n\u{202e}b ", 9), "a [2J b");
        assert_eq!(clean("abcd", 4), "abcd");
        assert_eq!(clean("abcde", 4), "abcd…");
        assert_eq!(clean("abcd e", 4), "abcd…");
        assert_eq!(clean("abc de", 4), "abc …");
    }

    #[test]
    fn one_is_not_several() {
        assert_eq!(counted(0, "payload"), "0 payloads");
        assert_eq!(counted(1, "payload"), "1 payload");
        assert_eq!(counted(2, "payload"), "2 payloads");
    }

    #[test]
    fn a_batch_ends_with_the_most_severe() {
        assert_eq!(Exit::Accepted.worst(Exit::Usage), Exit::Usage);
        assert_eq!(
            Exit::Unreachable.worst(Exit::NoSignature),
            Exit::NoSignature
        );
        assert_eq!(Exit::SignatureInvalid.worst(Exit::Log), Exit::Log);
        assert_eq!(Exit::Internal.worst(Exit::Log), Exit::Internal);
        assert_eq!(Exit::Log.worst(Exit::Accepted), Exit::Log);
    }
}
