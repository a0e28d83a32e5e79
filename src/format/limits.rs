//! Bounds on everything that is read from outside, each with its source.

/// A bundle, in bytes. An attestation with a large predicate needs more, see [`TO_RAISE`].
pub const BUNDLE_LEN: usize = 8 * 1024 * 1024;
/// How to allow larger bundles.
pub const TO_RAISE: &str = "pass --max-attachment-size to allow more, such as 200MB";
/// A request to add an entry to a Rekor v1 log, in bytes: what the log's own deployment files set. A v1 log
/// takes the whole envelope; a v2 log takes its digest, and has no such bound.
pub const REKOR_V1_REQUEST_LEN: usize = 32_792_576;
/// A Rego policy, in bytes: some thousand rules.
pub const REGO_LEN: usize = 1024 * 1024;
/// Members of one object of a message; the widest has seven.
pub const MEMBERS: usize = 1024;
/// Transparency log entries in one bundle (what sigstore-go allows).
pub const LOG_ENTRIES: usize = 32;
/// RFC 3161 timestamps in one bundle (what sigstore-go allows).
pub const TIMESTAMPS: usize = 32;
/// Certificates in a chain; Fulcio's have three.
pub const CHAIN_CERTIFICATES: usize = 10;
/// Hashes in an inclusion proof: a tree of 2^63 leaves has paths of 63.
pub const PROOF_HASHES: usize = 64;
/// A checkpoint, in bytes.
pub const CHECKPOINT_LEN: usize = 16 * 1024;
/// Signature lines of a checkpoint: the log, and a generous number of witnesses.
pub const CHECKPOINT_SIGNATURES: usize = 100;
/// Subjects of an in-toto statement (what sigstore-go allows).
pub const SUBJECTS: usize = 1024;
/// Digests of one subject (what sigstore-go allows).
pub const SUBJECT_DIGESTS: usize = 32;
/// Signed certificate timestamps in one certificate.
pub const SCTS: usize = 16;
/// A trusted root or signing config, in bytes; the public one has 7 KiB.
pub const TRUST_FILE_LEN: usize = 4 * 1024 * 1024;
/// Instances of one kind in a trusted root or signing config.
pub const TRUST_INSTANCES: usize = 256;
/// A trust policy file, in bytes: some thousand rules.
pub const POLICY_LEN: usize = 1024 * 1024;
/// A file that names images, in bytes: the pods of a cluster with a thousand of them.
pub const IMAGE_LIST_LEN: usize = 8 * 1024 * 1024;
/// Images of one run, from all its files and arguments.
pub const LISTED_IMAGES: usize = 10_000;
/// Values in one document of such a file; a pod has about 300.
pub const IMAGE_LIST_VALUES: usize = 400_000;
/// Values that are visited in such a file, where an alias is a visit to what it stands for.
pub const IMAGE_LIST_VISITS: usize = 2_000_000;
/// Nesting of a document that names images; a pod of a list in a template stays below 20.
pub const IMAGE_LIST_DEPTH: usize = 64;
/// Documents in one such file; what a chart renders to has some hundred.
pub const IMAGE_LIST_DOCUMENTS: usize = 10_000;
/// Instructions of a Dockerfile; the longest known have some hundred.
pub const DOCKERFILE_INSTRUCTIONS: usize = 20_000;
/// One instruction of a Dockerfile, in bytes, without its here-documents; no system runs a command of more than
/// 128 KiB.
pub const DOCKERFILE_INSTRUCTION_LEN: usize = 256 * 1024;
/// Arguments of a Dockerfile before its first stage.
pub const IMAGE_LIST_ARGUMENTS: usize = 1024;
/// An image's name as a file has it, in bytes; a reference has at most 255 + 128 + 136 and its registry.
pub const IMAGE_NAME_LEN: usize = 1024;
/// An RFC 3161 token, in bytes; real ones have 700 to 6000.
pub const TIMESTAMP_LEN: usize = 64 * 1024;
/// An identity token, in bytes; the largest CI tokens have about 3 KiB.
pub const IDENTITY_TOKEN_LEN: usize = 64 * 1024;
/// A PEM file with keys or certificates, in bytes.
pub const PEM_LEN: usize = 1024 * 1024;
/// A reply of Fulcio, Rekor or a timestamp authority, in bytes.
pub const SERVICE_REPLY_LEN: usize = 8 * 1024 * 1024;
/// The marker or the list of an image layout, in bytes; as large as a registry's manifest may be.
pub const LAYOUT_INDEX_LEN: usize = 4 * 1024 * 1024;
/// A manifest in an image layout, in bytes; as large as a registry's may be.
pub const LAYOUT_MANIFEST_LEN: usize = 4 * 1024 * 1024;
/// Blobs of one image layout; a hundred images of a hundred layers have half as many.
pub const LAYOUT_FILES: usize = 20_000;
/// Referrers of one digest in an image layout; as many as are looked at in a registry.
pub const LAYOUT_REFERRERS: usize = 1000;
