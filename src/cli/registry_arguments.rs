//! How registries are spoken to: the same options on every command that talks to one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Context;
use super::arguments::{Typed, UsageError, secret, variable};
use super::limits::{LimitArguments, size};
use crate::crypto::Secret;
use crate::format::limits::PEM_LEN;
use crate::host::files::read_bounded;
use crate::host::registry_auth::{Credential, RegistryAuth};
use crate::net::HttpClient;
use crate::net::http::{TlsOptions, TlsTrust};
use crate::net::registry::{
    ImageReference, RegistryClient, RegistryLimits, RegistryOptions, RegistryTls, Repository,
};

/// Where cosign looks for signatures that are not beside their image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReferrersMode {
    Legacy,
    #[value(name = "oci-1-1")]
    Oci11,
}

/// How registries are connected to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryTransportArguments {
    /// Allow plain HTTP to registries that are not on this machine, where HTTPS does not answer.
    #[arg(long)]
    pub allow_http_registry: bool,

    /// Do not check the TLS certificate of the registries that are named: credentials are sent to any host that
    /// answers in their place. Other services are checked as ever.
    #[arg(long)]
    pub allow_insecure_registry: bool,

    /// Authorities that alone are believed to certify the registries that are named, PEM.
    #[arg(long, value_name = "FILE", env = variable("COSIGN_REGISTRY_CACERT"))]
    pub registry_cacert: Option<PathBuf>,

    /// Client certificate for the registries that are named, PEM.
    #[arg(long, value_name = "FILE", env = variable("COSIGN_REGISTRY_CLIENT_CERT"))]
    pub registry_client_cert: Option<PathBuf>,

    /// Key of the client certificate, PEM.
    #[arg(long, value_name = "FILE", env = variable("COSIGN_REGISTRY_CLIENT_KEY"))]
    pub registry_client_key: Option<PathBuf>,

    /// Name that the registry's certificate is for, where it is not the registry's own.
    #[arg(long, value_name = "NAME", env = variable("COSIGN_REGISTRY_SERVER_NAME"))]
    pub registry_server_name: Option<String>,

    /// Host of a token service that may have the registry's credentials though it is neither the registry's own host
    /// nor of its domain. Repeatable.
    #[arg(
        long,
        value_name = "HOST",
        value_delimiter = ',',
        env = variable("KEYLESS_REGISTRY_TRUSTED_REALM")
    )]
    pub registry_trusted_realm: Vec<String>,
}

/// How registries are spoken to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryArguments {
    #[command(flatten)]
    pub attachments: LimitArguments,

    #[command(flatten)]
    pub transport: RegistryTransportArguments,

    /// User name for the one registry that the images are on. Without it: what docker and podman have stored, see
    /// keyless login.
    #[arg(
        long,
        value_name = "NAME",
        env = variable("COSIGN_REGISTRY_USERNAME"),
        hide_env_values = true
    )]
    pub registry_username: Option<String>,

    /// Password of that user. Whoever lists processes sees it here; better in the environment.
    #[arg(long, value_name = "PASSWORD", allow_hyphen_values = true, value_parser = secret,
        env = variable("COSIGN_REGISTRY_PASSWORD"), hide_env_values = true)]
    pub registry_password: Option<Secret>,

    /// Bearer token for the one registry that the images are on, sent as it is.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true, value_parser = secret,
        env = variable("COSIGN_REGISTRY_TOKEN"), hide_env_values = true)]
    pub registry_token: Option<Secret>,

    /// Repository that holds the signatures, if it is not the image's own.
    #[arg(long, value_name = "REPOSITORY", env = variable("COSIGN_REPOSITORY"))]
    pub signature_repository: Option<String>,

    /// Accepted so that scripts for cosign work: the registry is asked what it offers.
    #[arg(long, value_enum, value_name = "MODE")]
    pub registry_referrers_mode: Option<ReferrersMode>,

    /// Refused: credential helpers do what cosign has built in.
    #[arg(long, hide_short_help = true)]
    pub k8s_keychain: bool,

    #[command(flatten)]
    pub caps: RegistryCapArguments,
}

/// Caps on what a registry may make us read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registry caps")]
pub(crate) struct RegistryCapArguments {
    /// Referrers of one image that are listed.
    #[arg(long, value_name = "COUNT", default_value_t = RegistryLimits::default().referrers)]
    pub max_referrers: usize,

    /// Memory that their list may take.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "12MiB")]
    pub max_referrers_size: u64,

    /// Pages that the list may have.
    #[arg(long, value_name = "COUNT", default_value_t = RegistryLimits::default().pages)]
    pub max_referrer_pages: usize,

    /// Time that listing may take.
    #[arg(long, value_name = "SECONDS", default_value_t = RegistryLimits::default().listing.as_secs())]
    pub max_listing_time: u64,

    /// Size of one manifest, index, or page of a list.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "4MiB")]
    pub max_manifest_size: u64,
}

impl RegistryCapArguments {
    fn limits(&self) -> RegistryLimits {
        RegistryLimits {
            referrers: self.max_referrers,
            list: self.max_referrers_size,
            pages: self.max_referrer_pages,
            listing: Duration::from_secs(self.max_listing_time),
            manifest: self.max_manifest_size,
            ..RegistryLimits::default()
        }
    }

    /// Returns the caps that are not what they are by default, as they would be typed.
    fn words(&self) -> Vec<Typed> {
        let (ours, usual) = (self.limits(), RegistryLimits::default());
        [
            (
                "--max-referrers",
                ours.referrers as u64,
                usual.referrers as u64,
            ),
            ("--max-referrers-size", ours.list, usual.list),
            (
                "--max-referrer-pages",
                ours.pages as u64,
                usual.pages as u64,
            ),
            (
                "--max-listing-time",
                ours.listing.as_secs(),
                usual.listing.as_secs(),
            ),
            ("--max-manifest-size", ours.manifest, usual.manifest),
        ]
        .into_iter()
        .filter(|(_, ours, usual)| ours != usual)
        .map(|(flag, ours, _)| (flag, Some(ours.to_string())))
        .collect()
    }
}

impl RegistryTransportArguments {
    /// Reads what is to be different about TLS; `None` if nothing is.
    fn tls(&self) -> Result<Option<RegistryTls>, UsageError> {
        let authorities = match &self.registry_cacert {
            Some(path) => {
                let pem = read_bounded(path, PEM_LEN as u64)?;
                let found = TlsOptions::authorities(&pem);
                Some(found.ok_or_else(|| unusable(path, "no certificate in PEM"))?)
            }
            None => None,
        };
        let identity = match (&self.registry_client_cert, &self.registry_client_key) {
            (Some(certificate), Some(key)) => {
                let pem = read_bounded(certificate, PEM_LEN as u64)?;
                let secret = zeroize::Zeroizing::new(read_bounded(key, PEM_LEN as u64)?);
                let found = TlsOptions::client_certificate(&pem, &secret);
                let cause = "not a certificate in PEM that --registry-client-key is the key of";
                Some(found.ok_or_else(|| unusable(certificate, cause))?)
            }
            (None, None) => None,
            _ => {
                return Err(UsageError::Conflict {
                    what: "a client certificate and its key belong together",
                    hint: "give both --registry-client-cert and --registry-client-key",
                });
            }
        };
        if self.allow_insecure_registry && authorities.is_some() {
            return Err(UsageError::Conflict {
                what: "--allow-insecure-registry and --registry-cacert contradict each other",
                hint: "with --registry-cacert the certificate is checked; leave the other out",
            });
        }
        if let Some(name) = &self.registry_server_name
            && !is_host_name(name)
        {
            return Err(UsageError::Conflict {
                what: "--registry-server-name is not a host name",
                hint: "give the name on the registry's certificate, without port; an address is none",
            });
        }
        let required =
            authorities.is_some() || identity.is_some() || self.registry_server_name.is_some();
        if !required && !self.allow_insecure_registry {
            return Ok(None);
        }
        let trust = match authorities {
            Some(authorities) => TlsTrust::Only(authorities),
            None if self.allow_insecure_registry => TlsTrust::Anyone,
            None => TlsTrust::System,
        };
        let options = TlsOptions {
            trust,
            identity,
            server_name: self.registry_server_name.clone(),
        };
        Ok(Some(RegistryTls { options, required }))
    }

    fn trusted_realms(&self) -> Result<Vec<String>, UsageError> {
        let hosts = self.registry_trusted_realm.iter();
        let hosts: Vec<String> = hosts.map(|host| host.to_ascii_lowercase()).collect();
        match hosts.iter().all(|host| is_host_name(host)) {
            true => Ok(hosts),
            false => Err(UsageError::Conflict {
                what: "--registry-trusted-realm is not a host name",
                hint: "give the host alone, without scheme and port",
            }),
        }
    }

    /// Makes the options of a client, and warns of what is not checked.
    pub fn options(&self, context: &Context) -> Result<RegistryOptions, UsageError> {
        let tls = self.tls()?;
        if self.allow_insecure_registry {
            context
                .warnings
                .warn("--allow-insecure-registry: the certificate of the registry is not checked");
        }
        Ok(RegistryOptions {
            allow_http: self.allow_http_registry,
            tls,
            trusted_realms: self.trusted_realms()?,
            ..RegistryOptions::default()
        })
    }

    /// Returns the options as they would be typed.
    fn words(&self) -> Vec<Typed> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let switches = [
            ("--allow-http-registry", self.allow_http_registry),
            ("--allow-insecure-registry", self.allow_insecure_registry),
        ];
        let values = [
            ("--registry-cacert", path(&self.registry_cacert)),
            ("--registry-client-cert", path(&self.registry_client_cert)),
            ("--registry-client-key", path(&self.registry_client_key)),
            ("--registry-server-name", self.registry_server_name.clone()),
        ];
        let realms = self.registry_trusted_realm.iter().cloned();
        let realms = realms.map(|host| ("--registry-trusted-realm", Some(host)));
        let switches = switches.into_iter().filter(|(_, on)| *on);
        let values = values.into_iter().filter(|(_, value)| value.is_some());
        switches
            .map(|(flag, _)| (flag, None))
            .chain(values)
            .chain(realms)
            .collect()
    }
}

impl RegistryArguments {
    /// Makes a client for these images; nothing is opened yet but files that options name. Credentials of the
    /// command line are for the one registry that all images are on.
    pub fn client(
        &self,
        http: &HttpClient,
        images: &[ImageReference],
        context: &Context,
    ) -> Result<RegistryClient, UsageError> {
        let repositories: Vec<&Repository> =
            images.iter().map(ImageReference::repository).collect();
        self.client_for(http, &repositories, context)
    }

    /// Makes a client as [`RegistryArguments::client`] does, for repositories that the command line names.
    pub fn client_for(
        &self,
        http: &HttpClient,
        named: &[&Repository],
        context: &Context,
    ) -> Result<RegistryClient, UsageError> {
        if self.k8s_keychain {
            return Err(UsageError::Conflict {
                what: "--k8s-keychain is not offered",
                hint: "name a credential helper of the registry's cloud in docker's config.json (docker-credential-ecr-login, \
                       -gcr, -acr-env), or pass a token with COSIGN_REGISTRY_TOKEN",
            });
        }
        let only = only_host(named);
        let several = only.is_none() && !named.is_empty();
        let auth = match (self.credential()?, only) {
            (None, _) => RegistryAuth::from_environment(),
            (Some(_), None) if !several => RegistryAuth::from_environment(),
            (Some(_), None) => {
                return Err(UsageError::Conflict {
                    what: "credentials of the command line are for one registry, and not all images are on one",
                    hint: "store credentials for each with keyless login",
                });
            }
            (Some(credential), Some(host)) => {
                RegistryAuth::only_for(host, credential, RegistryAuth::from_environment())
            }
        };
        if self.transport.registry_server_name.is_some() && several {
            return Err(UsageError::Conflict {
                what: "--registry-server-name is for one registry, and not all images are on one",
                hint: "name the images of each registry in a command of their own",
            });
        }
        let signature_repository = match self.signature_repository.as_deref() {
            None | Some("") => None,
            Some(text) => Some(text.parse::<Repository>()?),
        };
        let options = RegistryOptions {
            limits: RegistryLimits {
                bundle: self.attachments.max_attachment_size,
                ..self.caps.limits()
            },
            signature_repository,
            ..self.transport.options(context)?
        };
        Ok(RegistryClient::new(http.clone(), auth, options))
    }

    fn credential(&self) -> Result<Option<Credential>, UsageError> {
        let set = |secret: &Option<Secret>| secret.clone().filter(|s| !s.expose().is_empty());
        let username = self
            .registry_username
            .clone()
            .filter(|name| !name.is_empty());
        match (
            username,
            set(&self.registry_password),
            set(&self.registry_token),
        ) {
            (None, None, None) => Ok(None),
            (None, None, Some(token)) => Ok(Some(Credential::RegistryToken(token))),
            (Some(username), Some(password), None) => {
                Ok(Some(Credential::Basic { username, password }))
            }
            (_, _, Some(_)) => Err(UsageError::Conflict {
                what: "a user or password is given beside a token",
                hint: "give --registry-username and --registry-password, or --registry-token",
            }),
            _ => Err(UsageError::Conflict {
                what: "a user name and a password belong together",
                hint: "give both --registry-username and --registry-password",
            }),
        }
    }

    /// Returns the options as they would be typed, credentials left out.
    pub fn words(&self) -> Vec<Typed> {
        let mut words = self.transport.words();
        let repository = self.signature_repository.clone();
        if repository
            .as_ref()
            .is_some_and(|repository| !repository.is_empty())
        {
            words.push(("--signature-repository", repository));
        }
        words.extend(self.caps.words());
        words.extend(self.attachments.words());
        words
    }
}

/// Returns the host and port of all repositories if it is the same for all.
fn only_host<'a>(named: &[&'a Repository]) -> Option<&'a str> {
    let first = named.first()?.host();
    let same = |repository: &&Repository| repository.host() == first;
    named.iter().all(same).then_some(first)
}

/// The grammar of host names (RFC 1123 section 2.1); an IPv4 address is none.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
}

fn unusable(path: &Path, cause: &str) -> UsageError {
    UsageError::Tls {
        path: path.display().to_string(),
        cause: cause.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_shown_are_those_that_apply() {
        let usual = RegistryLimits::default();
        assert_eq!(size("12MiB"), Ok(usual.list));
        assert_eq!(size("4MiB"), Ok(usual.manifest));
    }

    #[test]
    fn a_host_name_is_no_address() {
        for name in ["registry.example.test", "localhost", "r-1.example"] {
            assert!(is_host_name(name), "{name}");
        }
        for none in [
            "",
            "10.0.0.1",
            "::1",
            "a..b",
            "-a.test",
            "a.test:5000",
            "a_b.test",
        ] {
            assert!(!is_host_name(none), "{none}");
        }
    }
}
