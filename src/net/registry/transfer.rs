//! Blobs that pass through: from a registry or a file into a registry, at constant memory.
//!
//! What passes is hashed on the way. Where it turns out to be something else than what it was asked for as,
//! the last piece is held back and the connection broken, so that nobody stores it; and the receiver is told
//! the digest besides.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION};
use url::Url;

use super::auth::Access;
use super::blobs::{append_digest, check_stored};
use super::client::{RegistryClient, SERVICE};
use super::error::RegistryError;
use super::manifests::ACCEPTED;
use super::reference::Repository;
use crate::crypto::{Digest, Hasher};
use crate::format::oci::Descriptor;
use crate::host::image_layout::LayoutError;
use crate::net::http::{Method, Reply, Request, RetryPolicy, Upload, jitter};

/// Uploads begun for one blob: the first, and two more after a fault that may pass.
const MAX_UPLOADS: u32 = 3;
/// Slowest transfer that is waited for, in bytes a second; below it a blob never arrives.
const SLOWEST: u64 = 16 * 1024;
/// Bytes of a file that are read at a time.
const PIECE: usize = 256 * 1024;

/// Why content could not be passed on.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The registry it comes from, or the one it goes to.
    #[error("{0}")]
    Registry(#[from] RegistryError),
    /// The layout it comes from.
    #[error("{0}")]
    Layout(#[from] LayoutError),
}

impl ContentError {
    fn inner(&self) -> &dyn crate::diagnostic::Diagnostic {
        match self {
            ContentError::Registry(error) => error,
            ContentError::Layout(error) => error,
        }
    }
}

impl crate::diagnostic::Diagnostic for ContentError {
    fn code(&self) -> &'static str {
        self.inner().code()
    }

    fn exit(&self) -> crate::diagnostic::Exit {
        self.inner().exit()
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        self.inner().details()
    }

    fn hint(&self) -> Option<String> {
        self.inner().hint()
    }
}

/// Pieces of a blob.
pub type Pieces = BoxStream<'static, Result<Bytes, ContentError>>;

/// How a blob came to be where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    WasThere,
    /// The registry took it over from another repository of its own.
    Mounted,
    /// It was sent.
    Sent,
}

impl RegistryClient {
    /// Reads a blob piece by piece; size and digest must be as described, or the last item is an error.
    pub fn blob_pieces(&self, repository: &Repository, blob: &Descriptor) -> Pieces {
        let (client, repository, described) = (self.clone(), repository.clone(), blob.clone());
        let opened = async move {
            let url = client
                .url(&repository, &format!("blobs/{}", described.digest))
                .await?;
            let request = client.request(Method::GET, url).leave_unread();
            let reply = client.send(&repository, Access::Pull, request).await?;
            match reply.status.as_u16() {
                200 => Ok((client, reply)),
                404 => Err(ContentError::from(RegistryError::NotFound {
                    what: "blob",
                    reference: format!("{repository}@{}", described.digest),
                })),
                _ => Err(RegistryError::from(reply.error()).into()),
            }
        };
        let pieces = stream::once(opened).flat_map(|opened| match opened {
            Err(error) => stream::iter([Err(error)]).boxed(),
            Ok((client, reply)) => stream::try_unfold(reply, move |reply| {
                let idle = client.options().timeout;
                async move {
                    let next = reply.unread.next(SERVICE, &reply.url, idle).await;
                    let next = next.map_err(RegistryError::from)?;
                    Ok(next.map(|piece| (piece, reply)))
                }
            })
            .boxed(),
        });
        checked(pieces.boxed(), blob)
    }

    /// Returns whether a blob is known to be in a repository: one request.
    ///
    /// # Errors
    /// [`RegistryError::Net`].
    pub async fn holds_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        self.holds(repository, &format!("blobs/{digest}"), "*/*")
            .await
    }

    /// Returns whether a manifest is known to be in a repository: one request.
    ///
    /// # Errors
    /// [`RegistryError::Net`].
    pub async fn holds_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        self.holds(repository, &format!("manifests/{digest}"), ACCEPTED)
            .await
    }

    /// HEAD is a saving, and some registries refuse it. They are asked with GET, whose body is left alone; and where
    /// that does not tell either, what is not known to be there is sent: the registry says then what is the matter.
    async fn holds(
        &self,
        repository: &Repository,
        path: &str,
        accept: &'static str,
    ) -> Result<bool, RegistryError> {
        let url = self.url(repository, path).await?;
        for method in [Method::HEAD, Method::GET] {
            let request = self
                .request(method, url.clone())
                .header(reqwest::header::ACCEPT, HeaderValue::from_static(accept))
                .leave_unread();
            // The token is bought for the upload that follows.
            match self.send(repository, Access::PullPush, request).await {
                Ok(reply) if reply.status.as_u16() == 200 => return Ok(true),
                Ok(reply) if reply.status.as_u16() == 404 => return Ok(false),
                Ok(_) | Err(RegistryError::Denied { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Brings a blob into a repository: nothing is sent if it is there, or if the registry takes it over from
    /// `from`, another repository of the same registry. Otherwise it streams; faults that may pass begin it
    /// anew.
    ///
    /// # Errors
    /// [`ContentError`]: of the content, or [`RegistryError::Denied`], [`RegistryError::Unfollowed`],
    /// [`RegistryError::Net`] of this registry.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        from: Option<&Repository>,
        content: &(impl Fn() -> Pieces + Send + Sync + Clone + 'static),
    ) -> Result<Pushed, ContentError> {
        match self.holds_blob(repository, &blob.digest).await? {
            true => Ok(Pushed::WasThere),
            false => self.send_blob(repository, blob, from, content).await,
        }
    }

    /// Brings a blob into a repository that does not have it, or said so wrongly.
    ///
    /// # Errors
    /// As [`RegistryClient::push_blob`].
    pub async fn send_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        from: Option<&Repository>,
        content: &(impl Fn() -> Pieces + Send + Sync + Clone + 'static),
    ) -> Result<Pushed, ContentError> {
        let mut begun = 0;
        loop {
            begun += 1;
            match self.push_once(repository, blob, from, content).await {
                Err(ContentError::Registry(RegistryError::Net(e)))
                    if e.is_retryable() && begun < MAX_UPLOADS =>
                {
                    tokio::time::sleep(jitter(Duration::from_millis(400) * begun)).await;
                    // A lost last reply is made up for by asking whether it arrived.
                    if self.holds_blob(repository, &blob.digest).await? {
                        return Ok(Pushed::Sent);
                    }
                }
                other => return other,
            }
        }
    }

    async fn push_once(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        from: Option<&Repository>,
        content: &(impl Fn() -> Pieces + Send + Sync + Clone + 'static),
    ) -> Result<Pushed, ContentError> {
        let begun = match self.begin_upload(repository, &blob.digest, from).await? {
            Some(begun) => begun,
            None => return Ok(Pushed::Mounted),
        };
        let refused = match begun {
            Begun::At(location) => {
                match self.send_whole(repository, blob, location, content).await? {
                    done if done.is_success() => {
                        check_stored(&done, &blob.digest)?;
                        return Ok(Pushed::Sent);
                    }
                    refused => refused,
                }
            }
            Begun::Nowhere(reply) => reply,
        };
        // What a registry refuses in one of the ways of the specification it may take in another.
        let taken = match wants_other_way(&refused) {
            true => self.send_otherwise(repository, blob, content).await?,
            false => None,
        };
        match taken {
            Some(done) => {
                check_stored(&done, &blob.digest)?;
                Ok(Pushed::Sent)
            }
            None if refused.is_success() => {
                Err(RegistryError::from(refused.bad("a Location header", "none")).into())
            }
            None => Err(RegistryError::from(refused.error()).into()),
        }
    }

    /// Sends a blob in other ways than POST and PUT: in a chunk, then in the POST itself. `None` if neither works.
    async fn send_otherwise(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        content: &(impl Fn() -> Pieces + Send + Sync + Clone + 'static),
    ) -> Result<Option<Reply>, ContentError> {
        if let Some(Begun::At(location)) = self.begin_upload(repository, &blob.digest, None).await?
        {
            let from = location.clone();
            let range = format!("0-{}", blob.size.saturating_sub(1));
            let range = HeaderValue::from_str(&range).expect("digits and a hyphen");
            let chunk = self
                .request(Method::PATCH, location)
                .header(CONTENT_RANGE, range);
            // One chunk of everything is the last: no least length of a chunk (`OCI-Chunk-Min-Length`) is about it.
            let went = self.send_content(repository, blob, chunk, content).await?;
            if went.is_success() {
                let mut end = match went.header(LOCATION) {
                    Some(_) => self.upload_location(&from, &went)?,
                    None => from,
                };
                append_digest(&mut end, &blob.digest);
                let request = self
                    .request(Method::PUT, end)
                    .body(Bytes::new())
                    .retry(RetryPolicy::Never);
                let done = self.send(repository, Access::PullPush, request).await?;
                if done.is_success() {
                    return Ok(Some(done));
                }
            }
        }
        let mut start = self.url(repository, "blobs/uploads/").await?;
        append_digest(&mut start, &blob.digest);
        let request = self.request(Method::POST, start);
        let done = self
            .send_content(repository, blob, request, content)
            .await?;
        // 202 is a session that nothing was taken into.
        Ok(matches!(done.status.as_u16(), 200 | 201 | 204).then_some(done))
    }

    /// Sends a whole blob to where its upload goes.
    async fn send_whole(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        mut location: Url,
        content: &(impl Fn() -> Pieces + Send + Sync + Clone + 'static),
    ) -> Result<Reply, ContentError> {
        append_digest(&mut location, &blob.digest);
        // A location elsewhere gets the content, which is public, and no credentials: `send` knows the registry's own
        // origin.
        let request = self.request(Method::PUT, location);
        self.send_content(repository, blob, request, content).await
    }

    /// Sends a request with a blob's content.
    async fn send_content(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        request: Request,
        content: &(impl Fn() -> Pieces + Send + Sync + Clone + 'static),
    ) -> Result<Reply, ContentError> {
        // What broke the content is told by it, not by the connection that was broken for it.
        let fault: Arc<Mutex<Option<ContentError>>> = Arc::default();
        let (open, told) = (content.clone(), Arc::clone(&fault));
        let upload = Upload::new(blob.size, move || {
            let told = Arc::clone(&told);
            open()
                .map(move |piece| {
                    piece.map_err(|error| {
                        let text = error.to_string();
                        *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        io::Error::other(text)
                    })
                })
                .boxed()
        });
        let request = request
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            )
            .timeout(self.options().timeout + Duration::from_secs(blob.size / SLOWEST))
            .upload(upload)
            .retry(RetryPolicy::Never);
        let done = self.send(repository, Access::PullPush, request).await;
        if let Some(error) = fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        Ok(done?)
    }

    /// Opens an upload and returns where it goes; `None` if the registry took the blob over from `from`.
    async fn begin_upload(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: Option<&Repository>,
    ) -> Result<Option<Begun>, RegistryError> {
        let plain = self.url(repository, "blobs/uploads/").await?;
        if let Some(from) = from.filter(|from| from.host() == repository.host()) {
            let mut start = plain.clone();
            start
                .query_pairs_mut()
                .append_pair("mount", &digest.to_string())
                .append_pair("from", from.name());
            let request = self.request(Method::POST, start.clone());
            let reply = self.send(repository, Access::PullPush, request).await;
            match reply {
                Ok(reply) if reply.status.as_u16() == 201 => {
                    check_stored(&reply, digest)?;
                    return Ok(None);
                }
                Ok(reply) if reply.status.as_u16() == 202 && reply.header(LOCATION).is_some() => {
                    return Ok(Some(Begun::At(self.upload_location(&start, &reply)?)));
                }
                // A registry that knows no mounting, or does not let us read there: the plain way.
                Ok(_) | Err(RegistryError::Denied { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // An upload that is begun twice leaves an empty session behind, which registries expire.
        let request = self
            .request(Method::POST, plain.clone())
            .retry(RetryPolicy::SafeToRepeat(Default::default()));
        let begun = self.send(repository, Access::PullPush, request).await?;
        if !begun.is_success() {
            return Err(begun.error().into());
        }
        Ok(Some(match begun.header(LOCATION) {
            Some(_) => Begun::At(self.upload_location(&plain, &begun)?),
            None => Begun::Nowhere(begun),
        }))
    }

    /// Returns where an upload goes on.
    fn upload_location(&self, from: &Url, reply: &Reply) -> Result<Url, RegistryError> {
        let named = reply.header(LOCATION).and_then(|to| from.join(to).ok());
        match named.and_then(|to| same_host_over_tls(from, to)) {
            Some(location) => Ok(location),
            None => self.follow("upload location", from, reply),
        }
    }
}

/// Corrects a location on the very host that was asked: registries behind a proxy that ends TLS take themselves for
/// plain HTTP. `None` for every other one.
fn same_host_over_tls(from: &Url, mut to: Url) -> Option<Url> {
    let is_downgrade = from.scheme() == "https" && to.scheme() == "http";
    let is_port_of_it = to.port().is_none() || to.port() == from.port();
    if !(is_downgrade && to.host() == from.host() && is_port_of_it) {
        return None;
    }
    to.set_scheme("https").ok()?;
    to.set_port(from.port()).ok()?;
    Some(to)
}

/// What an upload begins with.
enum Begun {
    /// It goes on there.
    At(Url),
    /// The answer says that it has begun, and not where.
    Nowhere(Reply),
}

/// Returns whether an answer refuses the way of an upload, and not the blob, its sender or its time.
fn wants_other_way(refused: &Reply) -> bool {
    refused.is_success()
        || matches!(
            refused.status.as_u16(),
            400 | 404..=406 | 411 | 413 | 415 | 416 | 501
        )
}

/// Reads an open file piece by piece; size and digest must be as described, or the last item is an error.
pub fn file_pieces(file: Result<File, LayoutError>, blob: &Descriptor) -> Pieces {
    let name = blob.digest.to_string();
    let pieces = stream::try_unfold(Some(file), move |file| {
        let path = name.clone();
        async move {
            let Some(file) = file else {
                return Ok(None);
            };
            let mut file = file?;
            let mut piece = vec![0; PIECE];
            let count = loop {
                match file.read(&mut piece) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(source) => return Err(LayoutError::Read { path, source }.into()),
                    Ok(count) => break count,
                }
            };
            piece.truncate(count);
            Ok((count > 0).then(|| (Bytes::from(piece), Some(Ok(file)))))
        }
    });
    checked(pieces.boxed(), blob)
}

/// Hashes what passes. One piece is held back until the next shows that it is not the last, so that the
/// receiver never has the whole of something else.
fn checked(pieces: Pieces, blob: &Descriptor) -> Pieces {
    struct Passing {
        pieces: Pieces,
        hasher: Option<Hasher>,
        seen: u64,
        held: Option<Bytes>,
        blob: Descriptor,
    }
    let start = Passing {
        pieces,
        hasher: Some(Hasher::new(blob.digest.algorithm())),
        seen: 0,
        held: None,
        blob: blob.clone(),
    };
    stream::try_unfold(start, |mut passing| async move {
        loop {
            let wrong_size = |found| RegistryError::SizeMismatch {
                what: "blob",
                expected: passing.blob.size,
                found,
            };
            match passing.pieces.next().await {
                Some(piece) => {
                    let piece = piece?;
                    passing.seen += piece.len() as u64;
                    if passing.seen > passing.blob.size {
                        return Err(wrong_size(None).into());
                    }
                    if let Some(hasher) = &mut passing.hasher {
                        hasher.update(&piece);
                    }
                    if let Some(ready) = passing.held.replace(piece) {
                        return Ok(Some((ready, passing)));
                    }
                }
                None => {
                    if passing.seen != passing.blob.size {
                        return Err(wrong_size(Some(passing.seen)).into());
                    }
                    let Some(hasher) = passing.hasher.take() else {
                        return Ok(None);
                    };
                    let found = hasher.finish();
                    if found != passing.blob.digest {
                        return Err(RegistryError::DigestMismatch {
                            what: "blob",
                            expected: Box::new(passing.blob.digest),
                            found: Box::new(found),
                        }
                        .into());
                    }
                    return Ok(passing.held.take().map(|last| (last, passing)));
                }
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostic as _;

    fn pass(
        pieces: &[&'static [u8]],
        described: &Descriptor,
    ) -> (Vec<Bytes>, Option<&'static str>) {
        let pieces: Vec<Result<Bytes, ContentError>> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece)))
            .collect();
        let mut passing = checked(stream::iter(pieces).boxed(), described);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut passed = Vec::new();
            while let Some(piece) = passing.next().await {
                match piece {
                    Ok(piece) => passed.push(piece),
                    Err(error) => return (passed, Some(error.code())),
                }
            }
            (passed, None)
        })
    }

    #[test]
    fn an_upload_stays_on_the_host_that_was_asked_over_tls() {
        let location = |from: &str, to: &str| {
            let location = same_host_over_tls(&from.parse().unwrap(), to.parse().unwrap());
            location.map(|location| location.to_string())
        };
        for (from, to, corrected) in [
            (
                "https://r.test/v2/",
                "http://r.test/u?a=b",
                "https://r.test/u?a=b",
            ),
            (
                "https://r.test:8443/v2/",
                "http://r.test/u",
                "https://r.test:8443/u",
            ),
            (
                "https://r.test:8443/v2/",
                "http://r.test:8443/u",
                "https://r.test:8443/u",
            ),
        ] {
            assert_eq!(
                location(from, to).as_deref(),
                Some(corrected),
                "{from} {to}"
            );
        }
        for (from, to) in [
            ("https://r.test/v2/", "http://cdn.test/u"),
            ("https://r.test/v2/", "http://r.test:5000/u"),
            ("https://r.test/v2/", "https://r.test/u"),
            ("http://r.test/v2/", "http://r.test/u"),
        ] {
            assert_eq!(location(from, to), None, "{from} {to}");
        }
    }

    #[test]
    fn the_last_piece_of_something_else_never_passes() {
        let described = Descriptor::of("a/b", b"onetwothree");
        let (passed, error) = pass(&[b"one", b"two", b"three"], &described);
        assert_eq!((passed.len(), error), (3, None));
        assert_eq!(passed.concat(), b"onetwothree");
        let (passed, error) = pass(&[b"one", b"two", b"thrEe"], &described);
        assert_eq!(passed.concat(), b"onetwo");
        assert_eq!(error, Some("registry-digest-mismatch"));
        let (passed, error) = pass(&[b"one", b"two"], &described);
        assert_eq!(passed.concat(), b"one");
        assert_eq!(error, Some("registry-size-mismatch"));
        let (passed, error) = pass(&[b"one", b"two", b"three", b"more"], &described);
        assert_eq!(passed.concat(), b"onetwo");
        assert_eq!(error, Some("registry-size-mismatch"));
        let nothing = Descriptor::of("a/b", b"");
        assert_eq!(pass(&[], &nothing), (Vec::new(), None));
    }
}
