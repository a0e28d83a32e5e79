//! A piece of work in a process of its own, with bounds on its memory and time that the system holds.
//!
//! The process is this program again, with one hidden argument, no environment, and nothing but its input. It
//! bounds itself before it reads anything, and is stopped from outside where it takes too long all the same.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Bytes that such a process may answer.
const ANSWER_LEN: u64 = 64 * 1024;

/// Bounds of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory.
    pub memory: u64,
    /// Time on the clock, and of the processor.
    pub time: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConfinedError {
    /// The process cannot be started.
    #[error("cannot start the process that does it: {0}")]
    NotStarted(io::Error),
    /// It was stopped.
    #[error("it took more than {} seconds", .0.as_secs())]
    Time(Duration),
    /// It came to an end without an answer, as it does when it is given no more memory.
    #[error("it took more than {} MiB of memory, or went too deep", .0 / (1024 * 1024))]
    Memory(u64),
}

/// A process that is stopped when it is let go of.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs this program with one argument, hands it input, and returns what it writes.
///
/// # Errors
/// [`ConfinedError`].
pub fn run(argument: &str, input: Vec<u8>, bounds: Bounds) -> Result<Vec<u8>, ConfinedError> {
    let started = std::env::current_exe().and_then(|program| {
        Command::new(program)
            .arg(argument)
            .arg(bounds.memory.to_string())
            .arg(bounds.time.as_secs().to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    });
    let mut child = Stopped(started.map_err(ConfinedError::NotStarted)?);
    let (stdin, stdout) = (child.0.stdin.take(), child.0.stdout.take());
    let (sender, answer) = channel();
    std::thread::spawn(move || {
        // A process that ends early leaves the rest unread; its answer tells.
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(&input);
        }
        let mut bytes = Vec::new();
        if let Some(stdout) = stdout {
            let _ = stdout.take(ANSWER_LEN).read_to_end(&mut bytes);
        }
        // Nobody listens any more where time has run out.
        let _ = sender.send(bytes);
    });
    match answer.recv_timeout(bounds.time) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        Ok(_) => Err(ended(&mut child.0, bounds)),
        Err(RecvTimeoutError::Timeout) => Err(ConfinedError::Time(bounds.time)),
        Err(RecvTimeoutError::Disconnected) => Err(ended(&mut child.0, bounds)),
    }
}

/// Tells why a process ended without an answer.
fn ended(child: &mut Child, bounds: Bounds) -> ConfinedError {
    #[cfg(unix)]
    if let Ok(status) = child.wait() {
        use std::os::unix::process::ExitStatusExt as _;
        let of_time = [rustix::process::Signal::XCPU, rustix::process::Signal::KILL];
        if of_time
            .iter()
            .any(|signal| status.signal() == Some(signal.as_raw()))
        {
            return ConfinedError::Time(bounds.time);
        }
    }
    let _ = child;
    ConfinedError::Memory(bounds.memory)
}

/// Bounds this process: memory as given, processor time, and no files of what was in memory. Called in the process
/// that [`run`] starts, before it does anything else.
///
/// # Errors
/// The system's, where it does not take the bounds; then nothing may be done.
pub fn confine(bounds: Bounds) -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let limit = |most: u64| Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(Resource::Core, limit(0))?;
        setrlimit(Resource::Cpu, limit(bounds.time.as_secs() + 1))?;
        // Not every system bounds this one.
        let bounded = setrlimit(Resource::As, limit(bounds.memory));
        if cfg!(target_os = "linux") {
            bounded?;
        }
    }
    #[cfg(not(unix))]
    let _ = bounds;
    Ok(())
}
