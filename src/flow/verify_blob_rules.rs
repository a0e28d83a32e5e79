//! `keyless verify-blob --policy`: a file against its bundles under the rules of a policy file.

use std::path::{Path, PathBuf};

use crate::crypto::key::KeyKind;
use crate::crypto::{Digest, HashAlgorithm};
use crate::flow::rules::{
    Judged, MetBy, Reason, RuleError, RuleJudgement, RuleVerdict, Summary, judge,
};
use crate::flow::sign_blob::BlobSource;
use crate::flow::verify_blob::{VerifyBlobError, find_bundle, read_bundle_bounded};
use crate::format::bundle::{Bundle, KeyMaterial};
use crate::trust::TrustedRoot;
use crate::verify::glob::{FileName, NAMELESS};
use crate::verify::policy_file::{Expectation, Required};
use crate::verify::signature::needed_hashes;
use crate::verify::{Artifact, ExpectedSigner, VerifiedBundle, Verifier, VerifyError};

/// What a file's verdict is under rules.
#[derive(Debug)]
pub struct BlobVerdict {
    /// Its digests.
    pub digests: Vec<Digest>,
    /// Its bundles, in the order given.
    pub bundles: Vec<BlobBundle>,
    /// The rules that are about it.
    pub rules: Vec<RuleVerdict>,
    /// The rule that is not met.
    pub error: Option<RuleError>,
}

/// One bundle of a file.
#[derive(Debug)]
pub struct BlobBundle {
    /// The bundle's file.
    pub path: PathBuf,
    /// Digest of the bundle's bytes.
    pub digest: Digest,
    /// The verdict under the first rule that it meets; else the most telling refusal.
    pub outcome: Result<VerifiedBundle, VerifyError>,
    /// What it is to each rule.
    pub rules: Vec<RuleJudgement>,
}

/// How files are judged.
#[derive(Debug)]
pub struct BlobRequest<'a> {
    /// Whom and what to accept.
    pub expectation: &'a Expectation,
    /// Authorities and logs.
    pub trust: &'a TrustedRoot,
    /// Whether every check is to be told.
    pub explain: bool,
    /// Bytes of a bundle that are read, at most.
    pub limit: u64,
}

/// Returns the name that rules are about; what is read from standard input, or given as a digest, has none.
pub fn file_name(blob: &BlobSource) -> FileName<'_> {
    match blob {
        BlobSource::File(path) if path != Path::new(NAMELESS) => {
            // A name that is no text is matched by nothing.
            FileName::Path(path.to_str().unwrap_or_default())
        }
        _ => FileName::Nameless,
    }
}

/// Judges a file by its bundles: every rule that is about it must be met by one of them. Where none is named,
/// the one beside the file is taken.
///
/// # Errors
/// [`VerifyBlobError`] where there is nothing to judge: no rule, or a file that cannot be read.
pub fn verify_blob_by_rules(
    blob: &BlobSource,
    bundles: &[PathBuf],
    request: &BlobRequest<'_>,
) -> Result<BlobVerdict, VerifyBlobError> {
    let required = request.expectation.of_file(file_name(blob))?;
    let mut read: Vec<(PathBuf, Bundle, Digest)> = Vec::new();
    let beside = match bundles {
        [] => vec![find_bundle(blob, None)?],
        _ => Vec::new(),
    };
    for path in bundles.iter().chain(&beside) {
        let (bundle, digest) = read_bundle_bounded(path, request.limit)?;
        read.push((path.clone(), bundle, digest));
    }
    let digests = blob.digests(&hashes(&read, &required))?;
    let artifact = Artifact::from_digests(digests.clone()).ok_or(VerifyError::DigestNeeded {
        algorithm: HashAlgorithm::Sha256.name(),
    })?;
    let verifier = Verifier::new(request.trust);
    let judged: Vec<(Digest, Vec<Judged>)> = read
        .iter()
        .map(|(_, bundle, digest)| {
            let judged = judge(&verifier, bundle, &artifact, &required, request.explain);
            (*digest, judged)
        })
        .collect();
    let rules = RuleVerdict::of_each(&required, |i| what_is_found(i, &judged));
    let error = RuleError::of(&rules);
    let bundles = read
        .into_iter()
        .zip(judged)
        .map(|((path, _, digest), (_, judged))| {
            let summary = Summary::of(judged, &required);
            BlobBundle {
                path,
                digest,
                outcome: summary.outcome,
                rules: summary.rules,
            }
        })
        .collect();
    Ok(BlobVerdict {
        digests,
        bundles,
        rules,
        error,
    })
}

/// Hashes that any of the bundles may need under any of the requirements.
fn hashes(bundles: &[(PathBuf, Bundle, Digest)], required: &Required<'_>) -> Vec<HashAlgorithm> {
    let mut needed: Vec<HashAlgorithm> = Vec::new();
    for (_, bundle, _) in bundles {
        for requirement in required.all() {
            let kind = match (&bundle.key_material, requirement.policy().signer()) {
                (KeyMaterial::Certificate(leaf), _) => leaf.public_key().kind(),
                (KeyMaterial::PublicKey { .. }, ExpectedSigner::Key(key)) => key.kind(),
                (KeyMaterial::PublicKey { .. }, _) => KeyKind::EcdsaP256,
            };
            for algorithm in needed_hashes(&bundle.content, kind) {
                if !needed.contains(&algorithm) {
                    needed.push(algorithm);
                }
            }
        }
    }
    needed
}

/// Sorts the bundles by one requirement, the i-th.
fn what_is_found(i: usize, bundles: &[(Digest, Vec<Judged>)]) -> (Vec<MetBy>, Vec<Reason<'_>>) {
    let mut met_by = Vec::new();
    let mut reasons = Vec::new();
    for (bundle, judged) in bundles {
        match &judged[i].outcome {
            Ok(verified) => met_by.push(MetBy {
                manifest: None,
                bundle: *bundle,
                signer: verified.signer().clone(),
            }),
            Err(error) => reasons.push(Reason::Verify(error, judged[i].near)),
        }
    }
    (met_by, reasons)
}
