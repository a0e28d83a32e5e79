//! `keyless signing-config create` and `keyless trusted-root create`: the files of a private instance, from
//! the same flags as cosign 3 has and equal to its output, apart from the empty `tsaConfig` and
//! `rekorTlogConfig` that other clients refuse (protobuf-specs, `sigstore_trustroot.proto`).

use std::path::Path;

use der::Decode as _;
use serde_json::{Map, Value, json};
use x509_cert::name::Name;

use crate::crypto::key::KeyError;
use crate::crypto::{Certificate, PublicKey, UnixTime};
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::checkpoint::key_id;
use crate::format::limits;
use crate::format::log_entry::key_details;
use crate::format::protojson::encode_base64;
use crate::host::files::{FileError, read_bounded};
use crate::trust::{embedded, signing_config, trusted_root};

/// Why a file was not made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    /// A service specification is malformed.
    #[error("--{flag}: {problem}")]
    Specification {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A key or certificate file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
}

impl Diagnostic for AuthorError {
    fn code(&self) -> &'static str {
        match self {
            AuthorError::Specification { .. } => "service-specification",
            AuthorError::File(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            AuthorError::Specification { .. } => Exit::Usage,
            AuthorError::File(error) => error.exit(),
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            AuthorError::Specification { .. } => Vec::new(),
            AuthorError::File(error) => error.details(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            AuthorError::Specification { .. } => Some(
                "a service is a list such as url=https://h,start-time=2024-01-01T00:00:00Z"
                    .to_owned(),
            ),
            AuthorError::File(error) => error.hint(),
        }
    }
}

fn wrong<T>(flag: &'static str, problem: impl Into<String>) -> Result<T, AuthorError> {
    Err(AuthorError::Specification {
        flag,
        problem: problem.into(),
    })
}

/// A flag's `key=value,key=value`; values cannot hold commas.
struct Specification {
    flag: &'static str,
    pairs: Vec<(String, String)>,
}

impl Specification {
    fn parse(flag: &'static str, text: &str, known: &[&str]) -> Result<Self, AuthorError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in text.split(',') {
            let Some((key, value)) = part.split_once('=') else {
                return wrong(flag, format!("{part:?} is not key=value"));
            };
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            if !known.contains(&key.as_str()) {
                return wrong(
                    flag,
                    format!("unknown key {key:?}; known are {}", known.join(", ")),
                );
            }
            if pairs.iter().any(|(seen, _)| *seen == key) {
                return wrong(flag, format!("key {key:?} is given twice"));
            }
            pairs.push((key, value));
        }
        Ok(Specification { flag, pairs })
    }

    fn optional(&self, key: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }

    fn required(&self, key: &str) -> Result<&str, AuthorError> {
        match self.optional(key) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => wrong(self.flag, format!("key {key:?} is missing")),
        }
    }

    fn time(&self, key: &str) -> Result<Option<UnixTime>, AuthorError> {
        match self.optional(key) {
            None => Ok(None),
            Some(text) => match UnixTime::parse_rfc3339(text) {
                Some(time) => Ok(Some(time)),
                None => wrong(self.flag, format!("{key} {text:?} is not an RFC 3339 time")),
            },
        }
    }

    /// `validFor`, from `start-time` and `end-time`; `default` where the start may be left out.
    fn valid_for(&self, default: Option<UnixTime>) -> Result<Value, AuthorError> {
        let Some(start) = self.time("start-time")?.or(default) else {
            return wrong(self.flag, "key \"start-time\" is missing");
        };
        let mut valid_for = json!({ "start": timestamp(start) });
        if let Some(end) = self.time("end-time")? {
            if end < start {
                return wrong(self.flag, "end-time lies before start-time");
            }
            valid_for["end"] = timestamp(end).into();
        }
        Ok(valid_for)
    }
}

/// Writes a time as protojson does: UTC, with no, three, six or nine digits of fraction.
fn timestamp(time: UnixTime) -> String {
    let text = time.rfc3339();
    match text.trim_end_matches('Z').split_once('.') {
        None => text,
        Some((whole, fraction)) => {
            let digits = fraction.len().div_ceil(3) * 3;
            format!("{whole}.{fraction:0<digits$}Z")
        }
    }
}

/// What `signing-config create` is asked for; each service as given.
#[derive(Debug, Default)]
pub struct SigningConfigRequest {
    /// `--fulcio`.
    pub fulcio: Vec<String>,
    /// `--oidc-provider`.
    pub oidc_provider: Vec<String>,
    /// `--rekor`.
    pub rekor: Vec<String>,
    /// `--rekor-config`.
    pub rekor_config: Option<String>,
    /// `--tsa`.
    pub tsa: Vec<String>,
    /// `--tsa-config`.
    pub tsa_config: Option<String>,
    /// `--with-default-services`: start from the public-good instance.
    pub with_default_services: bool,
    /// Sections of the default that are left out: `fulcio`, `oidc`, `rekor`, `tsa`.
    pub without: Vec<&'static str>,
}

/// Makes a signing config of version 0.2.
///
/// # Errors
/// [`AuthorError`].
pub fn signing_config(request: &SigningConfigRequest) -> Result<String, AuthorError> {
    let base: Value = if request.with_default_services {
        parsed(embedded::SIGNING_CONFIG)
    } else {
        json!({})
    };
    let section = |flag: &'static str, name: &str, given: &[String], kind: &str| {
        let services: Vec<Value> = given
            .iter()
            .map(|text| service(flag, text))
            .collect::<Result<_, _>>()?;
        Ok::<_, AuthorError>(
            match (services.is_empty(), request.without.contains(&kind)) {
                (false, _) => Some(Value::from(services)),
                (true, true) => None,
                (true, false) => base.get(name).cloned(),
            },
        )
    };
    let config = |flag: &'static str,
                  service_flag,
                  name: &str,
                  given: &[String],
                  text: &Option<String>,
                  kind: &str| {
        match text {
            Some(text) => selector(flag, text).map(Some),
            None if !given.is_empty() => wrong(
                flag,
                format!("is needed together with --{service_flag}: ANY, ALL or EXACT:<count>"),
            ),
            None if request.without.contains(&kind) => Ok(None),
            None => Ok(base.get(name).cloned()),
        }
    };
    let members = [
        (
            "caUrls",
            section("fulcio", "caUrls", &request.fulcio, "fulcio")?,
        ),
        (
            "oidcUrls",
            section("oidc-provider", "oidcUrls", &request.oidc_provider, "oidc")?,
        ),
        (
            "rekorTlogUrls",
            section("rekor", "rekorTlogUrls", &request.rekor, "rekor")?,
        ),
        ("tsaUrls", section("tsa", "tsaUrls", &request.tsa, "tsa")?),
        (
            "rekorTlogConfig",
            config(
                "rekor-config",
                "rekor",
                "rekorTlogConfig",
                &request.rekor,
                &request.rekor_config,
                "rekor",
            )?,
        ),
        (
            "tsaConfig",
            config(
                "tsa-config",
                "tsa",
                "tsaConfig",
                &request.tsa,
                &request.tsa_config,
                "tsa",
            )?,
        ),
    ];
    Ok(assemble(signing_config::MEDIA_TYPE, members))
}

fn parsed(embedded: &[u8]) -> Value {
    serde_json::from_slice(embedded).expect("the embedded files are parsed by a test")
}

fn assemble<const N: usize>(media_type: &str, members: [(&str, Option<Value>); N]) -> String {
    let mut file = Map::new();
    file.insert("mediaType".to_owned(), media_type.into());
    for (name, value) in members {
        if let Some(value) = value {
            file.insert(name.to_owned(), value);
        }
    }
    Value::from(file).to_string()
}

fn service(flag: &'static str, text: &str) -> Result<Value, AuthorError> {
    let known = ["url", "api-version", "start-time", "end-time", "operator"];
    let specification = Specification::parse(flag, text, &known)?;
    let version = specification.required("api-version")?;
    let Ok(version) = version.parse::<u32>() else {
        return wrong(flag, format!("api-version {version:?} is not a number"));
    };
    Ok(json!({
        "url": specification.required("url")?,
        "majorApiVersion": version,
        "validFor": specification.valid_for(None)?,
        "operator": specification.required("operator")?,
    }))
}

fn selector(flag: &'static str, text: &str) -> Result<Value, AuthorError> {
    let upper = text.trim().to_ascii_uppercase();
    if upper == "ANY" || upper == "ALL" {
        return Ok(json!({ "selector": upper }));
    }
    let count = upper
        .strip_prefix("EXACT:")
        .and_then(|count| count.parse::<u32>().ok());
    match count {
        Some(count) if count > 0 => Ok(json!({ "selector": "EXACT", "count": count })),
        _ => wrong(flag, format!("{text:?} is not ANY, ALL or EXACT:<count>")),
    }
}

/// What `trusted-root create` is asked for; each service as given.
#[derive(Debug, Default)]
pub struct TrustedRootRequest {
    /// `--fulcio`.
    pub fulcio: Vec<String>,
    /// `--rekor`.
    pub rekor: Vec<String>,
    /// `--ctfe`.
    pub ctfe: Vec<String>,
    /// `--tsa`.
    pub tsa: Vec<String>,
    /// `--with-default-services`: start from the public-good instance.
    pub with_default_services: bool,
    /// Sections of the default that are left out: `fulcio`, `rekor`, `ctfe`, `tsa`.
    pub without: Vec<&'static str>,
}

/// Makes a trusted root; reads the keys and certificates that the flags name.
///
/// # Errors
/// [`AuthorError`].
pub fn trusted_root(request: &TrustedRootRequest) -> Result<String, AuthorError> {
    let base: Value = if request.with_default_services {
        parsed(embedded::TRUSTED_ROOT)
    } else {
        json!({})
    };
    type Maker = fn(&'static str, &str) -> Result<Value, AuthorError>;
    let section = |flag: &'static str, name: &str, given: &[String], make: Maker| {
        let made: Vec<Value> = given
            .iter()
            .map(|text| make(flag, text))
            .collect::<Result<_, _>>()?;
        Ok::<_, AuthorError>(match (made.is_empty(), request.without.contains(&flag)) {
            (false, _) => Some(Value::from(made)),
            (true, true) => None,
            (true, false) => base.get(name).cloned(),
        })
    };
    let members = [
        ("tlogs", section("rekor", "tlogs", &request.rekor, log)?),
        (
            "certificateAuthorities",
            section(
                "fulcio",
                "certificateAuthorities",
                &request.fulcio,
                certificate_authority,
            )?,
        ),
        ("ctlogs", section("ctfe", "ctlogs", &request.ctfe, log)?),
        (
            "timestampAuthorities",
            section(
                "tsa",
                "timestampAuthorities",
                &request.tsa,
                timestamp_authority,
            )?,
        ),
    ];
    Ok(assemble(trusted_root::MEDIA_TYPE, members))
}

fn read_text(flag: &'static str, path: &str) -> Result<String, AuthorError> {
    let bytes = read_bounded(Path::new(path), limits::PEM_LEN as u64)?;
    String::from_utf8(bytes).or_else(|_| wrong(flag, format!("{path} is not PEM")))
}

fn log(flag: &'static str, text: &str) -> Result<Value, AuthorError> {
    let known = ["url", "public-key", "start-time", "end-time", "origin"];
    let specification = Specification::parse(flag, text, &known)?;
    let path = specification.required("public-key")?;
    let key = PublicKey::from_pem(&read_text(flag, path)?)
        .or_else(|error: KeyError| wrong(flag, format!("{path}: {error}")))?;
    let id = match specification.optional("origin") {
        Some(origin) if !origin.is_empty() => key_id(origin, &key),
        _ => key.fingerprint(),
    };
    let details = match key.kind() {
        crate::crypto::key::KeyKind::Ed25519 => "PKIX_ED25519",
        _ => key_details(&key),
    };
    Ok(json!({
        "baseUrl": specification.required("url")?,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": encode_base64(key.spki_der()),
            "keyDetails": details,
            "validFor": specification.valid_for(None)?,
        },
        "logId": { "keyId": encode_base64(id.as_bytes()) },
    }))
}

fn chain(specification: &Specification) -> Result<Vec<Certificate>, AuthorError> {
    let flag = specification.flag;
    let path = specification.required("certificate-chain")?;
    Certificate::chain_from_pem(&read_text(flag, path)?, limits::CHAIN_CERTIFICATES)
        .or_else(|error| wrong(flag, format!("{path}: {error}")))
}

fn certificate_authority(flag: &'static str, text: &str) -> Result<Value, AuthorError> {
    let known = ["url", "certificate-chain", "start-time", "end-time"];
    let specification = Specification::parse(flag, text, &known)?;
    let chain = chain(&specification)?;
    if let Some(leaf) = chain.iter().find(|certificate| !certificate.is_ca()) {
        return wrong(
            flag,
            format!("{:?} is not a CA certificate", leaf.subject_text()),
        );
    }
    let anchor = chain.last().map(|anchor| anchor.validity().start);
    authority(&specification, &chain, anchor)
}

fn timestamp_authority(flag: &'static str, text: &str) -> Result<Value, AuthorError> {
    let known = ["url", "certificate-chain", "start-time", "end-time"];
    let specification = Specification::parse(flag, text, &known)?;
    let chain = chain(&specification)?;
    if chain[0].is_ca() {
        return wrong(flag, "the first certificate must be the signer's, not a CA");
    }
    let start = chain[0].validity().start;
    authority(&specification, &chain, Some(start))
}

fn authority(
    specification: &Specification,
    chain: &[Certificate],
    start: Option<UnixTime>,
) -> Result<Value, AuthorError> {
    let certificates: Vec<Value> = chain
        .iter()
        .map(|c| json!({ "rawBytes": encode_base64(c.der()) }))
        .collect();
    Ok(json!({
        "subject": subject(chain.last()),
        "uri": specification.required("url")?,
        "certChain": { "certificates": certificates },
        "validFor": specification.valid_for(start)?,
    }))
}

/// Organization and common name of a certificate's subject.
fn subject(certificate: Option<&Certificate>) -> Value {
    const ORGANIZATION: &str = "2.5.4.10";
    const COMMON_NAME: &str = "2.5.4.3";
    let mut subject = Map::new();
    let name = certificate.and_then(|certificate| Name::from_der(certificate.subject()).ok());
    for attribute in name.iter().flat_map(|name| name.iter()) {
        let key = match attribute.oid.to_string().as_str() {
            ORGANIZATION => "organization",
            COMMON_NAME => "commonName",
            _ => continue,
        };
        if let Ok(text) = std::str::from_utf8(attribute.value.value()) {
            subject.entry(key).or_insert_with(|| text.into());
        }
    }
    // In the message's own order.
    let mut ordered = Map::new();
    for key in ["organization", "commonName"] {
        if let Some(value) = subject.remove(key) {
            ordered.insert(key.to_owned(), value);
        }
    }
    ordered.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::SigningConfig;

    const FULCIO: &str = "url=https://fulcio.example.com,api-version=1,start-time=2024-01-01T00:00:00Z,operator=example.com";

    #[test]
    fn the_documented_command() {
        let request = SigningConfigRequest {
            fulcio: vec![FULCIO.to_owned()],
            rekor: vec![
                FULCIO
                    .replace("fulcio", "rekor")
                    .replace("version=1", "version=2"),
            ],
            rekor_config: Some("ANY".to_owned()),
            tsa: vec![FULCIO.replace("fulcio", "tsa")],
            tsa_config: Some("exact:2".to_owned()),
            ..Default::default()
        };
        let json = signing_config(&request).unwrap();
        let config = SigningConfig::parse(json.as_bytes()).unwrap();
        assert_eq!(
            config.timestamp_selector,
            signing_config::Selector::Exact(2)
        );
        assert_eq!(config.logs[0].major_api_version, 2);
    }

    #[test]
    fn what_is_not_said_is_not_written() {
        let request = SigningConfigRequest {
            fulcio: vec![FULCIO.to_owned()],
            ..Default::default()
        };
        let file: Value = serde_json::from_str(&signing_config(&request).unwrap()).unwrap();
        assert_eq!(file.as_object().unwrap().len(), 2);
    }

    #[test]
    fn malformed_specifications() {
        let code = |fulcio: &str, rekor: Vec<String>, config: Option<&str>| {
            let request = SigningConfigRequest {
                fulcio: vec![fulcio.to_owned()],
                rekor,
                rekor_config: config.map(str::to_owned),
                ..Default::default()
            };
            signing_config(&request).unwrap_err().to_string()
        };
        assert!(code("url", Vec::new(), None).contains("key=value"));
        assert!(code("url=x,url=y", Vec::new(), None).contains("twice"));
        assert!(code("url=x,colour=y", Vec::new(), None).contains("unknown key"));
        assert!(
            code(&FULCIO.replace("version=1", "version=x"), Vec::new(), None)
                .contains("not a number")
        );
        assert!(code(&FULCIO.replace("2024-", ""), Vec::new(), None).contains("RFC 3339"));
        assert!(
            code(
                &FULCIO.replace(",operator=example.com", ""),
                Vec::new(),
                None
            )
            .contains("operator")
        );
        assert!(code(FULCIO, vec![FULCIO.to_owned()], None).contains("is needed"));
        for bad in ["ANY:1", "EXACT", "EXACT:0", "EXACT:x", ""] {
            assert!(
                code(FULCIO, vec![FULCIO.to_owned()], Some(bad)).contains("not ANY"),
                "{bad}"
            );
        }
    }

    #[test]
    fn times_as_protojson_writes_them() {
        let write = |text: &str| timestamp(UnixTime::parse_rfc3339(text).unwrap());
        assert_eq!(
            write("2024-01-01T00:00:00.5+01:00"),
            "2023-12-31T23:00:00.500Z"
        );
        assert_eq!(write("2024-01-01T00:00:00Z"), "2024-01-01T00:00:00Z");
        assert_eq!(
            write("2024-01-01T00:00:00.1234Z"),
            "2024-01-01T00:00:00.123400Z"
        );
    }
}
