//! Registries on loopback, images in them, and hosts that only take notes.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use keyless::crypto::UnixTime;
use keyless::format::oci::{
    BUNDLE_ARTIFACT_TYPE, Descriptor, EMPTY_CONFIG, EMPTY_CONFIG_BYTES, EncodedManifest,
    OCI_MANIFEST,
};
use keyless::host::registry_auth::RegistryAuth;
use keyless::net::http::HttpClient;
use keyless::net::registry::{
    Attachment, DigestReference, ImageReference, RegistryClient, RegistryOptions, Repository,
};
use keyless::sandbox::registry::{RegistryMode, SandboxRegistry};
use tokio::net::TcpListener;

pub const REPOSITORY: &str = "team/app";
pub const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

/// A listening server; it ends with the test.
pub struct Server {
    pub host: String,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Server { host, task }
    }

    /// The same address by its other name.
    pub fn localhost(&self) -> String {
        self.host.replace("127.0.0.1", "localhost")
    }

    pub fn repository(&self) -> Repository {
        format!("{}/{REPOSITORY}", self.host).parse().unwrap()
    }

    pub fn image(&self, tag_or_digest: &str) -> ImageReference {
        format!("{}/{REPOSITORY}{tag_or_digest}", self.host)
            .parse()
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A sandbox registry with one image, `:v1`, in it.
pub struct Registry {
    pub sandbox: Arc<SandboxRegistry>,
    pub server: Server,
    pub subject: DigestReference,
    pub image: Descriptor,
}

impl Registry {
    pub async fn start(mode: RegistryMode) -> Self {
        Registry::behind(mode, |router| router).await
    }

    /// Starts a registry whose requests and replies pass something first.
    pub async fn behind(mode: RegistryMode, change: impl FnOnce(Router) -> Router) -> Self {
        let sandbox = SandboxRegistry::new(mode).unwrap();
        let server = Server::start(change(sandbox.clone().router())).await;
        let image = put_image(&sandbox, "v1", b"files of version one");
        Registry {
            subject: DigestReference::new(server.repository(), image.digest),
            image,
            sandbox,
            server,
        }
    }

    /// Stores `count` signatures beside the registry's protocol.
    pub fn put_signatures(&self, count: usize) {
        self.sandbox
            .put_blob(REPOSITORY, EMPTY_CONFIG_BYTES)
            .unwrap();
        for number in 0..count {
            let attachment = attachment(&self.image, number);
            self.sandbox
                .put_blob(REPOSITORY, attachment.layer.clone())
                .unwrap();
            self.sandbox
                .put_manifest(REPOSITORY, None, OCI_MANIFEST, attachment.manifest.bytes)
                .unwrap();
        }
    }

    /// Method and path of every request so far, the repository's prefix cut off.
    pub fn paths(&self) -> Vec<String> {
        let requests = self.sandbox.requests();
        let prefix = format!("/v2/{REPOSITORY}/");
        requests
            .iter()
            .map(|r| format!("{} {}", r.method, r.path.replace(&prefix, "")))
            .collect()
    }
}

pub fn put_image(sandbox: &SandboxRegistry, tag: &str, layer: &'static [u8]) -> Descriptor {
    let config = br#"{"architecture":"amd64","os":"linux"}"#;
    sandbox.put_blob(REPOSITORY, &config[..]).unwrap();
    sandbox.put_blob(REPOSITORY, layer).unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor::of("application/vnd.oci.image.config.v1+json", config),
        "layers": [Descriptor::of("application/vnd.oci.image.layer.v1.tar", layer)],
    })
    .to_string();
    sandbox
        .put_manifest(REPOSITORY, Some(tag), OCI_MANIFEST, manifest.clone())
        .unwrap();
    Descriptor::of(OCI_MANIFEST, manifest.as_bytes())
}

pub fn attachment(image: &Descriptor, number: usize) -> Attachment {
    let layer = Bytes::from(format!("{{\"bundle\":{number}}}"));
    let bundle = Descriptor::of(BUNDLE_ARTIFACT_TYPE, &layer);
    let created = UnixTime::from_seconds(1_800_000_000);
    Attachment {
        manifest: EncodedManifest::for_bundle(&bundle, image, SIGNATURE, created),
        layer,
    }
}

pub fn empty_config() -> Descriptor {
    Descriptor::of(EMPTY_CONFIG, EMPTY_CONFIG_BYTES)
}

/// A client without credentials.
pub fn client() -> RegistryClient {
    client_with(RegistryAuth::anonymous())
}

pub fn client_with(auth: RegistryAuth) -> RegistryClient {
    RegistryClient::new(HttpClient::new(), auth, RegistryOptions::default())
}

pub fn client_that(change: impl FnOnce(&mut RegistryOptions)) -> RegistryClient {
    let mut options = RegistryOptions::default();
    change(&mut options);
    RegistryClient::new(HttpClient::new(), RegistryAuth::anonymous(), options)
}

/// What a host was sent.
#[derive(Debug, Clone)]
pub struct Note {
    pub path: String,
    /// Every header and the body: where a secret could hide.
    pub everything: String,
}

/// A host that notes what it is sent and answers the same to everything.
pub struct Stranger {
    pub server: Server,
    notes: Arc<Mutex<Vec<Note>>>,
}

impl Stranger {
    pub async fn start<R>(answer: impl Fn() -> R + Clone + Send + Sync + 'static) -> Self
    where
        R: IntoResponse,
    {
        let notes: Arc<Mutex<Vec<Note>>> = Arc::default();
        let kept = notes.clone();
        let router = Router::new().fallback(move |request: Request| {
            let (kept, answer) = (kept.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                kept.lock().unwrap().push(Note {
                    path: parts.uri.to_string(),
                    everything: format!("{} {:?} {body:?}", parts.uri, parts.headers),
                });
                answer().into_response()
            }
        });
        Stranger {
            server: Server::start(router).await,
            notes,
        }
    }

    pub fn notes(&self) -> Vec<Note> {
        self.notes.lock().unwrap().clone()
    }
}

/// Changes replies on their way: `change` gets method, path and the honest reply.
pub fn altered(
    router: Router,
    change: impl Fn(&str, &str, Response) -> Response + Clone + Send + Sync + 'static,
) -> Router {
    router.layer(axum::middleware::from_fn(
        move |request: Request, next: axum::middleware::Next| {
            let change = change.clone();
            async move {
                let method = request.method().to_string();
                let path = request.uri().to_string();
                let reply = next.run(request).await;
                change(&method, &path, reply)
            }
        },
    ))
}
