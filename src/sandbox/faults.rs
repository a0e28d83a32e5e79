//! Faults to switch on: what a hostile or failing service would do.
//!
//! Each is spelled `NAME` or `NAME=VALUE` on the command line. A fault changes one thing; all other
//! answers stay good, so a test sees the refusal it is about.

use std::str::FromStr;
use std::time::Duration;

use super::error::SandboxError;
use super::registry::{MANNERS, Manner};
use super::request_log::Service;

/// Services that the general faults can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Struck {
    /// The certificate authority.
    Fulcio,
    /// Both transparency logs.
    Rekor,
    /// The timestamp authority.
    Tsa,
    /// Both registries.
    Registry,
}

impl Struck {
    const ALL: [Struck; 4] = [Struck::Fulcio, Struck::Rekor, Struck::Tsa, Struck::Registry];

    fn name(self) -> &'static str {
        match self {
            Struck::Fulcio => "fulcio",
            Struck::Rekor => "rekor",
            Struck::Tsa => "tsa",
            Struck::Registry => "registry",
        }
    }

    fn covers(self, service: Service) -> bool {
        match self {
            Struck::Fulcio => service == Service::Fulcio,
            Struck::Rekor => matches!(service, Service::RekorV1 | Service::RekorV2),
            Struck::Tsa => service == Service::Tsa,
            Struck::Registry => matches!(service, Service::Registry | Service::RegistryPlain),
        }
    }
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `SERVICE-slow=SECONDS`: every answer comes late.
    Slow(Struck, Duration),
    /// `SERVICE-5xx[=N]`: 503 to every request, or to the first N.
    Unavailable(Struck, Option<u32>),
    /// `SERVICE-garbage`: an HTML page with a success status.
    Garbage(Struck),
    /// `SERVICE-lost-reply`: the first POST (of a registry: the first manifest's PUT) is carried out, then
    /// the connection is cut.
    LostReply(Struck),
    /// `SERVICE-huge`: an endless body.
    Huge(Struck),
    /// `registry-MANNER`: both registries have this manner.
    Manner(Manner),
    /// One of the plain ones.
    Plain(PlainFault),
}

/// Faults that take no value and belong to one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainFault {
    /// The certificate names somebody else.
    FulcioWrongIdentity,
    /// The certificate names another issuer.
    FulcioWrongIssuer,
    /// The certificate is for another key.
    FulcioWrongKey,
    /// The embedded SCT's signature does not verify.
    FulcioBadSct,
    /// The certificate carries no SCT, and none comes beside it.
    FulcioNoSct,
    /// The SCT comes beside the certificate instead of inside. Legal; Fulcio does so for some CAs.
    FulcioDetachedSct,
    /// The certificate was valid until ten minutes ago.
    FulcioExpiredCert,
    /// The signed entry timestamp is for another entry.
    RekorBadSet,
    /// One hash of the inclusion proof is changed.
    RekorBadProof,
    /// The entry returned is not the one proposed.
    RekorWrongBody,
    /// The checkpoint is signed by another key.
    RekorBadCheckpoint,
    /// 201 without Location and ETag.
    RekorNoHeaders,
    /// The log takes no new entries (Rekor v2: 405).
    RekorFrozen,
    /// The imprint is of other bytes.
    TsaWrongImprint,
    /// The nonce is not the one sent.
    TsaWrongNonce,
    /// The request is rejected: PKIStatus 2, no token.
    TsaStatus2,
    /// The signing certificate's extended key usage is not critical.
    TsaNotCriticalEku,
    /// The signing certificate may sign code too.
    TsaTwoEkus,
    /// No ESSCertIDv2 attribute.
    TsaNoSigningCertificate,
    /// 201 instead of 200. Legal; Sigstore's authority can be configured so.
    Tsa201,
}

const PLAIN: [(&str, PlainFault); 20] = [
    ("fulcio-wrong-identity", PlainFault::FulcioWrongIdentity),
    ("fulcio-wrong-issuer", PlainFault::FulcioWrongIssuer),
    ("fulcio-wrong-key", PlainFault::FulcioWrongKey),
    ("fulcio-bad-sct", PlainFault::FulcioBadSct),
    ("fulcio-no-sct", PlainFault::FulcioNoSct),
    ("fulcio-detached-sct", PlainFault::FulcioDetachedSct),
    ("fulcio-expired-cert", PlainFault::FulcioExpiredCert),
    ("rekor-bad-set", PlainFault::RekorBadSet),
    ("rekor-bad-proof", PlainFault::RekorBadProof),
    ("rekor-wrong-body", PlainFault::RekorWrongBody),
    ("rekor-bad-checkpoint", PlainFault::RekorBadCheckpoint),
    ("rekor-no-headers", PlainFault::RekorNoHeaders),
    ("rekor-frozen", PlainFault::RekorFrozen),
    ("tsa-wrong-imprint", PlainFault::TsaWrongImprint),
    ("tsa-wrong-nonce", PlainFault::TsaWrongNonce),
    ("tsa-status-2", PlainFault::TsaStatus2),
    ("tsa-not-critical-eku", PlainFault::TsaNotCriticalEku),
    ("tsa-two-ekus", PlainFault::TsaTwoEkus),
    (
        "tsa-no-signing-certificate",
        PlainFault::TsaNoSigningCertificate,
    ),
    ("tsa-201", PlainFault::Tsa201),
];

/// General faults, spelled after the service's name.
const GENERAL: [&str; 5] = ["slow", "5xx", "garbage", "lost-reply", "huge"];

impl Fault {
    /// Every name that may be given, values left out.
    pub fn names() -> impl Iterator<Item = String> {
        let general = Struck::ALL
            .into_iter()
            .flat_map(|struck| GENERAL.map(|kind| format!("{}-{kind}", struck.name())));
        let manners = MANNERS.iter().map(|(name, _)| format!("registry-{name}"));
        let plain = PLAIN.iter().map(|(name, _)| (*name).to_owned());
        general.chain(plain).chain(manners)
    }
}

impl FromStr for Fault {
    type Err = SandboxError;

    /// Parses `fulcio-slow=2`, `rekor-5xx`, `rekor-5xx=1`, `tsa-garbage` and so on.
    fn from_str(text: &str) -> Result<Self, SandboxError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let unknown = || SandboxError::UnknownFault {
            found: text.to_owned(),
        };
        let needs = |needs| SandboxError::FaultValue {
            found: text.to_owned(),
            needs,
        };
        if let Some((_, plain)) = PLAIN.iter().find(|(plain, _)| *plain == name) {
            return match value {
                None => Ok(Fault::Plain(*plain)),
                Some(_) => Err(needs("no value")),
            };
        }
        let manner = name.strip_prefix("registry-").map(Manner::from_str);
        if let Some(Ok(manner)) = manner {
            return match value {
                None => Ok(Fault::Manner(manner)),
                Some(_) => Err(needs("no value")),
            };
        }
        let (struck, kind) = Struck::ALL
            .into_iter()
            .find_map(|struck| {
                let kind = name.strip_prefix(struck.name())?.strip_prefix('-')?;
                Some((struck, kind))
            })
            .ok_or_else(unknown)?;
        let fault = match (kind, value) {
            ("slow", value) => {
                let seconds: f64 = value
                    .and_then(|v| v.parse().ok())
                    .filter(|s| (0.0..86_400.0).contains(s))
                    .ok_or_else(|| needs("a number of seconds: NAME=SECONDS"))?;
                return Ok(Fault::Slow(struck, Duration::from_secs_f64(seconds)));
            }
            ("5xx", None) => return Ok(Fault::Unavailable(struck, None)),
            ("5xx", Some(value)) => {
                let first = value
                    .parse()
                    .map_err(|_| needs("a number of requests: NAME=N"))?;
                return Ok(Fault::Unavailable(struck, Some(first)));
            }
            ("garbage", _) => Fault::Garbage(struck),
            ("lost-reply", _) => Fault::LostReply(struck),
            ("huge", _) => Fault::Huge(struck),
            _ => return Err(unknown()),
        };
        match value {
            None => Ok(fault),
            Some(_) => Err(needs("no value")),
        }
    }
}

/// The faults of one sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// No faults.
    pub fn none() -> Self {
        Faults::default()
    }

    /// Adds a fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.0.push(fault);
        self
    }

    /// Parses a list of `NAME[=VALUE]`.
    ///
    /// # Errors
    /// [`SandboxError::UnknownFault`] and [`SandboxError::FaultValue`].
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, SandboxError> {
        let faults: Result<_, _> = texts.iter().map(|text| text.as_ref().parse()).collect();
        Ok(Faults(faults?))
    }

    /// Returns whether a plain fault is on.
    pub(super) fn has(&self, fault: PlainFault) -> bool {
        self.0.contains(&Fault::Plain(fault))
    }

    /// Returns the general faults that strike a service.
    pub(super) fn general(&self, service: Service) -> impl Iterator<Item = &Fault> {
        self.0.iter().filter(move |fault| match fault {
            Fault::Slow(struck, _)
            | Fault::Unavailable(struck, _)
            | Fault::Garbage(struck)
            | Fault::LostReply(struck)
            | Fault::Huge(struck) => struck.covers(service),
            Fault::Plain(_) | Fault::Manner(_) => false,
        })
    }

    /// Returns the manners of the registries.
    pub(super) fn manners(&self) -> impl Iterator<Item = Manner> {
        self.0.iter().filter_map(|fault| match fault {
            Fault::Manner(manner) => Some(*manner),
            _ => None,
        })
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Faults(faults.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostic as _;

    #[test]
    fn every_listed_name_parses() {
        for name in Fault::names() {
            let text = match name.ends_with("-slow") {
                true => format!("{name}=0.5"),
                false => name,
            };
            text.parse::<Fault>().unwrap();
        }
        assert_eq!(
            "rekor-5xx=2".parse::<Fault>().unwrap(),
            Fault::Unavailable(Struck::Rekor, Some(2))
        );
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for (text, code) in [
            ("rekor", "sandbox-unknown-fault"),
            ("fulcio-bad-checkpoint", "sandbox-unknown-fault"),
            ("fulcio-slow", "sandbox-fault-value"),
            ("fulcio-slow=-1", "sandbox-fault-value"),
            ("fulcio-5xx=x", "sandbox-fault-value"),
            ("tsa-garbage=1", "sandbox-fault-value"),
            ("fulcio-no-sct=1", "sandbox-fault-value"),
        ] {
            assert_eq!(text.parse::<Fault>().unwrap_err().code(), code, "{text}");
        }
    }

    #[test]
    fn rekor_faults_strike_both_versions() {
        let faults = Faults::parse(&["rekor-garbage"]).unwrap();
        assert_eq!(faults.general(Service::RekorV1).count(), 1);
        assert_eq!(faults.general(Service::RekorV2).count(), 1);
        assert_eq!(faults.general(Service::Fulcio).count(), 0);
    }
}
