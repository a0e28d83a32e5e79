//! What was checked, in the order in which it was: a tree that the checks write themselves while they run.
//!
//! A check that did not run writes nothing and is listed as not reached, so the tree cannot claim it.
//! Without `--explain` nothing is recorded, and nothing is formatted.

use crate::diagnostic::Diagnostic;
use crate::verify::{Policy, VerifyError, Waiver};

/// A check by its stable name, what it is in words, and the text that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Kebab-case name; part of the JSON output.
    pub name: &'static str,
    /// In words.
    pub title: &'static str,
    /// Public document and section.
    pub clause: &'static str,
}

const fn step(name: &'static str, title: &'static str, clause: &'static str) -> Step {
    Step {
        name,
        title,
        clause,
    }
}

/// The signature under the signer's key, and that it is about the artifact.
pub const SIGNATURE: Step = step(
    "signature",
    "signature over the artifact",
    "Sigstore Client Spec 4.5",
);
/// The digest that the bundle names, beside the artifact's.
pub const MESSAGE_DIGEST: Step = step(
    "message-digest",
    "digest named by the bundle",
    "Sigstore Client Spec 4.5",
);
/// The signature itself.
pub const KEY_SIGNED: Step = step(
    "key-signed",
    "signature under the signer's key",
    "Sigstore Client Spec 4.5",
);
/// The envelope's payload is a statement.
pub const STATEMENT: Step = step("statement", "in-toto statement", "in-toto Statement v1");
/// The statement is about the artifact.
pub const SUBJECT: Step = step(
    "subject",
    "artifact among the statement's subjects",
    "in-toto Statement v1",
);
/// The payload of an older image signature.
pub const SIMPLE_SIGNING: Step = step(
    "simple-signing",
    "simple signing payload",
    "cosign SIGNATURE_SPEC",
);
/// It is about the artifact.
pub const SIMPLE_SIGNING_IMAGE: Step = step(
    "simple-signing-image",
    "artifact named by the payload",
    "cosign SIGNATURE_SPEC",
);
/// All timestamps.
pub const TIMESTAMPS: Step = step("timestamps", "timestamps", "Sigstore Client Spec 4.2.1");
/// One timestamp.
pub const TIMESTAMP: Step = step("timestamp", "timestamp", "RFC 3161 2.4.2");
/// The timestamp is over this signature.
pub const TIMESTAMP_IMPRINT: Step = step(
    "timestamp-imprint",
    "timestamp is over this signature",
    "RFC 3161 2.4.2",
);
/// The timestamp under one authority of the trusted root.
pub const TIMESTAMP_AUTHORITY: Step = step(
    "timestamp-authority",
    "signed by an authority trusted at that time",
    "RFC 3161 2.3, RFC 5652 5.4, RFC 5816",
);
/// All log entries.
pub const LOG_ENTRIES: Step = step(
    "log-entries",
    "transparency log entries",
    "Sigstore Client Spec 4.4",
);
/// One log entry.
pub const LOG_ENTRY: Step = step("log-entry", "log entry", "Sigstore Client Spec 4.4");
/// The entry's body is about this bundle.
pub const ENTRY_BINDING: Step = step(
    "entry-binding",
    "entry is about this signature, signer and artifact",
    "Sigstore Client Spec 4.4",
);
/// Promise and proof under one period of the log's key.
pub const LOG_KEY: Step = step(
    "log-key",
    "under the log's key of the trusted root",
    "Sigstore Client Spec 4.2.2, 4.6",
);
/// Inclusion promise.
pub const PROMISE: Step = step(
    "inclusion-promise",
    "inclusion promise (signed entry timestamp)",
    "Sigstore Client Spec 4.2.2",
);
/// Checkpoint.
pub const CHECKPOINT: Step = step(
    "checkpoint",
    "checkpoint signed by the log, of the proof's tree",
    "C2SP tlog-checkpoint",
);
/// Inclusion proof.
pub const INCLUSION: Step = step("inclusion-proof", "inclusion proof", "RFC 9162 2.1.3.2");
/// Enough parties.
pub const THRESHOLD: Step = step(
    "threshold",
    "enough distinct operators",
    "Sigstore Client Spec 4.6",
);
/// Times at which the signature existed.
pub const TIMES: Step = step(
    "observed-times",
    "trusted time of signing",
    "Sigstore Client Spec 4.2",
);
/// The log's key at times that others vouch for.
pub const LOG_AT_TIMES: Step = step(
    "log-at-times",
    "log trusted at the times others vouch for",
    "Sigstore Client Spec 6",
);
/// Profile and path of the certificate.
pub const CERTIFICATE: Step = step("certificate", "certificate", "Sigstore Client Spec 4.3");
/// What the leaf may be used for.
pub const PROFILE: Step = step(
    "certificate-profile",
    "certificate is a signer's",
    "RFC 5280 4.2.1.3, 4.2.1.9, 4.2.1.12",
);
/// A path at one time.
pub const PATH: Step = step(
    "certificate-path",
    "path to a trusted authority",
    "RFC 5280 6.1",
);
/// Promises of CT logs.
pub const SCTS: Step = step(
    "signed-certificate-timestamps",
    "promises that the certificate is public",
    "RFC 6962 3.2",
);
/// One promise of a CT log.
pub const SCT: Step = step(
    "signed-certificate-timestamp",
    "promise of a CT log",
    "RFC 6962 3.2",
);
/// What was signed is what is asked for.
pub const CONTENT: Step = step("content", "what was signed", "policy");
/// Who signed is who is asked for.
pub const SIGNER: Step = step("signer", "who signed", "policy, Sigstore Client Spec 4.3");

/// The predicate says what it must; asked for by `--require` and `--policy FILE.rego`.
pub const PREDICATE: Step = step("predicate", "what the predicate says", "policy");

/// The steps of a verdict on a certificate, in order; those that did not run are listed as not reached.
const OF_CERTIFICATE: [Step; 8] = [
    SIGNATURE,
    TIMESTAMPS,
    LOG_ENTRIES,
    TIMES,
    CERTIFICATE,
    SCTS,
    CONTENT,
    SIGNER,
];
/// The same for a managed key.
const OF_KEY: [Step; 6] = [SIGNATURE, TIMESTAMPS, LOG_ENTRIES, TIMES, CONTENT, SIGNER];

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It held.
    Passed,
    /// It refused the bundle.
    Refused {
        /// The error's code.
        code: &'static str,
        /// Its message.
        message: String,
    },
    /// What was looked at is no evidence; the verdict does not rest on it.
    NotCounted {
        /// The error's code, where a check did not hold.
        code: Option<&'static str>,
        /// Why.
        reason: String,
    },
    /// It was waived on request, and did not run.
    Waived(Waiver),
    /// An earlier check refused first.
    NotReached,
}

/// One check of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Which check.
    pub step: Step,
    /// What it was made on: a log's address, a time.
    pub about: Option<String>,
    /// What was expected and what was found.
    pub facts: Vec<(&'static str, String)>,
    /// How it ended.
    pub outcome: Outcome,
    /// Its parts.
    pub parts: Vec<Check>,
    /// One of several ways; its refusal alone refuses nothing.
    is_attempt: bool,
}

impl Check {
    fn new(step: Step) -> Self {
        Check {
            step,
            about: None,
            facts: Vec::new(),
            outcome: Outcome::NotReached,
            parts: Vec::new(),
            is_attempt: false,
        }
    }

    /// Marks a refusal, and those within, as what the verdict does not rest on.
    fn demote(&mut self) {
        if let Outcome::Refused { code, message } = &self.outcome {
            self.outcome = Outcome::NotCounted {
                code: Some(code),
                reason: message.clone(),
            };
            self.parts.iter_mut().for_each(Check::demote);
        }
    }
}

/// The checks of one verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    checks: Vec<Check>,
}

impl Explanation {
    /// Returns the checks at the root of the tree.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// Where checks write what they do; writes nothing unless asked to.
#[derive(Debug)]
pub struct Trail {
    /// The checks under way, outermost first; the first is the root. Empty where nothing is recorded.
    open: Vec<Check>,
}

/// Returns the waiver that can stand in a step's place.
fn waiver_of(step: Step) -> Option<Waiver> {
    match step {
        LOG_ENTRIES => Some(Waiver::TransparencyLog),
        SCTS => Some(Waiver::SignedCertificateTimestamp),
        _ => None,
    }
}

const ROOT: Step = step("verdict", "verdict", "");

impl Trail {
    /// Records nothing.
    pub fn off() -> Self {
        Trail { open: Vec::new() }
    }

    /// Records.
    pub(super) fn recording() -> Self {
        Trail {
            open: vec![Check::new(ROOT)],
        }
    }

    fn current(&mut self) -> Option<&mut Check> {
        self.open.last_mut()
    }

    /// Runs a check; its error refuses the bundle.
    pub(super) fn check<T>(
        &mut self,
        step: Step,
        run: impl FnOnce(&mut Trail) -> Result<T, VerifyError>,
    ) -> Result<T, VerifyError> {
        self.run(Check::new(step), run)
    }

    /// Runs a check that is one of several ways; its error alone does not refuse the bundle. Whether it did
    /// is known when the check around it ends.
    pub(super) fn attempt<T>(
        &mut self,
        step: Step,
        run: impl FnOnce(&mut Trail) -> Result<T, VerifyError>,
    ) -> Result<T, VerifyError> {
        let mut check = Check::new(step);
        check.is_attempt = true;
        self.run(check, run)
    }

    fn run<T>(
        &mut self,
        check: Check,
        run: impl FnOnce(&mut Trail) -> Result<T, VerifyError>,
    ) -> Result<T, VerifyError> {
        if self.open.is_empty() {
            return run(self);
        }
        self.open.push(check);
        let result = run(self);
        if let Some(mut check) = self.open.pop() {
            match &result {
                Ok(_) => {
                    if matches!(check.outcome, Outcome::NotReached) {
                        check.outcome = Outcome::Passed;
                    }
                    // Another way held.
                    let attempts = check.parts.iter_mut().filter(|part| part.is_attempt);
                    attempts.for_each(Check::demote);
                }
                Err(error) => {
                    check.outcome = Outcome::Refused {
                        code: error.code(),
                        message: error.to_string(),
                    };
                    // The innermost check has the facts; those around it would repeat them.
                    let told = |part: &Check| !matches!(part.outcome, Outcome::Passed);
                    if !check.parts.iter().any(told) {
                        check.facts.extend(error.details());
                    }
                }
            }
            self.push(check);
        }
        result
    }

    fn push(&mut self, check: Check) {
        if let Some(parent) = self.current() {
            parent.parts.push(check);
        }
    }

    /// Says what the check under way is made on.
    pub(super) fn about(&mut self, text: impl FnOnce() -> String) {
        if let Some(check) = self.current() {
            check.about = Some(text());
        }
    }

    /// Adds a fact to the check under way.
    pub(super) fn fact(&mut self, name: &'static str, value: impl FnOnce() -> String) {
        if let Some(check) = self.current() {
            check.facts.push((name, value()));
        }
    }

    /// Says that what the check under way looks at is no evidence.
    pub(super) fn not_counted(&mut self, reason: &str) {
        if let Some(check) = self.current() {
            let (code, reason) = (None, reason.to_owned());
            check.outcome = Outcome::NotCounted { code, reason };
        }
    }

    /// Lists a check that was waived.
    pub(super) fn waived(&mut self, step: Step, waiver: Waiver) {
        let mut check = Check::new(step);
        check.outcome = Outcome::Waived(waiver);
        self.push(check);
    }

    /// Ends the recording. Steps that did not run are listed as waived, or as not reached.
    pub(super) fn finish(mut self, has_certificate: bool, policy: &Policy) -> Explanation {
        let mut checks = self.open.pop().map(|root| root.parts).unwrap_or_default();
        let steps: &[Step] = if has_certificate {
            &OF_CERTIFICATE
        } else {
            &OF_KEY
        };
        for step in steps {
            if checks.iter().any(|check| check.step == *step) {
                continue;
            }
            let mut check = Check::new(*step);
            if let Some(waiver) = waiver_of(*step).and_then(|waiver| policy.waiver(waiver)) {
                check.outcome = Outcome::Waived(waiver);
            }
            checks.push(check);
        }
        if !policy.predicate_checks().is_empty()
            && !checks.iter().any(|check| check.step == PREDICATE)
        {
            checks.push(Check::new(PREDICATE));
        }
        Explanation { checks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_no_refusal_where_another_way_held_and_a_check_stays_one() {
        let mut trail = Trail::recording();
        let refuse = |_: &mut Trail| Err::<(), _>(VerifyError::SignatureInvalid);
        let held = trail.check(SIGNATURE, |trail| {
            let _ = trail.check(STATEMENT, refuse);
            let _ = trail.attempt(SUBJECT, |trail| trail.check(KEY_SIGNED, refuse));
            trail.attempt(SUBJECT, |_| Ok(()))
        });
        assert_eq!(held, Ok(()));
        let [signature] = &trail.open[0].parts[..] else {
            panic!("{trail:?}");
        };
        assert_eq!(signature.outcome, Outcome::Passed);
        let [checked, attempted, passed] = &signature.parts[..] else {
            panic!("{signature:?}");
        };
        let code = "signature-invalid";
        let is_refused =
            |check: &Check| matches!(check.outcome, Outcome::Refused { code: c, .. } if c == code);
        let is_demoted = |check: &Check| matches!(check.outcome, Outcome::NotCounted { code: Some(c), .. } if c == code);
        assert!(is_refused(checked), "{checked:?}");
        assert!(
            is_demoted(attempted) && is_demoted(&attempted.parts[0]),
            "{attempted:?}"
        );
        assert_eq!(passed.outcome, Outcome::Passed);
    }
}
