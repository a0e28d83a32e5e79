//! What clients of the sandbox need: trusted root, signing config, PEM files, environment.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::crypto::{Certificate, Digest, PublicKey, UnixTime};
use crate::format::checkpoint;
use crate::format::protojson::encode_base64;

use super::RekorVersion;
use super::error::SandboxError;
use super::store::{Access, write_file};

/// Who runs the services, in the signing config.
const OPERATOR: &str = "sandbox";

/// Addresses of the services.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    pub(super) oidc: String,
    pub(super) fulcio: String,
    pub(super) ctlog: String,
    pub(super) rekor_v1: String,
    pub(super) rekor_v2: String,
    /// Complete, with its path.
    pub(super) tsa: String,
    pub(super) tuf: String,
    /// `host:port`.
    pub(super) registry: String,
    /// `host:port`.
    pub(super) registry_plain: String,
}

/// Keys and certificates to be trusted, with the addresses they stand behind.
pub(super) struct Material {
    pub(super) addresses: Addresses,
    pub(super) rekor: RekorVersion,
    /// When everything became valid.
    pub(super) start: UnixTime,
    pub(super) rekor_v1_key: PublicKey,
    pub(super) rekor_v2_key: PublicKey,
    /// Name of Rekor v2's checkpoints; part of its key id.
    pub(super) rekor_v2_origin: &'static str,
    pub(super) ctlog_key: PublicKey,
    /// Intermediate, then root.
    pub(super) fulcio_chain: Vec<Certificate>,
    /// Signing certificate, then root.
    pub(super) tsa_chain: Vec<Certificate>,
}

impl Material {
    fn valid_for(&self) -> Value {
        json!({ "start": self.start.rfc3339() })
    }

    fn log(&self, url: &str, key: &PublicKey, details: &str, id: Digest) -> Value {
        json!({
            "baseUrl": url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": encode_base64(key.spki_der()),
                "keyDetails": details,
                "validFor": self.valid_for(),
            },
            "logId": { "keyId": encode_base64(id.as_bytes()) },
        })
    }

    fn authority(&self, url: &str, chain: &[Certificate]) -> Value {
        let certificates: Vec<_> = chain
            .iter()
            .map(|certificate| json!({ "rawBytes": encode_base64(certificate.der()) }))
            .collect();
        // The subject that cosign writes is the anchor's.
        let name = chain.last().map_or("", Certificate::subject_text);
        let part = |key: &str| {
            let found = name.split(',').find_map(|part| part.strip_prefix(key));
            found.unwrap_or_default().to_owned()
        };
        json!({
            "subject": { "organization": part("O="), "commonName": part("CN=") },
            "uri": url,
            "certChain": { "certificates": certificates },
            "validFor": self.valid_for(),
        })
    }

    /// Returns the trusted root, version 0.1: the one that every client reads (`sigstore_trustroot.proto`).
    pub(super) fn trusted_root(&self) -> Value {
        const P256: &str = "PKIX_ECDSA_P256_SHA_256";
        let at = &self.addresses;
        let v2_id = checkpoint::key_id(self.rekor_v2_origin, &self.rekor_v2_key);
        let v1_id = self.rekor_v1_key.fingerprint();
        let ct_id = self.ctlog_key.fingerprint();
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                self.log(&at.rekor_v1, &self.rekor_v1_key, P256, v1_id),
                self.log(&at.rekor_v2, &self.rekor_v2_key, "PKIX_ED25519", v2_id),
            ],
            "certificateAuthorities": [self.authority(&at.fulcio, &self.fulcio_chain)],
            "ctlogs": [self.log(&at.ctlog, &self.ctlog_key, P256, ct_id)],
            "timestampAuthorities": [self.authority(&at.tsa, &self.tsa_chain)],
        })
    }

    /// Returns the signing config, version 0.2, which names one Rekor and the timestamp authority.
    pub(super) fn signing_config(&self) -> Value {
        self.signing_config_for(self.rekor)
    }

    /// Returns the signing config that names the given Rekor.
    pub(super) fn signing_config_for(&self, rekor: RekorVersion) -> Value {
        let service = |url: &str, version: u8| {
            json!([{
                "url": url,
                "majorApiVersion": version,
                "validFor": self.valid_for(),
                "operator": OPERATOR,
            }])
        };
        let at = &self.addresses;
        json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service(&at.fulcio, 1),
            "oidcUrls": service(&at.oidc, 1),
            "rekorTlogUrls": match rekor {
                RekorVersion::V1 => service(&at.rekor_v1, 1),
                RekorVersion::V2 => service(&at.rekor_v2, 2),
            },
            "rekorTlogConfig": { "selector": "ANY" },
            "tsaUrls": service(&at.tsa, 1),
            "tsaConfig": { "selector": "ANY" },
        })
    }

    /// Returns the targets of the TUF repository, by the names that clients ask for.
    pub(super) fn tuf_targets(&self) -> [(&'static str, Vec<u8>); 2] {
        [
            (
                "trusted_root.json",
                pretty(&self.trusted_root()).into_bytes(),
            ),
            (
                "signing_config.v0.2.json",
                pretty(&self.signing_config()).into_bytes(),
            ),
        ]
    }

    /// Returns both in one (`ClientTrustConfig` of `sigstore_trustroot.proto`).
    fn client_trust_config(&self) -> Value {
        json!({
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": self.signing_config(),
        })
    }

    /// Returns the environment of a client; `dir` is where [`Material::write`] put its files.
    pub(super) fn environment(
        &self,
        dir: &Path,
        token: &str,
        identity: &str,
    ) -> Vec<(String, String)> {
        let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let at = &self.addresses;
        let rekor = match self.rekor {
            RekorVersion::V1 => &at.rekor_v1,
            RekorVersion::V2 => &at.rekor_v2,
        };
        let rekor_key = match self.rekor {
            RekorVersion::V1 => "rekor-v1.pub.pem",
            RekorVersion::V2 => "rekor-v2.pub.pem",
        };
        [
            ("SIGSTORE_ID_TOKEN", token.to_owned()),
            ("KEYLESS_TRUSTED_ROOT", file("trusted_root.json")),
            ("KEYLESS_SIGNING_CONFIG", file("signing_config.v0.2.json")),
            ("SANDBOX_DIR", dir.to_string_lossy().into_owned()),
            ("SANDBOX_IDENTITY", identity.to_owned()),
            ("SANDBOX_ISSUER", at.oidc.clone()),
            ("SANDBOX_OIDC_URL", at.oidc.clone()),
            ("SANDBOX_FULCIO_URL", at.fulcio.clone()),
            ("SANDBOX_CTLOG_URL", at.ctlog.clone()),
            ("SANDBOX_REKOR_URL", rekor.clone()),
            ("SANDBOX_REKOR_V1_URL", at.rekor_v1.clone()),
            ("SANDBOX_REKOR_V2_URL", at.rekor_v2.clone()),
            ("SANDBOX_TSA_URL", at.tsa.clone()),
            ("SANDBOX_TUF_URL", at.tuf.clone()),
            ("SANDBOX_TUF_ROOT", file("root.json")),
            ("SANDBOX_REGISTRY", at.registry.clone()),
            ("SANDBOX_REGISTRY_PLAIN", at.registry_plain.clone()),
            ("SANDBOX_CTLOG_KEY", file("ctlog.pub.pem")),
            ("SANDBOX_REKOR_KEY", file(rekor_key)),
            ("SANDBOX_FULCIO_CHAIN", file("fulcio-chain.pem")),
            ("SANDBOX_TSA_CHAIN", file("tsa-chain.pem")),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// Writes every file of a client into a directory, made where it is missing. `root` is the TUF root.
    pub(super) fn write(
        &self,
        dir: &Path,
        root: &[u8],
        environment: &[(String, String)],
    ) -> Result<(), SandboxError> {
        std::fs::create_dir_all(dir).map_err(|source| SandboxError::File {
            path: dir.to_owned(),
            source,
        })?;
        let chain =
            |chain: &[Certificate]| chain.iter().map(Certificate::to_pem).collect::<String>();
        let config = |rekor| pretty(&self.signing_config_for(rekor));
        let files = [
            ("trusted_root.json", pretty(&self.trusted_root())),
            ("signing_config.v0.2.json", pretty(&self.signing_config())),
            ("signing_config.rekor-v1.json", config(RekorVersion::V1)),
            ("signing_config.rekor-v2.json", config(RekorVersion::V2)),
            (
                "client_trust_config.json",
                pretty(&self.client_trust_config()),
            ),
            ("ctlog.pub.pem", self.ctlog_key.to_pem()),
            ("rekor-v1.pub.pem", self.rekor_v1_key.to_pem()),
            ("rekor-v2.pub.pem", self.rekor_v2_key.to_pem()),
            ("fulcio-chain.pem", chain(&self.fulcio_chain)),
            ("tsa-chain.pem", chain(&self.tsa_chain)),
        ];
        for (name, text) in files {
            write_file(&dir.join(name), text.as_bytes(), Access::World)?;
        }
        write_file(&dir.join("root.json"), root, Access::World)?;
        // Holds a token.
        let path: PathBuf = dir.join("sandbox.env");
        write_file(&path, export_lines(environment).as_bytes(), Access::Owner)
    }
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("JSON values serialise");
    text.push('\n');
    text
}

/// Writes `export NAME='value'` lines for a POSIX shell.
pub(super) fn export_lines(environment: &[(String, String)]) -> String {
    environment
        .iter()
        .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_quotes_hold() {
        let value = "it's $HOME `x` \"y\"\nz".to_owned();
        let lines = export_lines(&[("A".to_owned(), value.clone())]);
        let script = format!("{lines}printf %s \"$A\"");
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output();
        assert_eq!(output.unwrap().stdout, value.as_bytes());
    }
}
