//! `keyless login` and `keyless logout`.

use std::io::{self, IsTerminal as _, Read as _};

use clap::Args;
use serde_json::{Value, json};

use super::arguments::{UsageError, secret};
use super::registry_arguments::RegistryTransportArguments;
use super::{Context, boxed, fail_with, finish, run_async};
use crate::crypto::Secret;
use crate::diagnostic::{Diagnostic, Exit};
use crate::host::hardening::harden;
use crate::host::registry_auth::store::{CredentialStore, Place, check_username};
use crate::host::registry_auth::{Credential, RegistryAuth};
use crate::host::terminal;
use crate::net::HttpClient;
use crate::net::registry::{Login, RegistryClient, Repository};
use crate::output::human::plain;
use crate::output::{Format, document};

/// Largest password on standard input, in bytes: the tokens of clouds have about 5 KiB.
const MAX_PASSWORD: u64 = 64 * 1024;

/// Log in to a registry: store credentials, once it has accepted them.
///
/// They go to the credential helper that docker's config.json names for the registry (credHelpers, credsStore), else
/// into that file. Docker and podman use them too. A password that the registry refuses changes nothing.
///
/// Example: keyless login registry.example --username dev --password-stdin < password.txt
#[derive(Debug, Args)]
pub(crate) struct LoginArguments {
    /// The registry, HOST or HOST:PORT.
    #[arg(value_name = "REGISTRY")]
    registry: String,

    /// User name. Without it: asked for on the terminal.
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,

    /// Password or access token. Whoever lists processes sees it here. Without it: asked for on the terminal, and
    /// not shown there.
    #[arg(short, long, value_name = "PASSWORD", allow_hyphen_values = true, value_parser = secret)]
    password: Option<Secret>,

    /// Read the password from standard input.
    #[arg(long)]
    password_stdin: bool,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    transport: RegistryTransportArguments,
}

/// Log out of a registry: forget its credentials.
///
/// They are taken out of docker's config.json, and out of the credential helper that it names for the registry.
///
/// Example: keyless logout registry.example
#[derive(Debug, Args)]
pub(crate) struct LogoutArguments {
    /// The registry, HOST or HOST:PORT.
    #[arg(value_name = "REGISTRY")]
    registry: String,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,
}

pub(crate) fn log_in(arguments: LoginArguments, context: &Context) -> Exit {
    const COMMAND: &str = "login";
    harden();
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let (registry, username, place, said) = match run_async(keep(&arguments, context)) {
        Ok(kept) => kept,
        Err(error) => return fail_with(output, COMMAND, error.as_ref()),
    };
    if said == Login::NotAsked {
        output.warn("the registry asks for no credentials, so these were not checked");
    }
    if let Place::File(path) = &place {
        output.warn(&format!(
            "the password is stored unencrypted in {}; a credential helper (credsStore in that file) would encrypt it",
            path.display()
        ));
    }
    output.line(format!(
        "logged in to {} as {}; stored in {}",
        plain(&registry),
        plain(&username),
        plain(&shown(&place))
    ));
    let members = [
        ("registry", json!(registry)),
        ("username", json!(username)),
        ("checked", json!(said == Login::Accepted)),
        ("stored", as_json(&place)),
    ];
    output.document(&document::head(COMMAND, Exit::Accepted, members));
    finish(output, Exit::Accepted)
}

/// Has the registry judge the credentials, then keeps them.
async fn keep(
    arguments: &LoginArguments,
    context: &Context,
) -> Result<(String, String, Place, Login), Box<dyn Diagnostic>> {
    let registry = Repository::of_registry(&arguments.registry).map_err(boxed)?;
    let options = arguments.transport.options(context).map_err(boxed)?;
    // Nobody types a password for nothing.
    let store = CredentialStore::from_environment().map_err(boxed)?;
    let (username, password) = credentials(arguments).map_err(boxed)?;
    if arguments.password.is_some() {
        context
            .warnings
            .warn("whoever lists processes sees --password; --password-stdin hides it");
    }
    let credential = Credential::Basic {
        username: username.clone(),
        password: password.clone(),
    };
    let auth = RegistryAuth::only_for(registry.host(), credential, RegistryAuth::anonymous());
    let client = RegistryClient::new(HttpClient::new(), auth, options);
    let said = client.log_in(&registry).await.map_err(boxed)?;
    let place = store
        .store(registry.host(), &username, &password)
        .await
        .map_err(boxed)?;
    Ok((registry.to_string(), username, place, said))
}

fn credentials(arguments: &LoginArguments) -> Result<(String, Secret), UsageError> {
    if arguments.password_stdin && arguments.password.is_some() {
        return Err(UsageError::Conflict {
            what: "--password and --password-stdin are both given",
            hint: "give one of them",
        });
    }
    if arguments.password_stdin && arguments.username.is_none() {
        return Err(UsageError::Conflict {
            what: "--password-stdin needs --username",
            hint: "name the user with --username",
        });
    }
    let nobody = |_: io::Error| UsageError::Conflict {
        what: "there is no terminal to ask for user name and password",
        hint: "give --username and --password-stdin",
    };
    let username = match &arguments.username {
        Some(username) => username.clone(),
        None => terminal::ask("Username: ").map_err(nobody)?,
    };
    if check_username(&username).is_err() {
        return Err(UsageError::Conflict {
            what: "the user name is empty, or has a colon or control character",
            hint: "docker's config.json cannot hold such a name",
        });
    }
    let password = match &arguments.password {
        Some(password) => password.clone(),
        None if arguments.password_stdin && !io::stdin().is_terminal() => from_stdin()?,
        None => terminal::ask_secret("Password: ").map_err(nobody)?,
    };
    if password.expose().is_empty() {
        return Err(UsageError::Empty {
            flag: "the password",
        });
    }
    Ok((username, password))
}

/// Reads a password, without the end of its line.
fn from_stdin() -> Result<Secret, UsageError> {
    let mut text = String::new();
    let unreadable = UsageError::Conflict {
        what: "standard input holds no password",
        hint: "one line of text is expected",
    };
    // What comes beyond the cap makes it too long, and is not read.
    match io::stdin().take(MAX_PASSWORD + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 <= MAX_PASSWORD => {}
        _ => return Err(unreadable),
    }
    let text = Secret::new(text);
    let line = text.expose();
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line.contains(['\n', '\r', '\0']) {
        true => Err(unreadable),
        false => Ok(Secret::new(line.to_owned())),
    }
}

pub(crate) fn log_out(arguments: &LogoutArguments, context: &Context) -> Exit {
    const COMMAND: &str = "logout";
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let forget = async {
        let registry = Repository::of_registry(&arguments.registry).map_err(boxed)?;
        let store = CredentialStore::from_environment().map_err(boxed)?;
        let erased = store.erase(registry.host()).await.map_err(boxed)?;
        let elsewhere = store.kept_elsewhere(registry.host()).await;
        Ok::<_, Box<dyn Diagnostic>>((registry, erased, elsewhere))
    };
    let (registry, erased, elsewhere) = match run_async(forget) {
        Ok(forgotten) => forgotten,
        Err(error) => return fail_with(output, COMMAND, error.as_ref()),
    };
    if let Some(path) = elsewhere {
        output.warn(&format!(
            "credentials for {registry} remain in {}",
            path.display()
        ));
    }
    for place in &erased {
        output.line(format!(
            "logged out of {}; forgotten by {}",
            plain(&registry.to_string()),
            plain(&shown(place))
        ));
    }
    if erased.is_empty() {
        output.line(format!(
            "no credentials were stored for {}",
            plain(&registry.to_string())
        ));
    }
    let erased: Vec<Value> = erased.iter().map(as_json).collect();
    let members = [
        ("registry", json!(registry.to_string())),
        ("removed", erased.into()),
    ];
    output.document(&document::head(COMMAND, Exit::Accepted, members));
    finish(output, Exit::Accepted)
}

fn shown(place: &Place) -> String {
    match place {
        Place::Helper(name) => format!("docker-credential-{name}"),
        Place::File(path) => path.display().to_string(),
    }
}

fn as_json(place: &Place) -> Value {
    match place {
        Place::Helper(name) => json!({ "helper": name, "file": null }),
        Place::File(path) => json!({ "helper": null, "file": path.display().to_string() }),
    }
}
