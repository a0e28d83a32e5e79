//! `trusted_root.json` (`sigstore_trustroot.proto`): authorities and logs, each with the time it was trusted for.

use serde::Deserialize;

use crate::crypto::certificate::CertificateError;
use crate::crypto::{Certificate, PublicKey, TimeRange, UnixTime};
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::limits;
use crate::format::protojson::{Bounded, Bytes, EnumValue, null_as_default};

/// Media type written here, the only one that every client reads.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
const MEDIA_TYPES: [&str; 3] = [
    MEDIA_TYPE,
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];

/// Why a trusted root was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustedRootError {
    /// Not JSON, or not the message.
    #[error("malformed trusted root: {reason}")]
    Json {
        /// Parser's message.
        reason: String,
    },
    /// Another media type.
    #[error("unsupported trusted root media type {found:?}")]
    UnsupportedVersion {
        /// Media type found.
        found: String,
    },
    /// A rule of `sigstore_trustroot.proto` is broken.
    #[error("invalid trusted root: {rule}")]
    Rule {
        /// The rule, as a fact about this file.
        rule: &'static str,
    },
    /// A certificate cannot be read.
    #[error("trusted root certificate: {0}")]
    Certificate(#[from] CertificateError),
}

impl Diagnostic for TrustedRootError {
    fn code(&self) -> &'static str {
        match self {
            TrustedRootError::Json { .. } => "trusted-root-malformed",
            TrustedRootError::UnsupportedVersion { .. } => "trusted-root-version",
            TrustedRootError::Rule { .. } => "trusted-root-invalid",
            TrustedRootError::Certificate(_) => "trusted-root-certificate",
        }
    }

    fn exit(&self) -> Exit {
        Exit::TrustMaterial
    }

    fn hint(&self) -> Option<String> {
        Some("make one with `keyless trusted-root create`".to_owned())
    }
}

/// A transparency log or CT log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogInstance {
    /// Address as written in the file.
    pub base_url: String,
    /// The log's key.
    pub public_key: PublicKey,
    /// When that key was trusted.
    pub valid_for: TimeRange,
    /// Key id by which entries and SCTs name the log.
    pub log_id: Vec<u8>,
    /// Who runs it, where the file says so.
    pub operator: Option<String>,
}

impl LogInstance {
    /// Returns what counts as one for a threshold: the operator, or the log itself.
    pub fn party(&self) -> String {
        match &self.operator {
            Some(operator) if !operator.is_empty() => operator.clone(),
            _ => hex::encode(&self.log_id),
        }
    }
}

/// A certificate authority: Fulcio's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateAuthority {
    /// Address as written in the file.
    pub uri: String,
    /// Issuer of leaves first, the anchor last.
    pub chain: Vec<Certificate>,
    /// When it was trusted.
    pub valid_for: TimeRange,
    /// Who runs it, where the file says so.
    pub operator: Option<String>,
}

/// A timestamp authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampAuthority {
    /// Address as written in the file.
    pub uri: String,
    /// The signer's certificate.
    pub leaf: Certificate,
    /// Its issuers, the anchor last; empty if the leaf itself is the anchor.
    pub issuers: Vec<Certificate>,
    /// When it was trusted.
    pub valid_for: TimeRange,
    /// Who runs it, where the file says so.
    pub operator: Option<String>,
}

impl TimestampAuthority {
    /// Returns what counts as one for a threshold: operator, address, or certificate subject.
    pub fn party(&self) -> String {
        match &self.operator {
            Some(operator) if !operator.is_empty() => operator.clone(),
            _ if !self.uri.is_empty() => self.uri.clone(),
            _ => self.leaf.subject_text().to_owned(),
        }
    }
}

/// A parsed trusted root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedRoot {
    /// Transparency logs.
    pub logs: Vec<LogInstance>,
    /// Certificate authorities.
    pub certificate_authorities: Vec<CertificateAuthority>,
    /// Certificate transparency logs.
    pub ct_logs: Vec<LogInstance>,
    /// Timestamp authorities.
    pub timestamp_authorities: Vec<TimestampAuthority>,
    /// Instances that were passed over because this program cannot use them.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(alias = "media_type", default, deserialize_with = "null_as_default")]
    media_type: String,
    #[serde(default)]
    tlogs: Instances<WireLog>,
    #[serde(alias = "certificate_authorities", default)]
    certificate_authorities: Instances<WireAuthority>,
    #[serde(default)]
    ctlogs: Instances<WireLog>,
    #[serde(alias = "timestamp_authorities", default)]
    timestamp_authorities: Instances<WireAuthority>,
}

type Instances<T> = Bounded<T, { limits::TRUST_INSTANCES }>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLog {
    #[serde(alias = "base_url", default, deserialize_with = "null_as_default")]
    base_url: String,
    #[serde(alias = "hash_algorithm")]
    hash_algorithm: Option<EnumValue>,
    #[serde(alias = "public_key")]
    public_key: Option<WireKey>,
    #[serde(alias = "log_id")]
    log_id: Option<WireLogId>,
    #[serde(default)]
    operator: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireKey {
    #[serde(alias = "raw_bytes", default, deserialize_with = "null_as_default")]
    raw_bytes: Bytes,
    #[serde(alias = "key_details")]
    key_details: Option<EnumValue>,
    #[serde(alias = "valid_for")]
    valid_for: Option<WireRange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLogId {
    #[serde(alias = "key_id", default, deserialize_with = "null_as_default")]
    key_id: Bytes,
}

#[derive(Deserialize)]
struct WireRange {
    start: Option<String>,
    end: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAuthority {
    #[serde(default, deserialize_with = "null_as_default")]
    uri: String,
    #[serde(alias = "cert_chain")]
    cert_chain: Option<WireChain>,
    #[serde(alias = "valid_for")]
    valid_for: Option<WireRange>,
    #[serde(default)]
    operator: Option<String>,
}

#[derive(Deserialize)]
struct WireChain {
    #[serde(default)]
    certificates: Bounded<WireCertificate, { limits::CHAIN_CERTIFICATES }>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCertificate {
    #[serde(alias = "raw_bytes", default, deserialize_with = "null_as_default")]
    raw_bytes: Bytes,
}

const fn rule<T>(rule: &'static str) -> Result<T, TrustedRootError> {
    Err(TrustedRootError::Rule { rule })
}

fn operator(name: Option<String>) -> Option<String> {
    name.filter(|name| !name.is_empty())
}

impl WireRange {
    fn range(self) -> Result<Option<TimeRange>, TrustedRootError> {
        let time = |text: &str| match UnixTime::parse_rfc3339(text) {
            Some(time) => Ok(time),
            None => rule("a validFor time is not RFC 3339"),
        };
        let end = self.end.as_deref().map(time).transpose()?;
        Ok(self
            .start
            .as_deref()
            .map(time)
            .transpose()?
            .map(|start| TimeRange { start, end }))
    }
}

fn range(wire: Option<WireRange>, missing: &'static str) -> Result<TimeRange, TrustedRootError> {
    match wire.map(WireRange::range).transpose()?.flatten() {
        Some(range) => Ok(range),
        None => rule(missing),
    }
}

impl TrustedRoot {
    /// Parses a trusted root. Unknown members are passed over; instances whose key or hash this program
    /// cannot use are left out with a warning.
    ///
    /// # Errors
    /// [`TrustedRootError`]; a log without the start of its validity refuses the whole file.
    pub fn parse(json: &[u8]) -> Result<Self, TrustedRootError> {
        if json.len() > limits::TRUST_FILE_LEN {
            return rule("the file is larger than 4 MiB");
        }
        let wire: Wire = serde_json::from_slice(json).map_err(|e| TrustedRootError::Json {
            reason: e.to_string(),
        })?;
        if !MEDIA_TYPES.contains(&wire.media_type.as_str()) {
            let found = wire.media_type.chars().take(120).collect();
            return Err(TrustedRootError::UnsupportedVersion { found });
        }
        let mut root = TrustedRoot::default();
        for wire in wire.tlogs.0 {
            let parsed = log(wire, &mut root.warnings)?;
            root.logs.extend(parsed);
        }
        for wire in wire.ctlogs.0 {
            let parsed = log(wire, &mut root.warnings)?;
            root.ct_logs.extend(parsed);
        }
        for wire in wire.certificate_authorities.0 {
            let valid_for = range(
                wire.valid_for,
                "a certificate authority has no validFor.start",
            )?;
            let chain = chain(wire.cert_chain)?;
            root.certificate_authorities.push(CertificateAuthority {
                uri: wire.uri,
                chain,
                valid_for,
                operator: operator(wire.operator),
            });
        }
        for wire in wire.timestamp_authorities.0 {
            let valid_for = range(
                wire.valid_for,
                "a timestamp authority has no validFor.start",
            )?;
            let mut issuers = chain(wire.cert_chain)?;
            if issuers[0].is_ca() {
                root.warnings.push(format!(
                    "timestamp authority {} has no leaf certificate; not used",
                    wire.uri
                ));
                continue;
            }
            let leaf = issuers.remove(0);
            root.timestamp_authorities.push(TimestampAuthority {
                uri: wire.uri,
                leaf,
                issuers,
                valid_for,
                operator: operator(wire.operator),
            });
        }
        Ok(root)
    }
}

fn chain(wire: Option<WireChain>) -> Result<Vec<Certificate>, TrustedRootError> {
    let wire = wire.map(|chain| chain.certificates.0).unwrap_or_default();
    if wire.is_empty() {
        return rule("an authority has no certificates");
    }
    Ok(wire
        .iter()
        .map(|c| Certificate::from_der(&c.raw_bytes))
        .collect::<Result<_, _>>()?)
}

fn log(wire: WireLog, warnings: &mut Vec<String>) -> Result<Option<LogInstance>, TrustedRootError> {
    let (Some(key), Some(log_id)) = (wire.public_key, wire.log_id) else {
        return rule("a log has no publicKey or no logId");
    };
    let valid_for = range(key.valid_for, "a log key has no validFor.start")?;
    let mut unusable = |what: &str| {
        warnings.push(format!("log {} {what}; not used", wire.base_url));
        Ok(None)
    };
    let sha256 = wire
        .hash_algorithm
        .as_ref()
        .is_none_or(|hash| hash.find(&[("SHA2_256", 1, ())]).is_some());
    if !sha256 {
        return unusable("does not hash with SHA-256");
    }
    let pkcs1 = [("PKCS1_RSA_PKCS1V5", 1, ())];
    let parsed = match key
        .key_details
        .as_ref()
        .and_then(|details| details.find(&pkcs1))
    {
        Some(()) => PublicKey::from_pkcs1_der(&key.raw_bytes),
        None => PublicKey::from_spki_der(&key.raw_bytes),
    };
    let Ok(public_key) = parsed else {
        return unusable("has a key that this program cannot use");
    };
    if log_id.key_id.len() != 32 {
        return unusable("has a logId that has not 32 bytes");
    }
    Ok(Some(LogInstance {
        base_url: wire.base_url,
        public_key,
        valid_for,
        log_id: log_id.key_id.0,
        operator: operator(wire.operator),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture() -> String {
        std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/captures/trusted_root.json"
        ))
        .unwrap()
    }

    #[test]
    fn the_root_that_cosign_wrote() {
        let root = TrustedRoot::parse(capture().as_bytes()).unwrap();
        assert_eq!(root.logs.len(), 2);
        assert_eq!(root.certificate_authorities[0].chain.len(), 2);
        assert_eq!(root.timestamp_authorities[0].issuers.len(), 1);
        assert!(root.warnings.is_empty());
    }

    #[test]
    fn a_log_without_start_refuses_the_file() {
        let without = capture().replacen("\"start\"", "\"begin\"", 1);
        assert_eq!(
            TrustedRoot::parse(without.as_bytes()).unwrap_err().code(),
            "trusted-root-invalid"
        );
        let newer = capture().replace("version=0.1", "version=0.9");
        assert_eq!(
            TrustedRoot::parse(newer.as_bytes()).unwrap_err().code(),
            "trusted-root-version"
        );
        assert_eq!(
            TrustedRoot::parse(b"{").unwrap_err().code(),
            "trusted-root-malformed"
        );
    }

    #[test]
    fn a_party_is_its_operator_or_what_stands_for_it() {
        let mut root = TrustedRoot::parse(capture().as_bytes()).unwrap();
        let log = &mut root.logs[0];
        log.operator = None;
        assert_eq!(log.party(), hex::encode(&log.log_id));
        log.operator = Some("op".to_owned());
        assert_eq!(log.party(), "op");
        let authority = &mut root.timestamp_authorities[0];
        authority.operator = Some("op".to_owned());
        assert_eq!(authority.party(), "op");
        authority.operator = Some(String::new());
        authority.uri = "https://tsa.test".to_owned();
        assert_eq!(authority.party(), "https://tsa.test");
        authority.uri = String::new();
        assert_eq!(authority.party(), authority.leaf.subject_text());
        assert!(!authority.party().is_empty());
    }

    #[test]
    fn an_operator_without_a_name_is_none() {
        let with = |operator: &str| {
            let text = capture().replace(
                "\"baseUrl\"",
                &format!("\"operator\":{operator},\"baseUrl\""),
            );
            TrustedRoot::parse(text.as_bytes()).unwrap().logs[0]
                .operator
                .clone()
        };
        assert_eq!(with("\"op\"").as_deref(), Some("op"));
        assert_eq!(with("\"\""), None);
        assert_eq!(with("null"), None);
    }

    #[test]
    fn a_file_has_a_bound() {
        let text = capture();
        let padded = |len: usize| format!("{text}{}", " ".repeat(len - text.len()));
        assert!(TrustedRoot::parse(padded(limits::TRUST_FILE_LEN).as_bytes()).is_ok());
        let refused = TrustedRoot::parse(padded(limits::TRUST_FILE_LEN + 1).as_bytes());
        assert_eq!(refused.unwrap_err().code(), "trusted-root-invalid");
    }

    fn changed(
        change: impl FnOnce(&mut serde_json::Value),
    ) -> Result<TrustedRoot, TrustedRootError> {
        let mut root = serde_json::from_str(&capture()).unwrap();
        change(&mut root);
        TrustedRoot::parse(root.to_string().as_bytes())
    }

    #[test]
    fn what_cannot_be_used_is_left_out_and_told() {
        use crate::crypto::key::KeyKind;
        use serde_json::json;
        let logs = |change: fn(&mut serde_json::Value)| {
            let root = changed(|root| change(&mut root["tlogs"][0])).unwrap();
            (root.logs.len(), root.warnings)
        };
        let unused = |why: &str| {
            (
                1,
                vec![format!("log http://127.0.0.1:25300 {why}; not used")],
            )
        };
        for usable in [
            (|log| log["hashAlgorithm"] = json!(1)) as fn(&mut serde_json::Value),
            |log| drop(log.as_object_mut().unwrap().remove("hashAlgorithm")),
        ] {
            assert_eq!(logs(usable), (2, Vec::new()));
        }
        for other in [
            (|log| log["hashAlgorithm"] = json!("SHA2_512")) as fn(&mut serde_json::Value),
            |log| log["hashAlgorithm"] = json!(2),
        ] {
            assert_eq!(logs(other), unused("does not hash with SHA-256"));
        }
        let short = unused("has a logId that has not 32 bytes");
        assert_eq!(logs(|log| log["logId"]["keyId"] = json!("AAAA")), short);
        let key = unused("has a key that this program cannot use");
        assert_eq!(
            logs(|log| log["publicKey"]["rawBytes"] = json!("AAAA")),
            key
        );

        let kind = |details: serde_json::Value| {
            let root = changed(|root| root["tlogs"][0]["publicKey"]["keyDetails"] = details);
            root.unwrap().logs[0].public_key.kind()
        };
        assert_eq!(
            kind(json!("PKCS1_RSA_PKCS1V5")),
            KeyKind::Rsa,
            "taken at its word"
        );
        assert_eq!(kind(json!(1)), KeyKind::Rsa);
        assert_eq!(kind(json!(2)), KeyKind::EcdsaP256);

        let root = changed(|root| {
            let chain = &mut root["timestampAuthorities"][0]["certChain"]["certificates"];
            chain.as_array_mut().unwrap().remove(0);
        })
        .unwrap();
        assert!(root.timestamp_authorities.is_empty());
        assert!(root.warnings[0].ends_with("has no leaf certificate; not used"));
    }

    #[test]
    fn an_authority_has_certificates() {
        let refused = Err(TrustedRootError::Rule {
            rule: "an authority has no certificates",
        });
        for list in ["certificateAuthorities", "timestampAuthorities"] {
            for chain in ["null", r#"{"certificates":[]}"#, "{}"] {
                let chain: serde_json::Value = serde_json::from_str(chain).unwrap();
                assert_eq!(changed(|root| root[list][0]["certChain"] = chain), refused);
            }
        }
    }
}
