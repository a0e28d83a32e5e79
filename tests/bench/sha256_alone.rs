//! Hashes one file with the `sha2` crate and nothing else: the floor that the benchmark measures `keyless` against.
//!
//! ```text
//! sha256_alone FILE [BUFFER-BYTES]
//! ```
#![allow(clippy::print_stdout)] // a program of its own, run by tests/bench/run.py

use std::{fs::File, io::Read};

use sha2::{Digest, Sha256};

/// What `keyless` reads at a time.
const BUFFER: usize = 256 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut file = File::open(
        arguments
            .next()
            .ok_or("usage: sha256_alone FILE [BUFFER-BYTES]")?,
    )?;
    let mut buffer = vec![0; arguments.next().map_or(Ok(BUFFER), |size| size.parse())?];
    let mut hasher = Sha256::new();
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    println!("{}", hex::encode(hasher.finalize()));
    Ok(())
}
