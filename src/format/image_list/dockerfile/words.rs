//! Words of a Dockerfile's instruction: flags, quotes, where here-documents begin.

/// Splits the first word off.
pub(super) fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    match text.find(char::is_whitespace) {
        Some(at) => (&text[..at], text[at..].trim_start()),
        None => (text, ""),
    }
}

/// Splits the flags off that begin an instruction's arguments, without their quotes.
pub(super) fn flags(text: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (word, end) = flag(rest);
        rest = rest[end..].trim_start();
        if word == "--" {
            break;
        }
        flags.push(word);
    }
    (flags, rest)
}

/// Reads one flag; returns where it ends. The escape directive means nothing here.
fn flag(text: &str) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, at),
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == '\\' => word.extend(chars.next().map(|(_, next)| next)),
            _ => word.push(c),
        }
    }
    (word, text.len())
}

/// Splits fields at commas; what is in quotes has none. `None` if a quote does not end.
pub(super) fn comma_separated(text: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    for c in text.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            c => fields.last_mut()?.push(c),
        }
    }
    (!is_quoted).then_some(fields)
}

/// Splits words as a shell does, quotes and escapes kept. `None` if a quote or brace does not end.
pub(super) fn shell_words(text: &str, escape: char) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = word_end(rest, escape)?;
        words.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    Some(words)
}

/// Finds the end of the word that a text begins with.
fn word_end(text: &str, escape: char) -> Option<usize> {
    let mut quote = None;
    // Open `${`; white space within is part of the word.
    let mut braces = 0_usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match quote {
            Some('\'') if c == '\'' => quote = None,
            Some('\'') => {}
            _ if c == escape => {
                chars.next();
            }
            Some('"') if c == '"' => quote = None,
            _ if c == '$' && chars.next_if(|(_, next)| *next == '{').is_some() => braces += 1,
            _ if c == '}' => braces = braces.saturating_sub(1),
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() && braces == 0 => return Some(at),
            None => {}
        }
    }
    (quote.is_none() && braces == 0).then_some(text.len())
}

/// Instructions that may have here-documents.
const WITH_HEREDOC: [&str; 3] = ["add", "copy", "run"];

/// Returns what ends each here-document that an instruction begins, and whether tabs before it are taken off.
/// `None` if that cannot be told: taking an instruction for text would hide it.
pub(super) fn heredocs(instruction: &str) -> Option<Vec<(String, bool)>> {
    let (mut keyword, mut rest) = split_word(instruction);
    if keyword.eq_ignore_ascii_case("onbuild") {
        (keyword, rest) = split_word(rest);
    }
    let may_have = WITH_HEREDOC
        .iter()
        .any(|known| keyword.eq_ignore_ascii_case(known));
    let json = JsonForm::of(flags(rest).1);
    if !may_have || !rest.contains("<<") || json == JsonForm::Yes {
        return Some(Vec::new());
    }
    let mut found = Vec::new();
    for word in shell_words(rest, '\\')? {
        let Some((descriptor, name)) = word.split_once("<<") else {
            continue;
        };
        if !descriptor.chars().all(|c| c.is_ascii_digit()) {
            continue;
        }
        let strips_tabs = name.starts_with('-');
        let name = name.strip_prefix('-').unwrap_or(name);
        if name.is_empty() || name.contains('<') {
            continue;
        }
        let name: String = name.chars().filter(|c| !matches!(c, '"' | '\'')).collect();
        let is_usual = |c: char| c.is_alphanumeric() || "_-.!@%+=:,/".contains(c);
        if name.is_empty() || !name.chars().all(is_usual) {
            return None;
        }
        found.push((name, strips_tabs));
    }
    // BuildKit finds none at all in a line that it cannot take apart.
    let is_clear = found.is_empty() || (json == JsonForm::No && has_plain_variables(rest));
    is_clear.then_some(found)
}

/// Returns whether every `${` is one that BuildKit's own reader of words takes.
fn has_plain_variables(text: &str) -> bool {
    text.split("${").skip(1).all(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let operator = rest.strip_prefix(':').unwrap_or(rest);
        rest.starts_with('}') || operator.starts_with(['-', '+'])
    })
}

/// Whether the arguments are a JSON list of texts, which has no here-documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JsonForm {
    Yes,
    No,
    /// Readers of JSON may disagree: something follows the list, or a text has an escape that is not a
    /// character.
    Disputed,
}

impl JsonForm {
    fn of(text: &str) -> Self {
        if !text.starts_with('[') {
            return JsonForm::No;
        }
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Vec<String>>();
        match values.next() {
            Some(Ok(_)) if text[values.byte_offset()..].trim().is_empty() => JsonForm::Yes,
            Some(Ok(_)) => JsonForm::Disputed,
            _ if text.contains("\\u") => JsonForm::Disputed,
            _ => JsonForm::No,
        }
    }
}
