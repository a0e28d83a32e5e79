//! Manners of registries in the field: what they do otherwise than distribution-spec 1.1 says, or leave out.
//!
//! Each is one row of [`MANNERS`], and a switch of its own: everything else stays as it should be, so that a test sees
//! what a client makes of this one thing.

use std::fmt;
use std::str::FromStr;

/// One thing that a registry does in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// A pushed `subject` is confirmed with `OCI-Subject`, and the list of referrers is answered with this status.
    Referrers(u16),
    /// The same, with 200 and a body of this type.
    ReferrersAre(&'static str, &'static str),
    /// A new referrer is listed when the list was asked for this often.
    ReferrersLate(u32),
    /// The list of referrers is right, and `OCI-Subject` is not sent.
    SubjectUnconfirmed,
    /// HEAD is answered with this status.
    Head(u16),
    /// A mount is answered with this status.
    Mount(u16),
    /// DELETE is answered with this status.
    Delete(u16),
    /// Where an upload goes on.
    Location(UploadLocation),
    /// Chunks but the last have at least this many bytes (`OCI-Chunk-Min-Length`).
    ChunkMinimum(usize),
    /// A chunk (PATCH) is answered with this status.
    Patch(u16),
    /// The PUT that ends an upload is answered with this status if it brings content.
    PutWithContent(u16),
    /// 200 where the specification says 201.
    Ok200,
    /// No `Docker-Content-Digest`.
    NoContentDigest,
    /// `ETag` is this, and a write under any condition is answered with 412.
    EntityTag(&'static str),
    /// `Range` of an upload is this.
    Range(&'static str),
    /// Whoever asks gets a token for everything; the answer's members are these, with `TOKEN` for the token.
    Token(&'static str),
}

/// Spelling of an upload's `Location`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadLocation {
    /// An absolute path.
    Path,
    /// Relative to the path that was asked for.
    Bare,
    /// A path with a query that has escapes of its own.
    Query,
    /// A path and a question mark with nothing behind it.
    QuestionMark,
    /// A path and a query that ends in `&`.
    Ampersand,
    /// The same machine by another name.
    OtherName,
    /// None at all.
    Missing,
}

use UploadLocation as At;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY_INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
const NULL_INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":null}"#;
const PAGE: &str = "<!doctype html><title>Sign in</title>";

/// Every manner by its name.
pub const MANNERS: &[(&str, Manner)] = &[
    ("referrers-404", Manner::Referrers(404)),
    ("referrers-400", Manner::Referrers(400)),
    ("referrers-403", Manner::Referrers(403)),
    ("referrers-405", Manner::Referrers(405)),
    ("referrers-406", Manner::Referrers(406)),
    ("referrers-500", Manner::Referrers(500)),
    ("referrers-501", Manner::Referrers(501)),
    ("referrers-204", Manner::Referrers(204)),
    ("referrers-empty", Manner::ReferrersAre(INDEX, EMPTY_INDEX)),
    ("referrers-null", Manner::ReferrersAre(INDEX, NULL_INDEX)),
    (
        "referrers-plain-type",
        Manner::ReferrersAre("application/json", EMPTY_INDEX),
    ),
    (
        "referrers-html",
        Manner::ReferrersAre("text/html; charset=utf-8", PAGE),
    ),
    ("referrers-html-index", Manner::ReferrersAre(INDEX, PAGE)),
    (
        "referrers-json",
        Manner::ReferrersAre("application/json", "{}"),
    ),
    ("referrers-array", Manner::ReferrersAre(INDEX, "[]")),
    ("referrers-nothing", Manner::ReferrersAre(INDEX, "")),
    ("referrers-late", Manner::ReferrersLate(2)),
    ("referrers-very-late", Manner::ReferrersLate(100)),
    ("subject-unconfirmed", Manner::SubjectUnconfirmed),
    ("head-400", Manner::Head(400)),
    ("head-403", Manner::Head(403)),
    ("head-404", Manner::Head(404)),
    ("head-405", Manner::Head(405)),
    ("head-500", Manner::Head(500)),
    ("head-501", Manner::Head(501)),
    ("mount-400", Manner::Mount(400)),
    ("mount-403", Manner::Mount(403)),
    ("mount-404", Manner::Mount(404)),
    ("mount-405", Manner::Mount(405)),
    ("mount-501", Manner::Mount(501)),
    ("delete-400", Manner::Delete(400)),
    ("delete-403", Manner::Delete(403)),
    ("delete-404", Manner::Delete(404)),
    ("delete-405", Manner::Delete(405)),
    ("delete-501", Manner::Delete(501)),
    ("upload-path", Manner::Location(At::Path)),
    ("upload-bare", Manner::Location(At::Bare)),
    ("upload-query", Manner::Location(At::Query)),
    ("upload-question-mark", Manner::Location(At::QuestionMark)),
    ("upload-ampersand", Manner::Location(At::Ampersand)),
    ("upload-other-name", Manner::Location(At::OtherName)),
    ("upload-no-location", Manner::Location(At::Missing)),
    ("chunk-minimum", Manner::ChunkMinimum(5 * 1024 * 1024)),
    ("patch-405", Manner::Patch(405)),
    ("put-content-400", Manner::PutWithContent(400)),
    ("put-content-415", Manner::PutWithContent(415)),
    ("status-200", Manner::Ok200),
    ("no-content-digest", Manner::NoContentDigest),
    ("etag-weak", Manner::EntityTag("W/\"1\"")),
    ("etag-odd", Manner::EntityTag("1")),
    ("range-bytes", Manner::Range("bytes=0-0")),
    (
        "expires-text",
        Manner::Token(r#""token":TOKEN,"expires_in":"3600","issued_at":"now""#),
    ),
    (
        "expires-float",
        Manner::Token(r#""access_token":TOKEN,"expires_in":299.5"#),
    ),
    (
        "expires-negative",
        Manner::Token(r#""token":TOKEN,"expires_in":-1,"issued_at":null"#),
    ),
    (
        "expires-null",
        Manner::Token(r#""token":TOKEN,"access_token":null,"expires_in":null,"issued_at":0"#),
    ),
    (
        "expires-huge",
        Manner::Token(r#""token":"","access_token":TOKEN,"expires_in":1e999"#),
    ),
    (
        "expires-object",
        Manner::Token(r#""token":TOKEN,"expires_in":{"seconds":60},"refresh_token":7"#),
    ),
];

impl Manner {
    /// Returns the name by which it is switched on.
    pub fn name(self) -> &'static str {
        let mut all = MANNERS.iter();
        all.find(|(_, manner)| *manner == self)
            .map_or("unnamed", |(name, _)| name)
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No manner has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchManner;

impl FromStr for Manner {
    type Err = NoSuchManner;

    fn from_str(name: &str) -> Result<Self, NoSuchManner> {
        let mut all = MANNERS.iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, manner)| *manner)
            .ok_or(NoSuchManner)
    }
}
