//! `keyless attest-blob`: files, or digests of them, in one statement and one bundle.

use std::path::PathBuf;

use crate::crypto::{Digest, HashAlgorithm};
use crate::flow::attest::{AttestError, Attested, Named, warning};
use crate::flow::event::{Event, Reporter};
use crate::flow::publish::UnwrittenBundle;
use crate::flow::sign::{SignedBundle, SigningOptions, prepare};
use crate::flow::sign_blob::BlobSource;
use crate::host::files::OutputFile;
use crate::net::HttpClient;

/// What `keyless attest-blob` is asked to do.
#[derive(Debug)]
pub struct AttestBlobRequest {
    /// Files, with the name that each has in the statement; at least one.
    pub blobs: Vec<(BlobSource, String)>,
    /// What is attested of them.
    pub attested: Attested,
    /// Where to write the bundle.
    pub bundle: OutputFile,
    /// Bytes of the bundle, at most.
    pub limit: u64,
    /// Trust material and token.
    pub signing: SigningOptions,
}

/// Files that are attested.
#[derive(Debug)]
pub struct AttestedBlobs {
    /// As given, with the digest.
    pub blobs: Vec<(BlobSource, Digest)>,
    /// The bundle.
    pub bundle: SignedBundle,
    /// Where it is.
    pub path: PathBuf,
}

/// Attests files.
///
/// # Errors
/// [`AttestError`].
pub async fn attest_blobs(
    http: &HttpClient,
    request: AttestBlobRequest,
    report: Reporter<'_>,
) -> Result<AttestedBlobs, AttestError> {
    request.attested.check()?;
    if let Some(text) = warning(&request.attested) {
        report(Event::Warning {
            text: text.to_owned(),
        });
    }
    let mut blobs = Vec::new();
    let mut subjects: Vec<Named> = Vec::new();
    for (source, name) in request.blobs {
        let digest = source.digests(&[HashAlgorithm::Sha256])?[0];
        if digest.algorithm() != HashAlgorithm::Sha256 {
            return Err(AttestError::DigestAlgorithm { found: digest });
        }
        subjects.push((name, digest));
        blobs.push((source, digest));
    }
    let payloads = [request.attested.payload(&subjects, request.limit)?];
    let preparation = prepare(http, &request.signing, report).await?;
    let signed = preparation.sign(&payloads, report).await?;
    let bundle = signed.into_iter().next().expect("one payload, one bundle");
    let path = request.bundle.path().to_owned();
    request
        .bundle
        .write(bundle.json.as_bytes())
        .map_err(|error| UnwrittenBundle::keep(error, &blobs[0].1, &bundle.json))?;
    Ok(AttestedBlobs {
        blobs,
        bundle,
        path,
    })
}
