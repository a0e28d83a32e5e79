//! Looks for a private scalar in the writable memory of a stopped process, from outside.
//!
//! ```text
//! memory_scan PID NAME=POINT[/BASE]…      points of P-256 in SEC1 form, in hex; BASE is the generator G unless given
//! ```
//!
//! Nobody outside knows the scalar, but everybody knows its public point Q = x·G: the public key of the certificate,
//! or for an ECDSA nonce the point whose x coordinate is r. So every 32-byte window w of the memory, at every byte
//! offset, read in both byte orders, is asked whether w·G is Q or −Q (the negated scalar), or R·Q or −R·Q with
//! R = 2²⁵⁶ (the scalar in Montgomery form, as some libraries keep it). The least significant first byte order is
//! also that of 64-bit limbs on this kind of machine. No window is left out for looking unlikely; those of zeroes
//! only are not multiplied, since 0·G is no public key. With another base the same finds the inverse of a nonce k,
//! which gives the key away as well: where R is the nonce's point, (1/k)·R is G.
//!
//! A point multiplication for each window would take hours. Instead, over a piece of memory b, the sums
//! T(i) = Σ_{k<i} b(k)·256^k·G are kept: one addition from a table for each byte. The window at i then has
//! w·256^i·G = T(i+32) − T(i), to be compared with 256^i·Q, which does not depend on the memory and is computed once.
//!
//! The memory is read first, then the line `read …` is printed: the process may go on from there.
//!
//! Exit status: 0 nothing found, 1 found, 2 could not look.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program of its own, run by tests/interop/memory_scan.py

use std::{fs::File, io::Read, os::unix::fs::FileExt, process::ExitCode, time::Instant};

use p256::{
    AffinePoint, ProjectivePoint,
    elliptic_curve::{BatchNormalize, sec1::FromSec1Point},
};

/// Windows that one pass over the tables covers.
const PIECE: usize = 1024;
const WINDOW: usize = 32;
/// Bytes of a piece: its last window reaches beyond it.
const BYTES: usize = PIECE + WINDOW - 1;

struct Target {
    name: String,
    /// `points[i]` = 256^i · the point looked for.
    points: Vec<ProjectivePoint>,
}

struct Scanner {
    /// `table[k * 256 + b]` = b · 256^k · base.
    table: Vec<AffinePoint>,
    targets: Vec<Target>,
}

impl Scanner {
    fn new(base: ProjectivePoint, names: Vec<(String, ProjectivePoint)>) -> Self {
        let mut multiples = Vec::with_capacity(BYTES * 256);
        let mut power = base;
        for _ in 0..BYTES {
            let mut sum = ProjectivePoint::IDENTITY;
            for _ in 0..256 {
                multiples.push(sum);
                sum += power;
            }
            power = sum;
        }
        let targets = names
            .into_iter()
            .flat_map(|(name, point)| {
                let montgomery = powers(point, WINDOW + 1)[WINDOW];
                [
                    (name.clone(), point),
                    (format!("{name}, negated"), -point),
                    (format!("{name}, in Montgomery form"), montgomery),
                    (format!("{name}, in Montgomery form, negated"), -montgomery),
                ]
            })
            .map(|(name, point)| Target {
                name,
                points: powers(point, PIECE),
            })
            .collect();
        let table = ProjectivePoint::batch_normalize(multiples.as_slice());
        Self { table, targets }
    }

    /// Calls `found(offset of the window, target)` for every hit in `bytes`, its windows read least significant byte first.
    fn scan(&self, bytes: &[u8], mut found: impl FnMut(usize, &str)) {
        let mut sums = Vec::with_capacity(bytes.len() + 1);
        let mut sum = ProjectivePoint::IDENTITY;
        sums.push(sum);
        for (k, byte) in bytes.iter().enumerate() {
            if *byte != 0 {
                sum += self.table[k * 256 + usize::from(*byte)];
            }
            sums.push(sum);
        }
        for (i, window) in bytes.windows(WINDOW).enumerate() {
            if window.iter().all(|byte| *byte == 0) {
                continue;
            }
            let point = sums[i + WINDOW] - sums[i];
            for target in &self.targets {
                if point == target.points[i] {
                    found(i, &target.name);
                }
            }
        }
    }
}

/// `[P, 256·P, 256²·P, …]`
fn powers(point: ProjectivePoint, count: usize) -> Vec<ProjectivePoint> {
    std::iter::successors(Some(point), |p| Some((0..8).fold(*p, |q, _| q + q)))
        .take(count)
        .collect()
}

/// The writable mappings of a process: start, end, name.
fn writable(pid: &str) -> Result<Vec<(u64, u64, String)>, String> {
    let mut maps = String::new();
    File::open(format!("/proc/{pid}/maps"))
        .and_then(|mut f| f.read_to_string(&mut maps))
        .map_err(|e| format!("maps: {e}"))?;
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else {
            continue;
        };
        if !rights.starts_with("rw") {
            continue;
        }
        let parse = |text: &str| u64::from_str_radix(text, 16).map_err(|e| format!("maps: {e}"));
        let (start, end) = range.split_once('-').ok_or("maps: no range")?;
        found.push((
            parse(start)?,
            parse(end)?,
            words.nth(3).unwrap_or("anonymous").to_owned(),
        ));
    }
    Ok(found)
}

/// Reads a region page by page; a page that cannot be read counts as absent and is reported as such.
fn read(memory: &File, start: u64, end: u64) -> (Vec<u8>, u64) {
    const PAGE: usize = 4096;
    let mut bytes = vec![0; usize::try_from(end - start).expect("a mapping fits in memory")];
    let mut unread = 0;
    if memory.read_exact_at(&mut bytes, start).is_err() {
        for (n, page) in bytes.chunks_mut(PAGE).enumerate() {
            if memory
                .read_exact_at(page, start + (n * PAGE) as u64)
                .is_err()
            {
                page.fill(0);
                unread += page.len() as u64;
            }
        }
    }
    (bytes, unread)
}

fn point(name: &str, text: &str) -> Result<ProjectivePoint, String> {
    let bytes = hex::decode(text).map_err(|e| format!("{name}: {e}"))?;
    let point = AffinePoint::from_sec1_bytes(&bytes)
        .map_err(|_| format!("{name}: not a point of P-256"))?;
    Ok(point.into())
}

/// One scanner for each base that the arguments name.
fn scanners(arguments: impl Iterator<Item = String>) -> Result<Vec<Scanner>, String> {
    let mut groups: Vec<(ProjectivePoint, Vec<(String, ProjectivePoint)>)> = Vec::new();
    for argument in arguments {
        let (name, points) = argument
            .split_once('=')
            .ok_or("a target is NAME=POINT[/BASE]")?;
        let (target, base) = match points.split_once('/') {
            Some((target, base)) => (point(name, target)?, point(name, base)?),
            None => (point(name, points)?, ProjectivePoint::GENERATOR),
        };
        match groups.iter_mut().find(|(known, _)| *known == base) {
            Some((_, targets)) => targets.push((name.to_owned(), target)),
            None => groups.push((base, vec![(name.to_owned(), target)])),
        }
    }
    if groups.is_empty() {
        return Err("nothing to look for".into());
    }
    Ok(groups
        .into_iter()
        .map(|(base, targets)| Scanner::new(base, targets))
        .collect())
}

struct Region {
    start: u64,
    name: String,
    bytes: Vec<u8>,
}

fn run() -> Result<bool, String> {
    let mut arguments = std::env::args().skip(1);
    let pid = arguments
        .next()
        .ok_or("usage: memory_scan PID NAME=POINT[/BASE]…")?;
    let memory = File::open(format!("/proc/{pid}/mem")).map_err(|e| format!("mem: {e}"))?;
    let (mut regions, mut total, mut unread) = (Vec::new(), 0, 0);
    for (start, end, name) in writable(&pid)? {
        let (bytes, missing) = read(&memory, start, end);
        total += bytes.len();
        unread += missing;
        regions.push(Region { start, name, bytes });
    }
    println!(
        "read {total} bytes in {} writable mappings ({unread} bytes could not be read)",
        regions.len()
    );

    let scanners = scanners(arguments)?;
    let began = Instant::now();
    let (mut hits, mut windows, mut zeroes) = (0, 0u64, 0u64);
    for Region { start, name, bytes } in &regions {
        for (number, at) in (0..bytes.len().saturating_sub(WINDOW - 1))
            .step_by(PIECE)
            .enumerate()
        {
            let piece = &bytes[at..bytes.len().min(at + BYTES)];
            let count = (piece.len() - WINDOW + 1) as u64;
            if piece.iter().all(|byte| *byte == 0) {
                zeroes += count;
                continue;
            }
            windows += count;
            let reversed: Vec<u8> = piece.iter().rev().copied().collect();
            let address = start + (number * PIECE) as u64;
            for scanner in &scanners {
                scanner.scan(piece, |i, target| {
                    hits += 1;
                    println!(
                        "found: {target}, least significant byte first, at {:#x} in {name}",
                        address + i as u64
                    );
                });
                scanner.scan(&reversed, |i, target| {
                    hits += 1;
                    let offset = (piece.len() - WINDOW - i) as u64;
                    println!(
                        "found: {target}, most significant byte first, at {:#x} in {name}",
                        address + offset
                    );
                });
            }
        }
    }
    println!(
        "{windows} windows of {WINDOW} bytes, at every offset, in both byte orders, and {zeroes} in pieces of zeroes only; \
         {hits} found; {:.1} s",
        began.elapsed().as_secs_f64()
    );
    Ok(hits > 0)
}

fn main() -> ExitCode {
    match run() {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(1),
        Err(reason) => {
            eprintln!("memory_scan: {reason}");
            ExitCode::from(2)
        }
    }
}
