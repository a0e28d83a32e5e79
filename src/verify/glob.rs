//! Patterns for the names of images and files, as trust policies write them.
//!
//! `*` stands for anything within one component of a path, `**` for any number of components. There is
//! nothing else, so that a pattern reads as what it matches: other characters that people know from shells
//! are refused, and so is a pattern that could never match, such as an image by its short name. Names are
//! matched to the letter, in full.
//!
//! Images are matched by registry and repository, never by tag or digest: the same image can be named by
//! either, and a rule for a tag would not see whoever names the digest.

use std::path::{Component, Path};

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pattern {pattern:?}: {reason}")]
pub struct GlobError {
    /// The pattern.
    pub pattern: String,
    /// Which rule is broken.
    pub reason: &'static str,
}

/// Stands for content that has no name: standard input, or a digest in place of a file.
pub const NAMELESS: &str = "-";

/// A file as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileName<'a> {
    /// Its path, as given.
    Path(&'a str),
    /// Standard input, or a digest: nobody knows the name.
    Nameless,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// One component; `*` in it stands for anything.
    One(Vec<char>),
    /// Any number of components.
    Across,
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    source: String,
    /// Never empty, but for the pattern of what has no name.
    parts: Vec<Part>,
}

impl Glob {
    /// Reads a pattern for images.
    ///
    /// # Errors
    /// [`GlobError`].
    pub fn image(source: &str) -> Result<Self, GlobError> {
        check_image(source).map_err(|reason| refuse(source, reason))?;
        let name = match source.split_once('/') {
            Some((registry, path)) => image_name(registry, path),
            None => source.to_owned(),
        };
        let parts = parts(name.split('/')).map_err(|reason| refuse(source, reason))?;
        Ok(Glob {
            source: source.to_owned(),
            parts,
        })
    }

    /// Reads a pattern for files; `-` stands for content without a name.
    ///
    /// # Errors
    /// [`GlobError`].
    pub fn file(source: &str) -> Result<Self, GlobError> {
        let unknown = |c: char| matches!(c, '?' | '[' | ']' | '{' | '}' | '\\') || c.is_control();
        let reason = if source.is_empty() {
            Some("it is empty")
        } else if source.starts_with('!') || source.contains(unknown) {
            Some("only * and ** stand for something else")
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(refuse(source, reason));
        }
        let parts = if source == NAMELESS {
            Vec::new()
        } else {
            let (root, relative) = match source.strip_prefix('/') {
                Some(relative) => (Some("/"), relative),
                None => (None, source),
            };
            let components = relative.split('/').filter(|component| *component != ".");
            parts(root.into_iter().chain(components)).map_err(|reason| refuse(source, reason))?
        };
        Ok(Glob {
            source: source.to_owned(),
            parts,
        })
    }

    /// Returns the pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns whether a repository of a registry is meant.
    pub fn matches_image(&self, registry: &str, repository: &str) -> bool {
        let matches = |name: String| across(&self.parts, &name.split('/').collect::<Vec<_>>());
        let name = image_name(registry, repository);
        // A pattern with a star in its host may be about either name of this machine.
        let local = name.strip_prefix(LOOPBACK);
        let local = local.map(|rest| format!("localhost{rest}"));
        local.is_some_and(matches) || matches(name) || matches(plain_name(registry, repository))
    }

    /// Returns whether a file is meant, by the path as given: `.` components and doubled slashes count for
    /// nothing. A root and `..` lead elsewhere, so that no wildcard stands for them.
    pub fn matches_file(&self, name: FileName<'_>) -> bool {
        let FileName::Path(path) = name else {
            return self.source == NAMELESS;
        };
        let components: Option<Vec<&str>> = Path::new(path)
            .components()
            .filter(|component| *component != Component::CurDir)
            .map(|component| component.as_os_str().to_str())
            .collect();
        components.is_some_and(|components| across(&self.parts, &components))
    }
}

/// What this machine is called, where an image's registry is on it.
const LOOPBACK: &str = "127.0.0.1";

/// Returns the name that patterns are matched with. Letter case of the registry and the port that is asked anyway
/// (HTTPS's, on loopback HTTP's) make no difference to who answers, and none here; nor does it which of its names
/// this machine is called by: `localhost` (RFC 6761 section 6.3), or an address in 127.0.0.0/8 (RFC 1122 section
/// 3.2.1.3). A rule for one of them would be got around by another. Every other way to write a registry is refused
/// where references are read.
pub fn image_name(registry: &str, repository: &str) -> String {
    let name = plain_name(registry, repository);
    let end = name.find([':', '/']).unwrap_or(name.len());
    match is_loopback(&name[..end]) {
        true => format!("{LOOPBACK}{}", &name[end..]),
        false => name,
    }
}

/// The name with the host as it is given.
fn plain_name(registry: &str, repository: &str) -> String {
    let registry = registry.to_ascii_lowercase();
    let host = registry.split(':').next().unwrap_or_default();
    let usual = match is_loopback(host) {
        true => ":80",
        false => ":443",
    };
    let registry = registry.strip_suffix(usual).unwrap_or(&registry);
    format!("{registry}/{repository}")
}

fn is_loopback(host: &str) -> bool {
    let parts: Vec<&str> = host.split('.').collect();
    let is_number = |part: &&str| part.parse::<u8>().is_ok();
    host == "localhost" || (parts.len() == 4 && parts[0] == "127" && parts.iter().all(is_number))
}

fn refuse(pattern: &str, reason: &'static str) -> GlobError {
    GlobError {
        pattern: pattern.chars().take(200).collect(),
        reason,
    }
}

fn parts<'a>(components: impl Iterator<Item = &'a str>) -> Result<Vec<Part>, &'static str> {
    let mut parts = Vec::new();
    for component in components {
        parts.push(match component {
            "" => return Err("a component of the path is empty"),
            "**" => Part::Across,
            other if other.contains("**") => return Err("** is a component of its own"),
            other => Part::One(other.chars().collect()),
        });
    }
    // `a/**` is what lies under a, and not a itself.
    if parts.last() == Some(&Part::Across) {
        parts.insert(parts.len() - 1, Part::One(vec!['*']));
    }
    if parts.is_empty() {
        return Err("it names nothing");
    }
    Ok(parts)
}

/// Refuses what no image's name can be: a pattern that never matches guards nothing.
fn check_image(source: &str) -> Result<(), &'static str> {
    if source.is_empty() {
        return Err("it is empty");
    }
    let known = |c: char| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '/' | '*')
    };
    let (first, rest) = match source.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (source, None),
    };
    let path = rest.unwrap_or_default();
    if source.contains('@') || path.contains(':') || (rest.is_none() && first.contains(':')) {
        return Err("images are matched by repository, not by tag or digest");
    }
    let is_registry = first == "**" || first == "localhost" || first.contains(['.', ':', '*']);
    if !is_registry || (rest.is_none() && first != "**") {
        return Err("it must begin with a registry, such as docker.io/library/alpine");
    }
    if !first.chars().all(|c| known(c) || c == ':') || !path.chars().all(known) {
        return Err("names of images have lower-case letters, digits, '.', '_' and '-'");
    }
    if first.ends_with(":443") {
        return Err("port 443 is left out");
    }
    let is_short = !path.contains('/') && path != "**";
    if first == "index.docker.io" || (first == "docker.io" && is_short) {
        return Err("images of Docker Hub are docker.io/OWNER/NAME, or docker.io/library/NAME");
    }
    Ok(())
}

/// Matches components. A table over both sequences: no pattern makes it slow.
fn across(parts: &[Part], components: &[&str]) -> bool {
    // A root, `..` and the like are taken by no wildcard.
    let leads_elsewhere = |component: &&str| matches!(*component, ".." | "/" | "\\");
    let one = |part: &Part, component: &&str| match part {
        Part::Across => false,
        Part::One(pattern) if pattern.contains(&'*') => {
            let text: Vec<char> = component.chars().collect();
            !leads_elsewhere(component)
                && table(pattern, &text, |p, c| p == c, |p| *p == '*', |_| true)
        }
        Part::One(pattern) => component.chars().eq(pattern.iter().copied()),
    };
    table(
        parts,
        components,
        one,
        |part| *part == Part::Across,
        |component| !leads_elsewhere(component),
    )
}

/// Matches a sequence: each element of the pattern takes one, or, where `any` says so, any number of those
/// that `takes` admits.
fn table<P, T>(
    pattern: &[P],
    text: &[T],
    one: impl Fn(&P, &T) -> bool,
    any: impl Fn(&P) -> bool,
    takes: impl Fn(&T) -> bool,
) -> bool {
    // After each element of the pattern: which beginnings of the text it can have taken.
    let mut reached: Vec<bool> = (0..=text.len()).map(|taken| taken == 0).collect();
    for element in pattern {
        let mut next = vec![false; text.len() + 1];
        if any(element) {
            next[0] = reached[0];
            for (i, item) in text.iter().enumerate() {
                next[i + 1] = reached[i + 1] || (next[i] && takes(item));
            }
        } else {
            for (i, item) in text.iter().enumerate() {
                next[i + 1] = reached[i] && one(element, item);
            }
        }
        reached = next;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(pattern: &str, name: &str) -> bool {
        let (registry, repository) = name.split_once('/').unwrap();
        Glob::image(pattern)
            .unwrap()
            .matches_image(registry, repository)
    }

    fn file(pattern: &str, path: &str) -> bool {
        Glob::file(pattern)
            .unwrap()
            .matches_file(FileName::Path(path))
    }

    #[test]
    fn images_by_their_whole_name() {
        for (pattern, name, expected) in [
            ("reg.test/org/app", "reg.test/org/app", true),
            ("reg.test/org/app", "reg.test/org/app2", false),
            ("reg.test/org/app", "reg.test/org/app/x", false),
            ("reg.test/org/app", "other.test/org/app", false),
            ("reg.test/org/app", "evil.test/reg.test/org/app", false),
            ("reg.test/org/*", "reg.test/org/app", true),
            ("reg.test/org/*", "reg.test/org/a/b", false),
            ("reg.test/org/*", "reg.test/org", false),
            ("reg.test/org/**", "reg.test/org/app", true),
            ("reg.test/org/**", "reg.test/org/a/b", true),
            ("reg.test/org/**", "reg.test/org", false),
            ("reg.test/org/**", "reg.test/organ/app", false),
            ("reg.test/**/app", "reg.test/app", true),
            ("reg.test/**/app", "reg.test/a/b/app", true),
            ("reg.test/**/app", "reg.test/a/b/app2", false),
            ("**", "reg.test/a/b", true),
            ("**/app", "reg.test/a/app", true),
            ("reg.test/team-*/app", "reg.test/team-a/app", true),
            ("reg.test/team-*/app", "reg.test/team-/app", true),
            ("reg.test/team-*/app", "reg.test/team/app", false),
            ("reg.test/*-*/app", "reg.test/a-b-c/app", true),
            ("*.reg.test/app", "a.reg.test/app", true),
            ("*.reg.test/app", "a.b.reg.test/app", true),
            ("*.reg.test/app", "reg.test/app", false),
            ("*.reg.test/app", "evilreg.test/app", false),
            ("localhost:5000/app", "localhost:5000/app", true),
            ("localhost:5000/app", "localhost:5001/app", false),
            ("reg.test/app", "reg.test:443/app", true),
            ("reg.test/app", "REG.test/app", true),
            ("reg.test/app", "reg.test:8443/app", false),
            ("reg.test/app", "reg.test:80/app", false),
            ("localhost/app", "localhost:80/app", true),
            ("localhost/app", "localhost:443/app", false),
            ("127.0.0.1/app", "127.0.0.1:80/app", true),
            ("127.0.0.1/app", "127.0.0.1:443/app", false),
            ("1.127.test/app", "1.127.test:443/app", true),
            ("docker.io/library/*", "docker.io/library/alpine", true),
        ] {
            assert_eq!(image(pattern, name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn files_by_the_path_as_given() {
        for (pattern, path, expected) in [
            ("dist/*.tar.gz", "dist/app.tar.gz", true),
            ("dist/*.tar.gz", "./dist//app.tar.gz", true),
            ("./dist/*.tar.gz", "dist/app.tar.gz", true),
            ("dist/*.tar.gz", "dist/.tar.gz", true),
            ("dist/*.tar.gz", "dist/sub/app.tar.gz", false),
            ("dist/*.tar.gz", "dist/app.tar.gz.bak", false),
            ("dist/*.tar.gz", "Dist/app.tar.gz", false),
            ("dist/*.tar.gz", "/dist/app.tar.gz", false),
            ("dist/*.tar.gz", "../dist/app.tar.gz", false),
            ("dist/**", "dist/a/b", true),
            ("dist/**", "dist", false),
            ("dist/**", "dist/../secret", false),
            ("**", "a/b/c", true),
            ("**", "/a", false),
            ("**", "../a", false),
            ("**", "a/../b", false),
            ("**/b", "a/../b", false),
            ("*/b", "../b", false),
            ("*/b", "/b", false),
            ("..*/b", "../b", false),
            ("/srv/**", "/srv/a/b", true),
            ("/srv/**", "srv/a", false),
            ("../dist/*", "../dist/a", true),
            ("../dist/*", "../../dist/a", false),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "axxcxxb", false),
            ("*", "a", true),
            ("*", "a/b", false),
            ("*", "", false),
            ("**", "", false),
            ("-", "-", false),
            ("-", "./-", false),
            ("./-", "./-", true),
        ] {
            assert_eq!(file(pattern, path), expected, "{pattern} on {path:?}");
        }
    }

    #[test]
    fn this_machine_has_one_name() {
        let names = ["localhost", "127.0.0.1", "127.0.0.2", "127.255.255.254"];
        for pattern in names {
            for name in names.into_iter().chain(["LOCALHOST"]) {
                for (pattern_port, port, expected) in [
                    ("", "", true),
                    (":5000", ":5000", true),
                    (":5000", ":5001", false),
                    (":*", ":5000", true),
                    ("", ":80", true),
                    (":80", "", true),
                    (":80", ":80", true),
                ] {
                    let pattern = format!("{pattern}{pattern_port}/team/*");
                    let name = format!("{name}{port}/team/app");
                    assert_eq!(image(&pattern, &name), expected, "{pattern} on {name}");
                }
            }
        }
        for (pattern, name, expected) in [
            ("127.*:5000/**", "localhost:5000/a", true),
            ("local*:5000/**", "127.0.0.1:5000/a", true),
            ("127.0.0.*:5000/**", "127.0.0.7:5000/a", true),
            ("127.0.0.7*/**", "127.0.0.7/a", true),
            ("localhost/**", "localhost.example.test/a", false),
            ("localhost/**", "127.example.test/a", false),
            ("localhost/**", "127.0.0.1.example.test/a", false),
            ("127.0.0.1/**", "128.0.0.1/a", false),
            ("127.example.test/**", "localhost/a", false),
        ] {
            assert_eq!(image(pattern, name), expected, "{pattern} on {name}");
        }
        assert_eq!(Glob::image("localhost/a").unwrap().source(), "localhost/a");
        assert_eq!(
            image_name("localhost:5000", "a"),
            image_name("127.0.0.1:5000", "a")
        );
    }

    #[test]
    fn what_has_no_name_is_meant_by_a_dash_alone() {
        for (pattern, expected) in [("-", true), ("**", false), ("*", false), ("./-", false)] {
            let glob = Glob::file(pattern).unwrap();
            assert_eq!(glob.matches_file(FileName::Nameless), expected, "{pattern}");
        }
    }

    #[test]
    fn patterns_that_never_match_are_refused() {
        const EMPTY: &str = "it is empty";
        const COMPONENT: &str = "a component of the path is empty";
        const STARS: &str = "** is a component of its own";
        const REGISTRY: &str = "it must begin with a registry, such as docker.io/library/alpine";
        const TAG: &str = "images are matched by repository, not by tag or digest";
        const LETTERS: &str = "names of images have lower-case letters, digits, '.', '_' and '-'";
        const HUB: &str =
            "images of Docker Hub are docker.io/OWNER/NAME, or docker.io/library/NAME";
        for (pattern, reason) in [
            ("", EMPTY),
            ("alpine", REGISTRY),
            ("org/app", REGISTRY),
            ("*", REGISTRY),
            ("reg.test", REGISTRY),
            ("/reg.test/app", REGISTRY),
            ("reg.test/", COMPONENT),
            ("reg.test//app", COMPONENT),
            ("reg.test/a**", STARS),
            ("reg.test/**b", STARS),
            ("reg.test/***", STARS),
            ("reg.test/app:v1", TAG),
            ("reg.test/app:*", TAG),
            ("alpine:3", TAG),
            ("localhost:5000", TAG),
            ("reg.test/app@sha256:*", TAG),
            ("reg.test/app@sha256", TAG),
            ("reg.test/App", LETTERS),
            ("Reg.test/app", LETTERS),
            ("reg.test/app?", LETTERS),
            ("reg.test/{a,b}", LETTERS),
            ("reg.test/[ab]", LETTERS),
            ("reg.test/a b", LETTERS),
            ("reg.test:443/app", "port 443 is left out"),
            ("docker.io/alpine", HUB),
            ("docker.io/*", HUB),
            ("index.docker.io/library/alpine", HUB),
        ] {
            let refused = Glob::image(pattern).map_err(|error| error.reason);
            assert_eq!(refused, Err(reason), "{pattern:?}");
        }
        const SHELL: &str = "only * and ** stand for something else";
        const NOTHING: &str = "it names nothing";
        for (pattern, reason) in [
            ("", EMPTY),
            ("a//b", COMPONENT),
            ("a/", COMPONENT),
            ("//a", COMPONENT),
            ("a/b**", STARS),
            ("!a", SHELL),
            ("a?", SHELL),
            ("[a]", SHELL),
            ("{a}", SHELL),
            ("a\\b", SHELL),
            ("a\nb", SHELL),
            (".", NOTHING),
            ("./", COMPONENT),
            ("/", COMPONENT),
        ] {
            let refused = Glob::file(pattern).map_err(|error| error.reason);
            assert_eq!(refused, Err(reason), "{pattern:?}");
        }
        for pattern in ["**", "**/app", "docker.io/**", "*/app", "localhost/app"] {
            assert!(Glob::image(pattern).is_ok(), "{pattern:?}");
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!file(&pattern, &"a".repeat(2000)));
        let pattern = "**/a/".repeat(100) + "b";
        assert!(!file(&pattern, &"a/".repeat(1000)));
    }
}
