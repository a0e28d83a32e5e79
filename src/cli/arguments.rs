//! Arguments that several commands share, and the requests that they make.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use crate::crypto::Secret;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::identity::TokenSource;
use crate::flow::sign::SigningOptions;
use crate::flow::trust::TrustSource;
use crate::format::identity_token::DEFAULT_AUDIENCE;
use crate::host::registry_auth::RegistryAuth;
use crate::net::HttpClient;
use crate::net::registry::{ImageReference, RegistryClient, RegistryError, RegistryOptions};
use crate::verify::policy::{PatternError, ValueMatcher};
use crate::verify::{ExpectedContent, IdentityMatcher, Policy};

/// A combination of arguments that cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    /// Neither identity nor issuer, or one without the other.
    #[error("whose signature is expected? both an identity and an issuer are needed")]
    NoIdentity {
        /// What is missing.
        missing: &'static str,
    },
    /// An empty value matches nobody.
    #[error("{flag} is empty")]
    Empty {
        /// The flag.
        flag: &'static str,
    },
    /// A regular expression does not compile.
    #[error("{flag}: {error}")]
    Pattern {
        /// The flag.
        flag: &'static str,
        /// Why.
        error: PatternError,
    },
    /// An annotation is not `key=value`, or given twice.
    #[error("annotation {found:?} is not KEY=VALUE, or given twice")]
    Annotation {
        /// As given.
        found: String,
    },
    /// Options that exclude each other.
    #[error("{what}")]
    Conflict {
        /// What is wrong.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// An image reference cannot be read.
    #[error("{0}")]
    Image(#[from] RegistryError),
}

impl Diagnostic for UsageError {
    fn code(&self) -> &'static str {
        match self {
            UsageError::NoIdentity { .. } => "usage-identity-missing",
            UsageError::Empty { .. } => "usage-empty-value",
            UsageError::Pattern { .. } => "usage-pattern",
            UsageError::Annotation { .. } => "usage-annotation",
            UsageError::Conflict { .. } => "usage-conflict",
            UsageError::Image(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            UsageError::NoIdentity { missing } => vec![("missing", (*missing).to_owned())],
            UsageError::Image(error) => error.details(),
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            UsageError::Conflict { hint, .. } => Some((*hint).to_owned()),
            UsageError::Image(error) => error.hint(),
            _ => None,
        }
    }
}

/// Whose signature is accepted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who must have signed")]
pub(crate) struct IdentityArguments {
    /// Identity in the certificate: e-mail address, workflow or workload URI. Repeatable; one must match.
    #[arg(long, value_name = "IDENTITY")]
    pub certificate_identity: Vec<String>,

    /// Regular expression for the identity; must match the whole of it. Repeatable.
    #[arg(long, value_name = "REGEXP")]
    pub certificate_identity_regexp: Vec<String>,

    /// OIDC issuer that vouched for the identity. Repeatable; one must match.
    #[arg(long, value_name = "URL")]
    pub certificate_oidc_issuer: Vec<String>,

    /// Regular expression for the issuer; must match the whole of it. Repeatable.
    #[arg(long, value_name = "REGEXP")]
    pub certificate_oidc_issuer_regexp: Vec<String>,
}

impl IdentityArguments {
    /// Makes a policy: every identity given, through every issuer given.
    pub fn policy(&self, content: ExpectedContent) -> Result<Policy, UsageError> {
        let subjects = matchers(
            ("--certificate-identity", &self.certificate_identity),
            (
                "--certificate-identity-regexp",
                &self.certificate_identity_regexp,
            ),
        )?;
        let issuers = matchers(
            ("--certificate-oidc-issuer", &self.certificate_oidc_issuer),
            (
                "--certificate-oidc-issuer-regexp",
                &self.certificate_oidc_issuer_regexp,
            ),
        )?;
        let missing = match (subjects.is_empty(), issuers.is_empty()) {
            (true, true) => "--certificate-identity and --certificate-oidc-issuer",
            (true, false) => "--certificate-identity, or --certificate-identity-regexp",
            (false, true) => "--certificate-oidc-issuer, or --certificate-oidc-issuer-regexp",
            (false, false) => "",
        };
        let identities = subjects
            .iter()
            .flat_map(|subject| {
                issuers
                    .iter()
                    .map(|issuer| (subject.clone(), issuer.clone()))
            })
            .map(|(subject, issuer)| IdentityMatcher::new(subject, issuer))
            .collect();
        Policy::identities(identities, content).ok_or(UsageError::NoIdentity { missing })
    }
}

type Given<'a> = (&'static str, &'a [String]);

fn matchers<'a>(
    (exact_flag, exact): (&'static str, &'a Vec<String>),
    (pattern_flag, patterns): (&'static str, &'a Vec<String>),
) -> Result<Vec<ValueMatcher>, UsageError> {
    let (exact, patterns): (Given<'a>, Given<'a>) = ((exact_flag, exact), (pattern_flag, patterns));
    let mut matchers = Vec::new();
    for value in exact.1 {
        matchers.push(ValueMatcher::exact(value).ok_or(UsageError::Empty { flag: exact.0 })?);
    }
    for pattern in patterns.1 {
        let matcher = ValueMatcher::pattern(pattern);
        matchers.push(matcher.map_err(|error| UsageError::Pattern {
            flag: patterns.0,
            error,
        })?);
    }
    Ok(matchers)
}

/// Annotations, `-a key=value`.
#[derive(Debug, Args)]
pub(crate) struct AnnotationArguments {
    /// Annotation of the signature, KEY=VALUE. Repeatable.
    #[arg(
        short = 'a',
        long = "annotations",
        value_name = "KEY=VALUE",
        value_delimiter = ','
    )]
    pub annotations: Vec<String>,
}

impl AnnotationArguments {
    /// Reads the annotations.
    pub fn map(&self) -> Result<BTreeMap<String, String>, UsageError> {
        let mut map = BTreeMap::new();
        for found in &self.annotations {
            let wrong = || UsageError::Annotation {
                found: found.clone(),
            };
            let (key, value) = found.split_once('=').ok_or_else(wrong)?;
            if key.is_empty() || map.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(wrong());
            }
        }
        Ok(map)
    }
}

/// The trusted root.
#[derive(Debug, Args)]
#[command(next_help_heading = "Trust")]
pub(crate) struct TrustArguments {
    /// Trusted root of the Sigstore instance. Without it: the public-good instance, as built in.
    #[arg(long, value_name = "FILE", env = "KEYLESS_TRUSTED_ROOT")]
    pub trusted_root: Option<PathBuf>,
}

impl TrustArguments {
    /// Returns where the trusted root is.
    pub fn source(&self) -> TrustSource {
        self.trusted_root.clone().into()
    }
}

/// What signing needs: services, token.
#[derive(Debug, Args)]
#[command(next_help_heading = "Signing")]
pub(crate) struct SigningArguments {
    /// Identity token: the token itself, a file that holds it, or - for standard input. Without it:
    /// SIGSTORE_ID_TOKEN, then GitHub Actions.
    #[arg(long, value_name = "TOKEN|FILE|-", allow_hyphen_values = true, value_parser = secret)]
    pub identity_token: Option<Secret>,

    /// Signing config: which services sign. Without it: the public-good instance, as built in.
    #[arg(long, value_name = "FILE", env = "KEYLESS_SIGNING_CONFIG")]
    pub signing_config: Option<PathBuf>,

    /// Audience that the identity token must have.
    #[arg(long, value_name = "AUDIENCE", default_value = DEFAULT_AUDIENCE)]
    pub oidc_client_id: String,

    /// Identity to expect in the certificate, where the certificate authority maps the token's in a way
    /// of its own.
    #[arg(long, value_name = "IDENTITY")]
    pub certificate_identity: Option<String>,

    /// Do not ask for confirmation. Nothing is asked; accepted so that scripts for cosign work.
    #[arg(short, long)]
    pub yes: bool,
}

impl SigningArguments {
    /// Makes the options of a signing.
    pub fn options(&self, trust: &TrustArguments) -> SigningOptions {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let github = variable("ACTIONS_ID_TOKEN_REQUEST_URL")
            .zip(variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN").map(Secret::new));
        SigningOptions {
            trusted_root: trust.source(),
            signing_config: self.signing_config.clone().into(),
            token: TokenSource {
                given: self.identity_token.clone(),
                environment: variable("SIGSTORE_ID_TOKEN").map(Secret::new),
                github,
                on_github: variable("GITHUB_ACTIONS").is_some(),
                audience: self.oidc_client_id.clone(),
            },
            expected_identity: self.certificate_identity.clone(),
        }
    }
}

/// How registries are spoken to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryArguments {
    /// Allow plain HTTP to registries that are not on this machine.
    #[arg(long)]
    pub allow_http_registry: bool,
}

impl RegistryArguments {
    /// Makes a client; nothing is opened yet.
    pub fn client(&self, http: &HttpClient) -> RegistryClient {
        let options = RegistryOptions {
            allow_http: self.allow_http_registry,
            ..RegistryOptions::default()
        };
        RegistryClient::new(http.clone(), RegistryAuth::from_environment(), options)
    }
}

/// Takes a secret argument over, so that nothing shows it. The system's own copy of the command line stays.
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// Reads image references.
pub(crate) fn images(given: &[String]) -> Result<Vec<ImageReference>, UsageError> {
    Ok(given
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?)
}
