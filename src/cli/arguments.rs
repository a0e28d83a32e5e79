//! Arguments that several commands share, and the requests that they make.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStr, Resettable};

use crate::crypto::Secret;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::identity::TokenSource;
use crate::flow::sign::{SignatureForm, SigningOptions};
use crate::flow::trust::TrustSource;
use crate::format::identity_token::DEFAULT_AUDIENCE;
use crate::host::files::FileError;
use crate::net::registry::{ImageReference, RegistryError};
use crate::verify::policy::PatternError;

/// Images that are worked on at a time unless --jobs says otherwise.
pub(crate) const DEFAULT_JOBS: usize = 32;

/// Form of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FormArgument {
    /// A Sigstore bundle.
    Bundle,
    /// What cosign wrote before there were bundles.
    Legacy,
}

impl From<FormArgument> for SignatureForm {
    fn from(form: FormArgument) -> Self {
        match form {
            FormArgument::Bundle => SignatureForm::Bundle,
            FormArgument::Legacy => SignatureForm::Legacy,
        }
    }
}

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
    /// A claim is not `NAME=VALUE`, or its name is none of Fulcio's.
    #[error("claim {found:?} is not NAME=VALUE with a name that certificates have")]
    Claim {
        /// As given.
        found: String,
        /// Names that there are.
        known: String,
    },
    /// A key file cannot be read.
    #[error("{0}")]
    KeyFile(#[from] FileError),
    /// A key file is no public key.
    #[error("{path}: {cause}")]
    Key {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// A file for TLS does not hold what it should.
    #[error("{path}: {cause}")]
    Tls {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// A file is given where images are named.
    #[error("{found:?} names a file, and not an image")]
    IsFile {
        /// As given.
        found: String,
    },
    /// An image reference cannot be read.
    #[error("{0}")]
    Image(#[from] RegistryError),
    /// Something else that keeps the command from running.
    #[error("{0}")]
    Other(Box<dyn Diagnostic>),
}

impl Diagnostic for UsageError {
    fn code(&self) -> &'static str {
        match self {
            UsageError::NoIdentity { .. } => "usage-identity-missing",
            UsageError::Empty { .. } => "usage-empty-value",
            UsageError::Pattern { .. } => "usage-pattern",
            UsageError::Annotation { .. } => "usage-annotation",
            UsageError::Conflict { .. } => "usage-conflict",
            UsageError::Claim { .. } => "usage-claim",
            UsageError::KeyFile(error) => error.code(),
            UsageError::Key { .. } => "usage-key",
            UsageError::Tls { .. } => "usage-tls-file",
            UsageError::IsFile { .. } => "usage-image-is-file",
            UsageError::Image(error) => error.code(),
            UsageError::Other(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            UsageError::KeyFile(error) => error.exit(),
            UsageError::Other(error) => error.exit(),
            _ => Exit::Usage,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            UsageError::NoIdentity { missing } => vec![("missing", (*missing).to_owned())],
            UsageError::Claim { known, .. } => vec![("names", known.clone())],
            UsageError::KeyFile(error) => error.details(),
            UsageError::Image(error) => error.details(),
            UsageError::Other(error) => error.details(),
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            UsageError::Conflict { hint, .. } => Some((*hint).to_owned()),
            UsageError::Key { .. } => {
                Some("a PEM file with one PUBLIC KEY block is expected".to_owned())
            }
            UsageError::IsFile { .. } => Some(
                "files are signed and verified by sign-blob, verify-blob, attest-blob and verify-blob-attestation; \
                 images in a folder by verify --local-image; an image of that name is written with its tag or digest"
                    .to_owned(),
            ),
            UsageError::KeyFile(error) => error.hint(),
            UsageError::Image(error) => error.hint(),
            UsageError::Other(error) => error.hint(),
            _ => None,
        }
    }
}

/// An option as it would be typed, with its value if it takes one.
pub(crate) type Typed = (&'static str, Option<String>);

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
    #[arg(long, value_name = "FILE", env = variable("KEYLESS_TRUSTED_ROOT"))]
    pub trusted_root: Option<PathBuf>,
}

impl TrustArguments {
    /// Returns the options as they would be typed.
    pub fn words(&self) -> Vec<Typed> {
        let path = self.trusted_root.as_ref();
        path.map(|path| ("--trusted-root", Some(path.display().to_string())))
            .into_iter()
            .collect()
    }

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
    #[arg(long, value_name = "FILE", env = variable("KEYLESS_SIGNING_CONFIG"))]
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
    /// Returns whether the token is read from standard input.
    pub fn token_is_stdin(&self) -> bool {
        let given = self.identity_token.as_ref();
        given.is_some_and(|token| token.expose() == "-")
    }

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
            form: SignatureForm::default(),
        }
    }
}

/// Names the environment variable that stands for an option. One that is set and empty stands for nothing: shells
/// and pipelines write that for "not set".
pub(crate) fn variable(name: &'static str) -> Resettable<OsStr> {
    let is_empty = std::env::var_os(name).is_some_and(|value| value.is_empty());
    (!is_empty).then(|| OsStr::from(name)).into()
}

/// Takes a secret argument over, so that nothing shows it. The system's own copy of the command line stays.
pub(crate) fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// Reads image references.
pub(crate) fn images(given: &[String]) -> Result<Vec<ImageReference>, UsageError> {
    Ok(given
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?)
}
