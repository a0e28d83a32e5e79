//! `keyless sandbox`: a whole private Sigstore on loopback.

use std::path::PathBuf;
use std::process::ExitStatus;

use clap::{Args, Subcommand, ValueEnum};

use super::arguments::variable;
use super::{Context, fail, finish};
use crate::diagnostic::{Diagnostic, Exit, counted};
use crate::flow::demo::{DemoSetting, DemoStep, demo};
use crate::host::files::FileError;
use crate::output::human::{self, plain};
use crate::output::{Format, Output, note};
use crate::sandbox::{Faults, RekorVersion, Sandbox, SandboxConfig, TokenKind, TokenRequest};

/// Run a whole private Sigstore on this machine: issuer, Fulcio, CT log, Rekor v1 and v2, timestamp
/// authority, TUF repository, and two registries.
#[derive(Debug, Args)]
pub(crate) struct SandboxArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Start(StartArguments),
    Run(RunArguments),
    Token(TokenArguments),
    Demo(DemoArguments),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rekor {
    V1,
    V2,
}

impl From<Rekor> for RekorVersion {
    fn from(rekor: Rekor) -> Self {
        match rekor {
            Rekor::V1 => RekorVersion::V1,
            Rekor::V2 => RekorVersion::V2,
        }
    }
}

#[derive(Debug, Args)]
struct SettingArguments {
    /// Which Rekor signs: v1, or v2 with its tiles. Both run.
    #[arg(long, value_enum, default_value_t = Rekor::V1, value_name = "VERSION")]
    rekor: Rekor,

    /// Keep keys and logs in this folder, so that a later start continues them.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Identity of the token in the environment.
    #[arg(long, value_name = "IDENTITY", default_value = "dev@example.test")]
    identity: String,

    /// Make a service fail, for tests: fulcio-wrong-identity, rekor-slow=2, tsa-5xx and so on. Repeatable.
    #[arg(long, value_name = "NAME[=VALUE]")]
    fault: Vec<String>,
}

impl SettingArguments {
    fn config(self) -> Result<SandboxConfig, crate::sandbox::SandboxError> {
        Ok(SandboxConfig {
            rekor: self.rekor.into(),
            dir: self.dir,
            faults: Faults::parse(&self.fault)?,
            identity: self.identity,
            ..SandboxConfig::default()
        })
    }
}

/// Start the sandbox and serve until interrupted. Its settings are printed as shell lines, and written to
/// sandbox.env in its folder.
///
/// Example: keyless sandbox start --dir ./sandbox
#[derive(Debug, Args)]
struct StartArguments {
    #[command(flatten)]
    setting: SettingArguments,
}

/// Start the sandbox, run a command with its settings in the environment, and stop it.
///
/// The command's exit code is this one's.
///
/// Example: keyless sandbox run -- sh -c 'keyless sign-blob FILE'
#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    setting: SettingArguments,

    /// The command.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<String>,
}

/// Print an identity token of a running sandbox, for any identity.
///
/// Example: keyless sandbox token --identity https://github.com/o/r/.github/workflows/w.yml@refs/heads/main
#[derive(Debug, Args)]
struct TokenArguments {
    /// Whom the token is for.
    #[arg(long, value_name = "IDENTITY")]
    identity: String,

    /// Whom it is meant for.
    #[arg(long, value_name = "AUDIENCE", default_value = "sigstore")]
    audience: String,

    /// Seconds until it expires; negative for one that has.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 600,
        allow_hyphen_values = true
    )]
    expires_in: i64,

    /// What its claims look like: email, uri or github. Without it: by the looks of the identity.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,

    /// The sandbox's issuer.
    #[arg(long, value_name = "URL", env = variable("SANDBOX_OIDC_URL"))]
    issuer: String,
}

/// Push an image of real files to the sandbox, sign it, verify it, tamper with it, and see it refused.
///
/// Example: keyless sandbox demo
#[derive(Debug, Args)]
struct DemoArguments {
    #[command(flatten)]
    setting: SettingArguments,

    /// Files to make the image of. Without any: this program itself.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(crate) fn run(arguments: SandboxArguments, context: &Context) -> Exit {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.expect("the system grants a process its event queue");
    runtime.block_on(async {
        match arguments.what {
            What::Start(arguments) => start(arguments, context).await,
            What::Run(arguments) => run_command(arguments).await,
            What::Token(arguments) => token(arguments, context).await,
            What::Demo(arguments) => show_demo(arguments, context).await,
        }
    })
}

async fn open(setting: SettingArguments) -> Result<Sandbox, Exit> {
    let config = setting.config().map_err(|error| fail(&error))?;
    Sandbox::start(config).await.map_err(|error| fail(&error))
}

async fn start(arguments: StartArguments, context: &Context) -> Exit {
    let mut output = match context.output(Format::Text) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let sandbox = match open(arguments.setting).await {
        Ok(sandbox) => sandbox,
        Err(exit) => return exit,
    };
    match std::fs::read_to_string(sandbox.files().join("sandbox.env")) {
        Ok(environment) => output.raw(&environment),
        Err(source) => {
            let path = sandbox.files().join("sandbox.env").display().to_string();
            return fail(&FileError::Read { path, source });
        }
    }
    let exit = finish(output, Exit::Accepted);
    note(format!(
        "the sandbox is up; its files are in {}",
        plain(&sandbox.files().display().to_string())
    ));
    note("stop it with Ctrl-C");
    interrupted().await;
    sandbox.stop().await;
    exit
}

/// Waits for Ctrl-C or a request to terminate.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

async fn run_command(arguments: RunArguments) -> Exit {
    let sandbox = match open(arguments.setting).await {
        Ok(sandbox) => sandbox,
        Err(exit) => return exit,
    };
    let mut command = tokio::process::Command::new(&arguments.command[0]);
    command
        .args(&arguments.command[1..])
        .envs(sandbox.environment())
        .kill_on_drop(true);
    let status = match command.spawn() {
        Ok(mut child) => tokio::select! {
            status = child.wait() => status,
            () = interrupted() => {
                // The child got the signal too if it came from the terminal; give it its time to end.
                child.wait().await
            }
        },
        Err(error) => Err(error),
    };
    sandbox.stop().await;
    match status {
        // The command's own code, whatever it means there.
        Ok(status) => std::process::exit(code_of(status)),
        Err(source) => fail(&FileError::Read {
            path: arguments.command[0].clone(),
            source,
        }),
    }
}

/// Exit code of a command as a shell tells it: 128 and the signal's number if a signal ended it.
fn code_of(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(signal) = status.signal() {
            return 128 + signal;
        }
    }
    status.code().unwrap_or(i32::from(Exit::Internal.code()))
}

/// A sandbox that cannot be asked.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("unknown kind of token {found:?}; known are email, uri and github")]
    Kind { found: String },
    #[error("the issuer's address {found:?} is none")]
    Issuer { found: String },
    #[error("{0}")]
    Net(#[from] crate::net::NetError),
}

impl Diagnostic for TokenError {
    fn code(&self) -> &'static str {
        match self {
            TokenError::Kind { .. } => "usage-token-kind",
            TokenError::Issuer { .. } => "usage-issuer",
            TokenError::Net(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            TokenError::Net(error) => error.exit(),
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some("is the sandbox running? SANDBOX_OIDC_URL must be its issuer".to_owned())
    }
}

async fn token(arguments: TokenArguments, context: &Context) -> Exit {
    let mut output = match context.output(Format::Text) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    match fetch_token(&arguments).await {
        Ok(token) => {
            output.line(token);
            finish(output, Exit::Accepted)
        }
        Err(error) => fail(&error),
    }
}

async fn fetch_token(arguments: &TokenArguments) -> Result<String, TokenError> {
    use crate::net::{HttpClient, Request};
    if let Some(kind) = arguments
        .kind
        .as_deref()
        .filter(|kind| TokenKind::from_name(kind).is_none())
    {
        return Err(TokenError::Kind {
            found: kind.to_owned(),
        });
    }
    let mut url: url::Url = format!("{}/token", arguments.issuer.trim_end_matches('/'))
        .parse()
        .map_err(|_| TokenError::Issuer {
            found: arguments.issuer.clone(),
        })?;
    url.query_pairs_mut()
        .append_pair("identity", &arguments.identity)
        .append_pair("audience", &arguments.audience)
        .append_pair("expires_in", &arguments.expires_in.to_string())
        .append_pair("format", "text");
    if let Some(kind) = &arguments.kind {
        url.query_pairs_mut().append_pair("kind", kind);
    }
    let reply = HttpClient::new()
        .send(Request::get("sandbox issuer", url))
        .await?
        .success()?;
    let text = std::str::from_utf8(&reply.body)
        .map_err(|_| reply.bad("a token", "bytes that are no text"))?;
    Ok(text.trim().to_owned())
}

async fn show_demo(arguments: DemoArguments, context: &Context) -> Exit {
    let output = match context.output(Format::Text) {
        Ok(output) => std::sync::Mutex::new(output),
        Err(exit) => return exit,
    };
    let files = match (arguments.files.is_empty(), std::env::current_exe()) {
        (false, _) => arguments.files,
        (true, Ok(program)) => vec![program],
        (true, Err(source)) => {
            return fail(&FileError::Read {
                path: "this program".to_owned(),
                source,
            });
        }
    };
    let sandbox = match open(arguments.setting).await {
        Ok(sandbox) => sandbox,
        Err(exit) => return exit,
    };
    let token = match sandbox.mint(&TokenRequest::new(sandbox.identity())) {
        Ok(token) => token,
        Err(error) => return fail(&error),
    };
    let registry = sandbox.url(crate::sandbox::Service::Registry);
    let setting = DemoSetting {
        registry: registry.trim_start_matches("http://").to_owned(),
        trusted_root: sandbox.files().join("trusted_root.json"),
        signing_config: sandbox.files().join("signing_config.v0.2.json"),
        token,
        identity: sandbox.identity().to_owned(),
        issuer: sandbox.issuer().to_owned(),
        files,
    };
    let show = |step: DemoStep<'_>| {
        let mut output = output
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        show_step(&mut output, &step);
    };
    let result = demo(&setting, &show).await;
    sandbox.stop().await;
    let mut output = output
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    match result {
        Ok(()) => {
            output.line("");
            output.line("signed, verified, and every forgery refused");
            finish(output, Exit::Accepted)
        }
        Err(error) => {
            let exit = fail(&error);
            finish(output, exit)
        }
    }
}

fn show_step(output: &mut Output, step: &DemoStep<'_>) {
    match step {
        DemoStep::Pushed { image, files } => {
            let files_of = counted(files.len(), "real file");
            output.line(format!("pushed an image of {files_of}"));
            for (name, size) in *files {
                output.line(format!("  file       app/{} ({size} bytes)", plain(name)));
            }
            output.line(format!("  image      {image}"));
        }
        DemoStep::Signed(signed) => {
            output.line("");
            output.line("signed it: key made in memory, certified, used once, gone");
            for line in human::verified(&signed.bundle.verified) {
                output.line(line);
            }
        }
        DemoStep::Judged {
            scene,
            identity,
            verdict,
        } => {
            output.line("");
            output.line(format!("verify {scene}"));
            output.line(format!("  asked for  {}", plain(identity)));
            match &verdict.error {
                None => output.line("  verdict    accepted (exit code 0)"),
                Some(error) => {
                    output.line(format!(
                        "  verdict    REFUSED: {} (exit code {})",
                        plain(&error.to_string()),
                        verdict.exit()
                    ));
                    for (name, value) in error.details() {
                        output.line(format!("  {:<10} {}", name, plain(&value)));
                    }
                }
            }
        }
    }
}
