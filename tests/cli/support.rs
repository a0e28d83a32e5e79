//! A sandbox of its own for each test, an empty folder to work in, and the program run in both.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use keyless::crypto::Digest;
use keyless::format::oci::{Descriptor, OCI_INDEX, OCI_MANIFEST};
use keyless::sandbox::registry::{RegistryMode, SandboxRegistry};
use keyless::sandbox::{
    Faults, RekorVersion, RequestCounts, Sandbox, SandboxConfig, Service, TokenRequest,
};
use serde_json::{Value, json};

use crate::json_schema::PUBLISHED;

pub const IDENTITY: &str = "dev@example.test";
pub const REPOSITORY: &str = "team/app";

/// Longest that a run may take; a run that hangs fails its test instead of the whole target.
const RUN_LIMIT: Duration = Duration::from_secs(90);

/// A sandbox, the folder that the program works in, and every token that was handed out.
pub struct World {
    pub sandbox: Sandbox,
    runtime: tokio::runtime::Runtime,
    work: tempfile::TempDir,
    elsewhere: tempfile::TempDir,
    secrets: Mutex<Vec<String>>,
}

impl World {
    pub fn new() -> Self {
        World::with(&[])
    }

    /// Starts a sandbox with faults, in memory, on Rekor v1.
    pub fn with(faults: &[&str]) -> Self {
        World::start(RekorVersion::V1, faults)
    }

    pub fn start(rekor: RekorVersion, faults: &[&str]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = SandboxConfig {
            rekor,
            faults: Faults::parse(faults).unwrap(),
            ..SandboxConfig::default()
        };
        let sandbox = runtime.block_on(Sandbox::start(config)).unwrap();
        let environment: BTreeMap<String, String> = sandbox.environment().into_iter().collect();
        World {
            runtime,
            secrets: Mutex::new(vec![environment["SIGSTORE_ID_TOKEN"].clone()]),
            sandbox,
            work: tempfile::tempdir().unwrap(),
            elsewhere: tempfile::tempdir().unwrap(),
        }
    }

    /// Runs something that needs the sandbox's runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Starts something that goes on beside the test.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// A path in the folder that the program works in.
    pub fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// A path in a folder that is not searched for leaked tokens.
    pub fn path_elsewhere(&self, name: &str) -> PathBuf {
        self.elsewhere.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Names of the files in the work folder, hidden ones too.
    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = files_under(self.work.path())
            .iter()
            .map(|path| {
                let path = path.strip_prefix(self.work.path()).unwrap();
                path.to_string_lossy().into_owned()
            })
            .collect();
        names.sort();
        names
    }

    /// Mints a token; from now on it must not show up anywhere.
    pub fn token(&self, request: &TokenRequest) -> String {
        let token = self.sandbox.mint(request).unwrap().expose().to_owned();
        self.keep_secret(&token);
        token
    }

    pub fn keep_secret(&self, secret: &str) {
        self.secrets.lock().unwrap().push(secret.to_owned());
    }

    pub fn counts(&self) -> RequestCounts {
        self.sandbox.request_counts()
    }

    pub fn count(&self, service: Service) -> u64 {
        self.counts().of(service)
    }

    /// Requests that both registries were sent to change something.
    pub fn registry_writes(&self) -> usize {
        self.sandbox
            .requests()
            .iter()
            .filter(|r| matches!(r.service, Service::Registry | Service::RegistryPlain))
            .filter(|r| !matches!(r.method.as_str(), "GET" | "HEAD"))
            .count()
    }

    /// Log entries that were made, whether or not the reply arrived.
    pub fn entries_made(&self) -> usize {
        self.sandbox
            .requests()
            .iter()
            .filter(|r| matches!(r.service, Service::RekorV1 | Service::RekorV2))
            .filter(|r| r.method == "POST" && r.status == 201)
            .count()
    }

    /// Host and port of a registry of the sandbox.
    pub fn host(&self, service: Service) -> String {
        self.sandbox.url(service).replace("http://", "")
    }

    /// Puts an image into the registry with the referrers API; no request is made.
    pub fn image(&self, tag: &str) -> Image {
        put_image(
            self.sandbox.registry(),
            &self.host(Service::Registry),
            REPOSITORY,
            tag,
        )
    }

    /// Flags that expect the sandbox's own identity.
    pub fn expecting(&self) -> Vec<String> {
        self.expecting_of(IDENTITY)
    }

    pub fn expecting_of(&self, identity: &str) -> Vec<String> {
        [
            "--certificate-identity",
            identity,
            "--certificate-oidc-issuer",
            self.sandbox.issuer(),
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Prepares the program with these arguments, split at spaces.
    pub fn keyless(&self, arguments: &str) -> Keyless<'_> {
        let mut environment: BTreeMap<String, String> =
            self.sandbox.environment().into_iter().collect();
        let folder = |path: &Path| path.to_string_lossy().into_owned();
        environment.insert("HOME".to_owned(), folder(self.elsewhere.path()));
        environment.insert("TMPDIR".to_owned(), folder(self.work.path()));
        Keyless {
            world: self,
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
            environment,
            stdin: Vec::new(),
        }
    }

    fn assert_no_secret(&self, run: &Run) {
        let secrets = self.secrets.lock().unwrap();
        let is_secret = |text: &str| {
            secrets.iter().any(|secret| {
                // Claims tell about people, and the signature is what makes a token one.
                let parts = secret.split('.').skip(secret.matches('.').count().min(1));
                parts
                    .chain([secret.as_str()])
                    .any(|part| text.contains(part))
            })
        };
        assert!(!is_secret(&run.stdout), "a token on standard output");
        assert!(!is_secret(&run.stderr), "a token on standard error");
        for path in files_under(self.work.path()) {
            let small = std::fs::metadata(&path).is_ok_and(|file| file.len() < 1 << 20);
            if small && let Ok(bytes) = std::fs::read(&path) {
                let text = String::from_utf8_lossy(&bytes);
                assert!(!is_secret(&text), "a token in {}", path.display());
            }
        }
    }
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_under(&path)),
            false => found.push(path),
        }
    }
    found
}

/// The program, about to be run.
pub struct Keyless<'a> {
    world: &'a World,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    stdin: Vec<u8>,
}

impl Keyless<'_> {
    /// Adds one argument as it is.
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.arguments
            .push(argument.as_ref().to_str().unwrap().to_owned());
        self
    }

    pub fn args<T: AsRef<str>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|one| one.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn env_remove(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// The command for whoever wants to run it in another way.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyless"));
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.world.work.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(self) -> Run {
        let shown = self.arguments.join(" ");
        let mut child = self.command().spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = self.stdin;
        let mut stdout = child.stdout.take().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let (stdout, stderr) = std::thread::scope(|scope| {
            // A program that does not read its input is none of this test's business.
            scope.spawn(move || drop(stdin.write_all(&input)));
            let out = scope.spawn(move || {
                let mut bytes = Vec::new();
                stdout.read_to_end(&mut bytes).unwrap();
                bytes
            });
            let err = scope.spawn(move || {
                let mut bytes = Vec::new();
                stderr.read_to_end(&mut bytes).unwrap();
                bytes
            });
            wait(&mut child, &shown);
            (out.join().unwrap(), err.join().unwrap())
        });
        let status = child.wait().unwrap();
        let run = Run {
            code: status.code(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
            arguments: shown,
        };
        assert!(!run.stderr.contains("panicked at"), "{run:#?}");
        // Whatever a test is about, a document is one that the schema describes.
        if self
            .arguments
            .windows(2)
            .any(|two| two == ["--output", "json"])
            && !run.stdout.is_empty()
        {
            let valid = PUBLISHED.validate(&run.json());
            assert!(valid.is_ok(), "{}\n{run:#?}", valid.unwrap_err());
        }
        self.world.assert_no_secret(&run);
        run
    }
}

/// Waits for a child, not for ever.
pub fn wait(child: &mut Child, shown: &str) {
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > RUN_LIMIT {
            child.kill().unwrap();
            panic!("keyless {shown} did not end within {RUN_LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// What a run of the program left.
pub struct Run {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    arguments: String,
}

/// For the message of a test that fails.
impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Run {
            arguments,
            code,
            stdout,
            stderr,
        } = self;
        // Escaped: what a test finds may be what a terminal must not get.
        let shown = |text: &str| text.escape_debug().to_string().replace("\\n", "\n    ");
        write!(
            f,
            "keyless {} -> {code:?}\n  stdout:\n    {}\n  stderr:\n    {}",
            shown(arguments),
            shown(stdout),
            shown(stderr)
        )
    }
}

impl Run {
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Asserts how a command with `--output json` failed as a whole: exit code, and the same in the
    /// document; the error's code.
    #[track_caller]
    pub fn fails(self, exit: i32, code: &str) -> Self {
        let run = self.exits(exit);
        let document = run.json();
        assert_eq!(document["schemaVersion"], 1, "{run:#?}");
        assert_eq!(document["exitCode"], exit, "{run:#?}");
        assert_eq!(document["error"]["code"], code, "{run:#?}");
        assert_eq!(document["error"]["exitCode"], exit, "{run:#?}");
        assert!(run.stderr.contains("error: "), "{run:#?}");
        run
    }

    /// Asserts that standard error has a piece of text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in {self:#?}");
        self
    }

    #[track_caller]
    pub fn does_not_say(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "{text:?} in {self:#?}");
        self
    }

    #[track_caller]
    pub fn shows(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no {text:?} in {self:#?}");
        self
    }
}

/// An image that is in a registry.
pub struct Image {
    pub repository: String,
    pub tag: String,
    pub descriptor: Descriptor,
}

impl Image {
    pub fn by_tag(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    pub fn by_digest(&self) -> String {
        format!("{}@{}", self.repository, self.descriptor.digest)
    }
}

pub fn put_image(registry: &SandboxRegistry, host: &str, repository: &str, tag: &str) -> Image {
    let config = br#"{"architecture":"amd64","os":"linux"}"#;
    let layer = format!("files of {tag}");
    registry.put_blob(repository, &config[..]).unwrap();
    registry.put_blob(repository, layer.clone()).unwrap();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor::of("application/vnd.oci.image.config.v1+json", config),
        "layers": [Descriptor::of("application/vnd.oci.image.layer.v1.tar", layer.as_bytes())],
    })
    .to_string();
    registry
        .put_manifest(repository, Some(tag), OCI_MANIFEST, manifest.clone())
        .unwrap();
    Image {
        repository: format!("{host}/{repository}"),
        tag: tag.to_owned(),
        descriptor: Descriptor::of(OCI_MANIFEST, manifest.as_bytes()),
    }
}

/// Puts an index of these images into a registry.
pub fn put_index(registry: &SandboxRegistry, host: &str, tag: &str, children: &[&Image]) -> Image {
    let manifests: Vec<&Descriptor> = children.iter().map(|image| &image.descriptor).collect();
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
    let index = index.to_string();
    registry
        .put_manifest(REPOSITORY, Some(tag), OCI_INDEX, index.clone())
        .unwrap();
    Image {
        repository: format!("{host}/{REPOSITORY}"),
        tag: tag.to_owned(),
        descriptor: Descriptor::of(OCI_INDEX, index.as_bytes()),
    }
}

/// A registry beside the sandbox's own, of any mode, that can be told to refuse new manifests.
pub struct OwnRegistry {
    pub registry: Arc<SandboxRegistry>,
    pub host: String,
    refuse: Arc<AtomicU16>,
}

impl OwnRegistry {
    pub fn start(world: &World, mode: RegistryMode) -> Self {
        let registry = SandboxRegistry::new(mode).unwrap();
        let refuse = Arc::new(AtomicU16::new(0));
        let status = refuse.clone();
        let gate = move |request: Request, next: Next| {
            let status = StatusCode::from_u16(status.load(Ordering::SeqCst)).ok();
            async move {
                let is_manifest =
                    request.method() == "PUT" && request.uri().path().contains("/manifests/");
                match status {
                    Some(status) if is_manifest => status.into_response(),
                    _ => next.run(request).await,
                }
            }
        };
        let router = registry.clone().router();
        let host = serve(world, router.layer(axum::middleware::from_fn(gate)));
        OwnRegistry {
            registry,
            host,
            refuse,
        }
    }

    /// Answers every new manifest with this status; 0 lets them pass.
    pub fn refuse_manifests(&self, status: u16) {
        self.refuse.store(status, Ordering::SeqCst);
    }

    pub fn image(&self, tag: &str) -> Image {
        put_image(&self.registry, &self.host, REPOSITORY, tag)
    }

    /// Requests that were sent to change something.
    pub fn writes(&self) -> usize {
        self.registry
            .requests()
            .iter()
            .filter(|r| !matches!(r.method.as_str(), "GET" | "HEAD"))
            .count()
    }
}

/// Serves on loopback as long as the world lasts; returns host and port.
pub fn serve(world: &World, router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    world.runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        axum::serve(listener, router).await.unwrap();
    });
    host
}

/// Serves a function of the request.
pub fn answering(
    world: &World,
    answer: impl Fn(Request) -> Response + Clone + Send + Sync + 'static,
) -> String {
    let handler = move |request: Request| {
        let answer = answer.clone();
        async move { answer(request) }
    };
    serve(world, Router::new().fallback(handler))
}

/// An address of this machine where nobody listens, as long as the socket is kept.
pub fn nobody() -> (tokio::net::TcpSocket, String) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

/// Digest of a file's content as the command line writes it.
pub fn sha256(content: impl AsRef<[u8]>) -> String {
    Digest::sha256(content.as_ref()).to_string()
}
