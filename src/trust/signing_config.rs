//! `signing_config.v0.2.json` (`sigstore_trustroot.proto`): which services sign, and how they are chosen.

use std::collections::HashSet;

use serde::Deserialize;

use crate::crypto::{TimeRange, UnixTime};
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::limits;
use crate::format::protojson::{Bounded, EnumValue, null_as_default};

/// Media type of version 0.2.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";

/// Why a signing config is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningConfigError {
    /// Not JSON, or not the message.
    #[error("malformed signing config: {reason}")]
    Json {
        /// Parser's message.
        reason: String,
    },
    /// Another media type.
    #[error("unsupported signing config media type {found:?}")]
    UnsupportedVersion {
        /// Media type found.
        found: String,
    },
    /// A rule of `sigstore_trustroot.proto` is broken.
    #[error("invalid signing config: {rule}")]
    Rule {
        /// The rule, as a fact about this file.
        rule: &'static str,
    },
    /// No service of this kind is valid now under an API version that this program speaks.
    #[error("signing config names no usable {kind}")]
    NoService {
        /// Kind of service.
        kind: &'static str,
        /// What was found instead.
        found: String,
    },
    /// `EXACT` asks for more services than there are.
    #[error("signing config asks for more {kind} services than are usable")]
    TooFew {
        /// Kind of service.
        kind: &'static str,
        /// Number asked for.
        expected: u32,
        /// Number usable.
        found: usize,
    },
    /// Rekor v2 gives no time, and no timestamp authority is configured.
    #[error("signing config chooses Rekor v2 but names no usable timestamp authority")]
    TimestampNeeded,
}

impl Diagnostic for SigningConfigError {
    fn code(&self) -> &'static str {
        match self {
            SigningConfigError::Json { .. } => "signing-config-malformed",
            SigningConfigError::UnsupportedVersion { .. } => "signing-config-version",
            SigningConfigError::Rule { .. } => "signing-config-invalid",
            SigningConfigError::NoService { .. } => "signing-config-no-service",
            SigningConfigError::TooFew { .. } => "signing-config-too-few",
            SigningConfigError::TimestampNeeded => "signing-config-timestamp-needed",
        }
    }

    fn exit(&self) -> Exit {
        Exit::TrustMaterial
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            SigningConfigError::NoService { found, .. } => vec![("found", found.clone())],
            SigningConfigError::TooFew {
                expected, found, ..
            } => {
                vec![
                    ("expected", expected.to_string()),
                    ("found", found.to_string()),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            SigningConfigError::TimestampNeeded => {
                "add --tsa and --tsa-config to `keyless signing-config create`".to_owned()
            }
            _ => "make one with `keyless signing-config create`".to_owned(),
        })
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Address: a base for Fulcio, Rekor and OIDC, complete for a timestamp authority.
    pub url: String,
    /// API version.
    pub major_api_version: u32,
    /// When to use it.
    pub valid_for: TimeRange,
    /// Who runs it.
    pub operator: String,
}

/// How many services of a kind to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// Not stated; an error where services exist.
    Undefined,
    /// All of them.
    All,
    /// One.
    Any,
    /// Exactly so many.
    Exact(u32),
}

/// A parsed signing config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningConfig {
    /// Certificate authorities: Fulcio.
    pub certificate_authorities: Vec<Service>,
    /// Issuers for interactive logins.
    pub oidc_providers: Vec<Service>,
    /// Transparency logs.
    pub logs: Vec<Service>,
    /// How many logs.
    pub log_selector: Selector,
    /// Timestamp authorities.
    pub timestamp_authorities: Vec<Service>,
    /// How many timestamp authorities.
    pub timestamp_selector: Selector,
}

/// API of a Rekor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RekorVersion {
    /// `/api/v1`.
    V1,
    /// `/api/v2`, tiles.
    V2,
}

/// The services that one signing uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedServices {
    /// Fulcio's base address.
    pub certificate_authority: String,
    /// Logs, each with its API.
    pub logs: Vec<(RekorVersion, String)>,
    /// Complete addresses of timestamp authorities.
    pub timestamp_authorities: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(alias = "media_type", default, deserialize_with = "null_as_default")]
    media_type: String,
    #[serde(alias = "ca_urls", default)]
    ca_urls: Services,
    #[serde(alias = "oidc_urls", default)]
    oidc_urls: Services,
    #[serde(alias = "rekor_tlog_urls", default)]
    rekor_tlog_urls: Services,
    #[serde(alias = "rekor_tlog_config")]
    rekor_tlog_config: Option<WireConfig>,
    #[serde(alias = "tsa_urls", default)]
    tsa_urls: Services,
    #[serde(alias = "tsa_config")]
    tsa_config: Option<WireConfig>,
}

type Services = Bounded<WireService, { limits::TRUST_INSTANCES }>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireService {
    #[serde(default, deserialize_with = "null_as_default")]
    url: String,
    #[serde(
        alias = "major_api_version",
        default,
        deserialize_with = "null_as_default"
    )]
    major_api_version: u32,
    #[serde(alias = "valid_for")]
    valid_for: Option<WireRange>,
    #[serde(default, deserialize_with = "null_as_default")]
    operator: String,
}

#[derive(Deserialize)]
struct WireRange {
    start: Option<String>,
    end: Option<String>,
}

#[derive(Deserialize)]
struct WireConfig {
    selector: Option<EnumValue>,
    #[serde(default, deserialize_with = "null_as_default")]
    count: u32,
}

const fn rule<T>(rule: &'static str) -> Result<T, SigningConfigError> {
    Err(SigningConfigError::Rule { rule })
}

fn services(wire: Services) -> Result<Vec<Service>, SigningConfigError> {
    let time = |text: &str| match UnixTime::parse_rfc3339(text) {
        Some(time) => Ok(time),
        None => rule("a validFor time is not RFC 3339"),
    };
    let mut services = Vec::new();
    for service in wire.0 {
        let Some(WireRange {
            start: Some(start),
            end,
        }) = service.valid_for
        else {
            return rule("a service has no validFor.start");
        };
        services.push(Service {
            url: service.url,
            major_api_version: service.major_api_version,
            valid_for: TimeRange {
                start: time(&start)?,
                end: end.as_deref().map(time).transpose()?,
            },
            operator: service.operator,
        });
    }
    Ok(services)
}

fn selector(wire: Option<WireConfig>) -> Result<Selector, SigningConfigError> {
    let Some(WireConfig {
        selector: Some(selector),
        count,
    }) = wire
    else {
        return Ok(Selector::Undefined);
    };
    let table = [
        ("SERVICE_SELECTOR_UNDEFINED", 0, Selector::Undefined),
        ("ALL", 1, Selector::All),
        ("ANY", 2, Selector::Any),
        ("EXACT", 3, Selector::Exact(count)),
    ];
    match selector.find(&table) {
        Some(Selector::Exact(0)) => rule("selector EXACT has no count"),
        Some(selector) => Ok(selector),
        None => rule("unknown service selector"),
    }
}

impl SigningConfig {
    /// Parses a signing config of version 0.2; unknown members are passed over.
    ///
    /// # Errors
    /// [`SigningConfigError`].
    pub fn parse(json: &[u8]) -> Result<Self, SigningConfigError> {
        if json.len() > limits::TRUST_FILE_LEN {
            return rule("the file is larger than 4 MiB");
        }
        let wire: Wire = serde_json::from_slice(json).map_err(|e| SigningConfigError::Json {
            reason: e.to_string(),
        })?;
        if wire.media_type != MEDIA_TYPE {
            let found = wire.media_type.chars().take(120).collect();
            return Err(SigningConfigError::UnsupportedVersion { found });
        }
        Ok(SigningConfig {
            certificate_authorities: services(wire.ca_urls)?,
            oidc_providers: services(wire.oidc_urls)?,
            logs: services(wire.rekor_tlog_urls)?,
            log_selector: selector(wire.rekor_tlog_config)?,
            timestamp_authorities: services(wire.tsa_urls)?,
            timestamp_selector: selector(wire.tsa_config)?,
        })
    }

    /// Chooses the services for a signing at this time (protobuf-specs, `SigningConfig`): the highest supported API
    /// version that has a valid service, newest first, at most one of an operator.
    ///
    /// # Errors
    /// [`SigningConfigError`]: no certificate authority or log is usable, too few for `EXACT`, or Rekor v2
    /// without a timestamp authority.
    pub fn select(&self, now: UnixTime) -> Result<SelectedServices, SigningConfigError> {
        self.select_logs(&[2, 1], now)
    }

    /// Chooses services for a signature in the form that is older than bundles: it holds one promise, which
    /// only Rekor v1 makes, and one timestamp.
    ///
    /// # Errors
    /// As [`SigningConfig::select`].
    pub fn select_for_older_form(
        &self,
        now: UnixTime,
    ) -> Result<SelectedServices, SigningConfigError> {
        let mut selected = self.select_logs(&[1], now)?;
        selected.logs.truncate(1);
        selected.timestamp_authorities.truncate(1);
        Ok(selected)
    }

    fn select_logs(
        &self,
        versions: &[u32],
        now: UnixTime,
    ) -> Result<SelectedServices, SigningConfigError> {
        let authorities = usable(&self.certificate_authorities, &[1], now);
        let Some(certificate_authority) = authorities.first() else {
            return Err(none_usable("Fulcio", &self.certificate_authorities, now));
        };
        let logs = choose("Rekor", &self.logs, versions, self.log_selector, now)?;
        if logs.is_empty() {
            return Err(none_usable("Rekor", &self.logs, now));
        }
        let logs: Vec<_> = logs
            .into_iter()
            .map(|log| match log.major_api_version {
                1 => (RekorVersion::V1, log.url.clone()),
                _ => (RekorVersion::V2, log.url.clone()),
            })
            .collect();
        let tsa = choose(
            "TSA",
            &self.timestamp_authorities,
            &[1],
            self.timestamp_selector,
            now,
        )?;
        if tsa.is_empty() && logs.iter().any(|(version, _)| *version == RekorVersion::V2) {
            return Err(SigningConfigError::TimestampNeeded);
        }
        Ok(SelectedServices {
            certificate_authority: certificate_authority.url.clone(),
            logs,
            timestamp_authorities: tsa.into_iter().map(|tsa| tsa.url.clone()).collect(),
        })
    }
}

fn none_usable(kind: &'static str, services: &[Service], now: UnixTime) -> SigningConfigError {
    let found = if services.is_empty() {
        "none at all".to_owned()
    } else {
        services
            .iter()
            .map(|service| {
                format!(
                    "{} (API {}, valid {})",
                    service.url, service.major_api_version, service.valid_for
                )
            })
            .chain([format!("now {now}")])
            .collect::<Vec<_>>()
            .join("; ")
    };
    SigningConfigError::NoService { kind, found }
}

/// Services of the first version of `versions` that has any valid one now, newest first.
fn usable<'a>(services: &'a [Service], versions: &[u32], now: UnixTime) -> Vec<&'a Service> {
    for version in versions {
        let mut valid: Vec<&Service> = services
            .iter()
            .filter(|service| {
                service.major_api_version == *version && service.valid_for.contains(now)
            })
            .collect();
        if !valid.is_empty() {
            valid.sort_by_key(|service| std::cmp::Reverse(service.valid_for.start));
            return valid;
        }
    }
    Vec::new()
}

fn choose<'a>(
    kind: &'static str,
    services: &'a [Service],
    versions: &[u32],
    selector: Selector,
    now: UnixTime,
) -> Result<Vec<&'a Service>, SigningConfigError> {
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let mut operators = HashSet::new();
    let mut one_each = usable(services, versions, now);
    one_each.retain(|service| operators.insert(service.operator.as_str()));
    match selector {
        Selector::Undefined => rule("services are listed without a selector"),
        Selector::All => Ok(one_each),
        Selector::Any => Ok(one_each.into_iter().take(1).collect()),
        Selector::Exact(count) if one_each.len() < count as usize => {
            Err(SigningConfigError::TooFew {
                kind,
                expected: count,
                found: one_each.len(),
            })
        }
        Selector::Exact(count) => Ok(one_each.into_iter().take(count as usize).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

    fn service(url: &str, version: u32, start: i64, operator: &str) -> Service {
        Service {
            url: url.to_owned(),
            major_api_version: version,
            valid_for: TimeRange {
                start: UnixTime::from_seconds(start),
                end: None,
            },
            operator: operator.to_owned(),
        }
    }

    fn config() -> SigningConfig {
        SigningConfig {
            certificate_authorities: vec![service("ca-old", 1, 1, "a"), service("ca", 1, 2, "a")],
            oidc_providers: Vec::new(),
            logs: vec![
                service("v1", 1, 9, "a"),
                service("v2", 2, 1, "a"),
                service("v2-b", 2, 3, "b"),
            ],
            log_selector: Selector::Any,
            timestamp_authorities: vec![service("tsa", 1, 1, "a")],
            timestamp_selector: Selector::Any,
        }
    }

    #[test]
    fn highest_version_newest_first_one_of_an_operator() {
        let mut config = config();
        let selected = config.select(NOW).unwrap();
        assert_eq!(selected.certificate_authority, "ca");
        assert_eq!(selected.logs, [(RekorVersion::V2, "v2-b".to_owned())]);
        config.log_selector = Selector::All;
        assert_eq!(config.select(NOW).unwrap().logs.len(), 2);
        config.log_selector = Selector::Exact(3);
        assert_eq!(
            config.select(NOW).unwrap_err().code(),
            "signing-config-too-few"
        );
        config.log_selector = Selector::Undefined;
        assert_eq!(
            config.select(NOW).unwrap_err().code(),
            "signing-config-invalid"
        );
    }

    #[test]
    fn validity_and_unreleased_versions() {
        let mut config = config();
        for log in &mut config.logs[1..] {
            log.valid_for.end = Some(NOW.plus_seconds(-1));
        }
        assert_eq!(
            config.select(NOW).unwrap().logs,
            [(RekorVersion::V1, "v1".to_owned())]
        );
        config.logs[0].major_api_version = 0;
        assert_eq!(
            config.select(NOW).unwrap_err().code(),
            "signing-config-no-service"
        );
        config.certificate_authorities.clear();
        assert_eq!(
            config.select(NOW).unwrap_err().code(),
            "signing-config-no-service"
        );
    }

    #[test]
    fn rekor_v2_needs_a_timestamp_authority() {
        let mut config = config();
        config.timestamp_authorities.clear();
        assert_eq!(
            config.select(NOW).unwrap_err().code(),
            "signing-config-timestamp-needed"
        );
        config.logs.truncate(1);
        assert!(config.select(NOW).unwrap().timestamp_authorities.is_empty());
    }

    #[test]
    fn files_that_cosign_wrote() {
        for name in ["v1", "v1tsa", "v2"] {
            let path = format!(
                "{}/fixtures/captures/signing_config.{name}.json",
                env!("CARGO_MANIFEST_DIR")
            );
            let config = SigningConfig::parse(&std::fs::read(path).unwrap()).unwrap();
            config.select(NOW).unwrap();
        }
        assert_eq!(
            SigningConfig::parse(b"{}").unwrap_err().code(),
            "signing-config-version"
        );
    }

    #[test]
    fn one_service_of_an_operator_and_as_many_as_asked_for() {
        let mut config = config();
        config.logs = vec![
            service("a1", 2, 1, "a"),
            service("a2", 2, 2, "a"),
            service("b", 2, 3, "b"),
        ];
        let logs = |config: &SigningConfig| -> Vec<String> {
            let selected = config.select(NOW).unwrap().logs;
            selected.into_iter().map(|(_, url)| url).collect()
        };
        config.log_selector = Selector::All;
        assert_eq!(logs(&config), ["b", "a2"]);
        config.log_selector = Selector::Any;
        assert_eq!(logs(&config), ["b"]);
        config.log_selector = Selector::Exact(1);
        assert_eq!(logs(&config), ["b"]);
        config.log_selector = Selector::Exact(2);
        assert_eq!(logs(&config), ["b", "a2"]);
        config.log_selector = Selector::Exact(3);
        let refused = config.select(NOW).unwrap_err();
        assert!(matches!(
            refused,
            SigningConfigError::TooFew {
                expected: 3,
                found: 2,
                ..
            }
        ));
    }

    fn file(more: serde_json::Value) -> String {
        let mut file = serde_json::json!({ "mediaType": MEDIA_TYPE });
        let object = file.as_object_mut().unwrap();
        object.extend(more.as_object().unwrap().clone());
        file.to_string()
    }

    #[test]
    fn selectors_by_name_and_number() {
        for (name, number, expected) in [
            ("SERVICE_SELECTOR_UNDEFINED", 0, Selector::Undefined),
            ("ALL", 1, Selector::All),
            ("ANY", 2, Selector::Any),
            ("EXACT", 3, Selector::Exact(2)),
        ] {
            for selector in [serde_json::json!(name), serde_json::json!(number)] {
                let config = serde_json::json!({ "selector": selector, "count": 2 });
                let text =
                    file(serde_json::json!({ "rekorTlogConfig": config, "tsaConfig": config }));
                let config = SigningConfig::parse(text.as_bytes()).unwrap();
                assert_eq!(
                    (config.log_selector, config.timestamp_selector),
                    (expected, expected)
                );
            }
        }
        for (selector, count) in [(3, 0), (4, 1)] {
            let config = serde_json::json!({ "selector": selector, "count": count });
            let refused =
                SigningConfig::parse(file(serde_json::json!({ "tsaConfig": config })).as_bytes());
            assert_eq!(refused.unwrap_err().code(), "signing-config-invalid");
        }
    }

    #[test]
    fn a_file_has_a_bound() {
        let text = file(serde_json::json!({}));
        let padded = |len: usize| format!("{text}{}", " ".repeat(len - text.len()));
        assert!(SigningConfig::parse(padded(limits::TRUST_FILE_LEN).as_bytes()).is_ok());
        let refused = SigningConfig::parse(padded(limits::TRUST_FILE_LEN + 1).as_bytes());
        assert_eq!(refused.unwrap_err().code(), "signing-config-invalid");
    }

    #[test]
    fn who_has_no_service_learns_which_there_are() {
        let mut config = config();
        let found = |config: &SigningConfig| match config.select(NOW) {
            Err(SigningConfigError::NoService { found, .. }) => found,
            other => panic!("{other:?}"),
        };
        for log in &mut config.logs {
            log.major_api_version = 9;
        }
        assert!(
            found(&config).starts_with("v1 (API 9, valid "),
            "{}",
            found(&config)
        );
        config.logs.clear();
        assert_eq!(found(&config), "none at all");
    }

    #[test]
    fn one_log_of_the_second_version_needs_a_timestamp_authority() {
        let mut config = config();
        config.timestamp_authorities.clear();
        // Versions are never mixed, so all chosen logs are of one.
        config.log_selector = Selector::All;
        let refused = config.select(NOW).unwrap_err();
        assert_eq!(refused.code(), "signing-config-timestamp-needed");
    }
}
