//! Questions to the person at the terminal, whatever standard input and output are connected to.

use std::io;

use crate::crypto::Secret;

/// Longest answer, in bytes.
const MAX_ANSWER: usize = 4096;

/// Asks for a line; what is typed is shown.
///
/// # Errors
/// If there is no terminal, or no answer.
pub fn ask(question: &str) -> io::Result<String> {
    imp::ask(question, true).map(|answer| answer.expose().to_owned())
}

/// Asks for a secret; nothing of what is typed is shown, not even its length.
///
/// # Errors
/// As [`ask`].
pub fn ask_secret(question: &str) -> io::Result<Secret> {
    imp::ask(question, false)
}

#[cfg(unix)]
mod imp {
    use std::fs::File;
    use std::io::{self, Read as _, Write as _};

    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    use super::MAX_ANSWER;
    use crate::crypto::Secret;

    /// Puts a terminal back as it was, whatever happens.
    struct Restore<'a>(&'a File, Termios);

    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            let _ = tcsetattr(self.0, OptionalActions::Flush, &self.1);
            let _ = self.0.write_all(b"\n");
        }
    }

    pub(super) fn ask(question: &str, shown: bool) -> io::Result<Secret> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        // Byte by byte and without signals, so that an interrupt is seen here and leaves the terminal as it was.
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
        let _restore = Restore(&terminal, before);
        (&terminal).write_all(question.as_bytes())?;
        let mut answer = zeroize::Zeroizing::new(Vec::with_capacity(MAX_ANSWER));
        let mut byte = [0];
        loop {
            let ended = (&terminal).read(&mut byte)? == 0;
            match byte[0] {
                _ if ended => return Err(io::ErrorKind::UnexpectedEof.into()),
                b'\r' | b'\n' => break,
                // Ctrl-C, Ctrl-D, Ctrl-\.
                3 | 4 | 28 => return Err(io::ErrorKind::Interrupted.into()),
                8 | 127 => {
                    if answer.pop().is_some() && shown {
                        (&terminal).write_all(b"\x08 \x08")?;
                    }
                }
                // Ctrl-U.
                21 => answer.clear(),
                _ if answer.len() >= MAX_ANSWER => {
                    return Err(io::Error::other("the answer is too long"));
                }
                other => {
                    answer.push(other);
                    if shown {
                        (&terminal).write_all(&[other])?;
                    }
                }
            }
        }
        let text = std::str::from_utf8(&answer).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Secret::new(text.to_owned()))
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io;

    use crate::crypto::Secret;

    pub(super) fn ask(_: &str, _: bool) -> io::Result<Secret> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
