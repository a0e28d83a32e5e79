//! Rego policies in a process of their own: whatever a policy does, it takes no more than it is given.
//!
//! A policy is read and judged by an engine that bounds neither the memory it takes nor the time that its parser
//! takes. So this program never reads a policy itself: it asks itself, as [`answer`], in a process with bounds.

use std::borrow::Cow;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::confined::{self, Bounds, ConfinedError};
use crate::verify::rego::{self, RegoError, RegoPolicy, StatementPolicy};

/// The argument by which this program is told to answer; nobody types it.
pub const ARGUMENT: &str = "__judge-rego";

/// What one judgement may take on the clock; the engine stops by itself after half of it.
const TIME: Duration = Duration::from_secs(10);
/// Memory of one judgement, in bytes: the program, its stack, and what the policy makes.
const MEMORY: u64 = 512 * 1024 * 1024;
/// Memory for each byte of policy and statement, which the engine holds as values.
const MEMORY_PER_BYTE: u64 = 48;
/// Bytes of what is asked, far beyond any statement that is read.
const QUESTION_LEN: u64 = 1024 * 1024 * 1024;

/// What a process is asked.
#[derive(Debug, Serialize, Deserialize)]
struct Question<'a> {
    name: Cow<'a, str>,
    policy: Cow<'a, str>,
    /// What is judged; without it, whether the policy can be used.
    statement: Option<Cow<'a, str>>,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Allowed,
    Refused(String),
    Unusable(RegoError),
}

/// A policy that is read and judged in processes of their own.
#[derive(Debug)]
pub struct ConfinedPolicy {
    name: String,
    text: String,
}

impl ConfinedPolicy {
    /// Takes a policy that can be used. Its name appears in messages.
    ///
    /// # Errors
    /// [`RegoError`].
    pub fn read(name: &str, text: &str) -> Result<Arc<dyn StatementPolicy>, RegoError> {
        rego::check_size(name, text)?;
        let policy = ConfinedPolicy {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        match policy.ask(None) {
            Ok(Answer::Unusable(error)) => Err(error),
            Ok(Answer::Allowed | Answer::Refused(_)) => Ok(Arc::new(policy)),
            Err(error @ ConfinedError::NotStarted(_)) => Err(RegoError::NotRun {
                name: name.to_owned(),
                cause: error.to_string(),
            }),
            Err(error) => Err(RegoError::Unbounded {
                name: name.to_owned(),
                cause: error.to_string(),
            }),
        }
    }

    fn ask(&self, statement: Option<&str>) -> Result<Answer, ConfinedError> {
        let question = Question {
            name: self.name.as_str().into(),
            policy: self.text.as_str().into(),
            statement: statement.map(Cow::from),
        };
        let question = serde_json::to_vec(&question).expect("strings always encode");
        let bounds = Bounds {
            memory: MEMORY + question.len() as u64 * MEMORY_PER_BYTE,
            time: TIME,
        };
        let answer = confined::run(ARGUMENT, question, bounds)?;
        // Cut short, as by a process that ended while it wrote.
        serde_json::from_slice(&answer).map_err(|_| ConfinedError::Memory(bounds.memory))
    }
}

impl StatementPolicy for ConfinedPolicy {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self, statement: &str) -> Result<(), String> {
        match self.ask(Some(statement)) {
            Ok(Answer::Allowed) => Ok(()),
            Ok(Answer::Refused(found)) => Err(found),
            Ok(Answer::Unusable(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Answers, in the process that was started for it, with these arguments after [`ARGUMENT`]: reads the question
/// from standard input and returns the answer. Nothing is returned where there is none.
pub fn answer(mut arguments: impl Iterator<Item = String>) -> Option<Vec<u8>> {
    let memory = arguments.next()?.parse().ok()?;
    let time = Duration::from_secs(arguments.next()?.parse().ok()?);
    confined::confine(Bounds { memory, time }).ok()?;
    let mut question = Vec::new();
    let input = std::io::stdin().lock();
    input.take(QUESTION_LEN).read_to_end(&mut question).ok()?;
    let question: Question<'_> = serde_json::from_slice(&question).ok()?;
    let answer = match RegoPolicy::parse(&question.name, &question.policy) {
        Err(error) => Answer::Unusable(error),
        Ok(policy) => match question.statement {
            None => Answer::Allowed,
            Some(statement) => match policy.judge(&statement) {
                Ok(()) => Answer::Allowed,
                Err(found) => Answer::Refused(found),
            },
        },
    };
    serde_json::to_vec(&answer).ok()
}
