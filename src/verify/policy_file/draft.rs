//! A first policy, written from signatures that are there. It says who has signed, and a person decides who
//! may: every signer stands beside the others, and everybody who could attach a signature is among them.

use crate::crypto::UnixTime;
use crate::format::certificate_identity::CertificateIdentity;
use crate::verify::glob::Glob;

/// What a signature was found on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// An image of this repository, registry included.
    Image(String),
    /// A file, by the path as given.
    File(String),
}

impl Target {
    fn key(&self) -> &'static str {
        match self {
            Target::Image(_) => "images",
            Target::File(_) => "files",
        }
    }

    fn pattern(&self) -> &str {
        match self {
            Target::Image(pattern) | Target::File(pattern) => pattern,
        }
    }

    /// Returns whether a pattern can mean this target and nothing else.
    pub fn is_pattern(&self) -> bool {
        let read = match self {
            Target::Image(name) => Glob::image(name),
            Target::File(path) => Glob::file(path),
        };
        read.is_ok() && !self.pattern().contains('*')
    }
}

/// A signature that holds, by whomever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// What it is on.
    pub target: Target,
    /// `signature`, or a predicate type.
    pub content: String,
    /// Who signed.
    pub signer: CertificateIdentity,
    /// When, if somebody vouches for that.
    pub time: Option<UnixTime>,
}

struct Signer<'a> {
    identity: &'a CertificateIdentity,
    count: usize,
    latest: Option<UnixTime>,
    /// The value of [`LASTING_CLAIM`], if all bundles agree.
    claim: Option<&'a str>,
}

impl Signer<'_> {
    fn is_by(&self, identity: &CertificateIdentity) -> bool {
        self.identity.subject == identity.subject && self.identity.issuer == identity.issuer
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.latest = self.latest.max(other.latest);
        self.claim = self.claim.filter(|claim| other.claim == Some(*claim));
    }
}

/// Signers of one target, for some kinds of content that all of them have signed.
struct Group<'a> {
    target: &'a Target,
    contents: Vec<&'a str>,
    signers: Vec<Signer<'a>>,
}

impl Group<'_> {
    fn is_by(&self, other: &Group<'_>) -> bool {
        let has = |signer: &Signer<'_>| other.signers.iter().any(|s| s.is_by(signer.identity));
        self.target == other.target
            && self.signers.len() == other.signers.len()
            && self.signers.iter().all(has)
    }
}

/// Writes a policy: for each target one rule, or several where different signers made different things.
/// Nothing comes of nothing.
pub fn write(sightings: &[Sighting]) -> Option<String> {
    if sightings.is_empty() {
        return None;
    }
    let groups = groups(sightings);
    let mut text = HEAD.to_owned();
    for group in &groups {
        let alone = groups.iter().filter(|g| g.target == group.target).count() == 1;
        text.push_str(&rule(group, alone));
    }
    Some(text)
}

const HEAD: &str = "\
# A draft by `keyless policy init`. It says who HAS signed, not who may.
#
# Read it before you use it. Whoever could write to the registry could add a signature, and is then listed
# here: take out every signer whom you do not expect. One signer of a rule is enough to meet it; every rule
# that matches an image or file must be met; what no rule matches is refused.

version = 1
";

fn groups(sightings: &[Sighting]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for sighting in sightings {
        let mine = |group: &&mut Group<'_>| {
            group.target == &sighting.target && group.contents == [sighting.content.as_str()]
        };
        let group = match groups.iter_mut().find(mine) {
            Some(group) => group,
            None => {
                groups.push(Group {
                    target: &sighting.target,
                    contents: vec![&sighting.content],
                    signers: Vec::new(),
                });
                groups.last_mut().expect("one was pushed")
            }
        };
        add(
            &mut group.signers,
            Signer {
                identity: &sighting.signer,
                count: 1,
                latest: sighting.time,
                claim: sighting.signer.claim(LASTING_CLAIM),
            },
        );
    }
    // What the same signers made goes into one rule.
    let mut merged: Vec<Group<'_>> = Vec::new();
    for group in groups {
        match merged.iter_mut().find(|other| other.is_by(&group)) {
            Some(other) => {
                other.contents.extend(group.contents);
                for signer in group.signers {
                    add(&mut other.signers, signer);
                }
            }
            None => merged.push(group),
        }
    }
    merged
}

fn add<'a>(signers: &mut Vec<Signer<'a>>, found: Signer<'a>) {
    match signers.iter_mut().find(|s| s.is_by(found.identity)) {
        Some(known) => known.add(&found),
        None => signers.push(found),
    }
}

fn rule(group: &Group<'_>, alone: bool) -> String {
    let pattern = group.target.pattern();
    let mut name = match group.target {
        Target::Image(_) => pattern.to_owned(),
        Target::File(_) => format!("file {pattern}"),
    };
    if !alone {
        name.push_str(&format!(": {}", group.contents.join(", ")));
    }
    let contents: Vec<String> = group.contents.iter().map(|one| quoted(one)).collect();
    let mut text = format!(
        "\n[[rule]]\nname = {}\n{} = [{}]\nrequires = [{}]\n",
        quoted(&name),
        group.target.key(),
        quoted(pattern),
        contents.join(", ")
    );
    for signer in &group.signers {
        text.push_str(&format!("\n{}", self::signer(signer)));
    }
    text
}

fn signer(signer: &Signer<'_>) -> String {
    let identity = signer.identity;
    let latest = signer
        .latest
        .map_or(String::new(), |time| format!(", the latest of {time}"));
    let mut text = format!(
        "# {} found{latest}\n[[rule.signer]]\nidentity = {}\nissuer = {}\n",
        match signer.count {
            1 => "1 bundle".to_owned(),
            count => format!("{count} bundles"),
        },
        quoted(&identity.subject),
        quoted(&identity.issuer)
    );
    // A branch may be named `x@refs/tags/v1`: what stands before must name no ref.
    if let Some((workflow, _)) = identity.subject.split_once("@refs/tags/")
        && !workflow.contains("@refs/")
    {
        let pattern = format!("{}@refs/tags/.*", regex::escape(workflow));
        text.push_str(&format!(
            "# For every tag, in place of identity: identity-regexp = {}\n",
            quoted(&pattern)
        ));
    }
    if let Some(claim) = signer.claim {
        text.push_str(&format!(
            "# To ask for it too: claims = {{ {LASTING_CLAIM} = {} }}\n",
            quoted(claim)
        ));
    }
    text
}

/// A claim that stays the same from one signature of a pipeline to the next.
const LASTING_CLAIM: &str = "source-repository-uri";

/// Quotes text as a TOML string. Whatever is not plain ASCII is escaped, so that nothing ends the line, and
/// a name that only looks like another is seen.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if u32::from(c) <= 0xffff => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::policy_file::PolicyFile;

    fn sighting(target: Target, content: &str, subject: &str) -> Sighting {
        Sighting {
            target,
            content: content.to_owned(),
            signer: CertificateIdentity {
                subject: subject.to_owned(),
                issuer: "https://issuer.example.test".to_owned(),
                claims: vec![(
                    "source-repository-uri",
                    "https://github.com/a\n\"".to_owned(),
                )],
            },
            time: Some(UnixTime::from_seconds(1_800_000_000)),
        }
    }

    fn app() -> Target {
        Target::Image("reg.test/app".to_owned())
    }

    const SLSA: &str = "https://slsa.dev/provenance/v1";

    #[test]
    fn a_draft_is_a_policy() {
        let hostile = "a\"]\n[[rule]]\u{202e}\u{7f}\\é😀";
        let text = write(&[
            sighting(app(), "signature", hostile),
            sighting(Target::File("dist/\u{e9}.bin".to_owned()), "signature", "a"),
        ])
        .unwrap();
        assert!(text.is_ascii());
        let file = PolicyFile::parse(&text).unwrap();
        let [image, blob] = file.rules() else {
            panic!("{text}");
        };
        assert_eq!(image.images()[0].source(), "reg.test/app");
        assert_eq!(image.requires(), ["signature"]);
        assert_eq!(
            image.signers(),
            [format!("{hostile} (issuer https://issuer.example.test)")]
        );
        assert_eq!(blob.files()[0].source(), "dist/\u{e9}.bin");
    }

    #[test]
    fn signers_of_the_same_things_share_a_rule() {
        let text = write(&[
            sighting(app(), "signature", "a"),
            sighting(app(), SLSA, "a"),
            sighting(app(), "signature", "a"),
        ])
        .unwrap();
        let file = PolicyFile::parse(&text).unwrap();
        assert_eq!(file.rules().len(), 1, "{text}");
        assert_eq!(file.rules()[0].requires(), ["signature", SLSA]);
        assert_eq!(file.rules()[0].signers().len(), 1);
        assert!(text.contains("# 3 bundles found, the latest of "), "{text}");
    }

    #[test]
    fn whoever_made_one_thing_is_not_trusted_with_another() {
        let text = write(&[
            sighting(app(), "signature", "a"),
            sighting(app(), SLSA, "builder"),
            sighting(app(), SLSA, "a"),
        ])
        .unwrap();
        let file = PolicyFile::parse(&text).unwrap();
        let signers: Vec<_> = file
            .rules()
            .iter()
            .map(|rule| (rule.requires(), rule.signers().len()))
            .collect();
        assert_eq!(signers, [(vec!["signature"], 1), (vec![SLSA], 2)]);
    }

    #[test]
    fn a_rule_is_of_one_target_and_of_the_same_signers() {
        let file = Target::File("dist/a".to_owned());
        let told = |sightings: &[Sighting]| {
            let text = write(sightings).unwrap();
            let file = PolicyFile::parse(&text).unwrap();
            let told = |rule: &crate::verify::policy_file::Rule| {
                let requires = rule.requires().join(" ");
                format!("{} [{requires}] by {}", rule.name(), rule.signers().len())
            };
            file.rules().iter().map(told).collect::<Vec<_>>()
        };
        let signed = |target: &Target, who: &[&str], content: &str| -> Vec<Sighting> {
            let one = |who: &&str| sighting(target.clone(), content, who);
            who.iter().map(one).collect()
        };
        assert_eq!(
            told(
                &[
                    signed(&app(), &["a"], "signature"),
                    signed(&file, &["a"], "signature")
                ]
                .concat()
            ),
            [
                "reg.test/app [signature] by 1",
                "file dist/a [signature] by 1"
            ]
        );
        for others in [&["b"][..], &["b", "c"], &["a", "c"], &["c", "b"]] {
            let of_first = &["a", "b"][..others.len().min(2)];
            let both = [
                signed(&app(), of_first, "signature"),
                signed(&app(), others, SLSA),
            ];
            let count = others.len();
            assert_eq!(
                told(&both.concat()),
                [
                    format!("reg.test/app: signature [signature] by {count}"),
                    format!("reg.test/app: {SLSA} [{SLSA}] by {count}")
                ],
                "{others:?}"
            );
        }
        let both = [
            signed(&app(), &["a", "b"], "signature"),
            signed(&app(), &["b", "a"], SLSA),
        ];
        let merged = format!("reg.test/app [signature {SLSA}] by 2");
        assert_eq!(told(&both.concat()), [merged]);
    }

    #[test]
    fn a_signer_is_a_subject_of_one_issuer() {
        let mut sightings = vec![sighting(app(), "signature", "a"); 2];
        sightings[1].signer.issuer = "https://other.example.test".to_owned();
        let text = write(&sightings).unwrap();
        let file = PolicyFile::parse(&text).unwrap();
        assert_eq!(file.rules()[0].signers().len(), 2);
        assert_eq!(text.matches("# 1 bundle found, ").count(), 2, "{text}");
    }

    #[test]
    fn the_latest_time_is_told() {
        let latest = UnixTime::from_seconds(1_800_000_001);
        for at in [0, 1] {
            let mut sightings = vec![sighting(app(), "signature", "a"); 2];
            sightings[at].time = Some(latest);
            let told = format!("# 2 bundles found, the latest of {latest}\n");
            let text = write(&sightings).unwrap();
            assert!(text.contains(&told), "{text}");
        }
    }

    #[test]
    fn text_is_quoted_in_the_shortest_way() {
        for (text, expected) in [
            ("a b~", r#""a b~""#),
            ("a\"\\", r#""a\"\\""#),
            ("\u{7f}", r#""\u007f""#),
            ("\u{ffff}", r#""\uffff""#),
            ("\u{10000}", r#""\U00010000""#),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn a_claim_is_offered_where_all_bundles_agree() {
        let mut sightings = vec![
            sighting(app(), "signature", "a"),
            sighting(app(), "signature", "a"),
        ];
        let offered = "# To ask for it too: claims = { source-repository-uri = ";
        assert!(write(&sightings).unwrap().contains(offered));
        sightings[1].signer.claims[0].1 = "https://github.com/b".to_owned();
        assert!(!write(&sightings).unwrap().contains(offered));
    }

    #[test]
    fn a_workflow_of_a_tag_gets_a_pattern_that_holds() {
        let workflow = "https://github.com/a/b.c/.github/workflows/r.yml@refs/tags/v1";
        let text = write(&[sighting(app(), "signature", workflow)]).unwrap();
        let line = text.lines().find(|line| line.contains("identity-regexp"));
        let pattern = line.unwrap().split("place of identity: ").nth(1).unwrap();
        let exact = format!("identity = {}", quoted(workflow));
        PolicyFile::parse(&text.replace(&exact, pattern)).unwrap();
        assert!(pattern.contains(r"b\\.c"), "{pattern}");
        // A tag may have such a name.
        let text = write(&[sighting(app(), "signature", "w@refs/tags/x@refs/tags/v1")]).unwrap();
        assert!(text.contains(r#"= "w@refs/tags/.*""#), "{text}");
    }

    #[test]
    fn a_branch_that_is_named_like_a_tag_gets_no_pattern() {
        let branch = "https://github.com/a/b/.github/workflows/r.yml@refs/heads/x@refs/tags/v1";
        let text = write(&[sighting(app(), "signature", branch)]).unwrap();
        assert!(!text.contains("identity-regexp"), "{text}");
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(write(&[]), None);
        assert!(app().is_pattern());
        for path in ["a*b", "a?", "-\n"] {
            assert!(!Target::File(path.to_owned()).is_pattern(), "{path:?}");
        }
    }
}
