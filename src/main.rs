//! The `keyless` program: see [`keyless::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic is a fault of ours: it ends with its own code, whatever thread it happened on.
    let outcome = std::panic::catch_unwind(keyless::cli::main);
    ExitCode::from(
        outcome
            .unwrap_or(keyless::diagnostic::Exit::Internal)
            .code(),
    )
}
