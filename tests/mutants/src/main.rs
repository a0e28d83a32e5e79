//! Copies the four judged folders of `keyless` with every mutant compiled in, each switched on at run time.
//!
//! `keyless-mutants REPOSITORY SCRATCH DROPPED` rewrites `src/{crypto,format,trust,verify}` and `src/lib.rs`
//! from the repository into a scratch copy of it. `DROPPED` is a file of ids, one a line, that do not compile.
//! Beside the copy it writes `mutants.tsv` (number, id, line, change) and `places.tsv` (file, bytes of the
//! output, numbers), by which `run.py` finds the mutant of a compile error. It prints what was passed over.

mod collect;
mod operators;
mod site;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const FOLDERS: [&str; 4] = ["crypto", "format", "trust", "verify"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.file_name().is_some_and(|name| name == "tests.rs") {
            // A module of tests that is too long to stand below what it tests.
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Writes only what is new, so that nothing is rebuilt for nothing.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [repository, scratch, dropped] = arguments.as_slice() else {
        return Err("usage: keyless-mutants REPOSITORY SCRATCH DROPPED".into());
    };
    let dropped = fs::read_to_string(dropped).unwrap_or_default();
    let dropped: BTreeSet<&str> = dropped.lines().collect();
    let mut paths = Vec::new();
    for folder in FOLDERS {
        sources(&repository.join("src").join(folder), &mut paths)?;
    }
    paths.sort();
    let mut found = collect::Found::default();
    let mut table = String::new();
    for path in &paths {
        let source = fs::read_to_string(path)?;
        let relative = path.strip_prefix(repository)?;
        let name = relative.strip_prefix("src")?.display().to_string();
        let mut sites = collect::collect(&mut found, &name, &source, &|id| dropped.contains(id))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        let (text, places) = site::render(&source, &mut sites);
        write(&scratch.join("source").join(relative), &text)?;
        for place in places {
            let numbers: Vec<String> = place.mutants.iter().map(u32::to_string).collect();
            writeln!(
                table,
                "{}\t{}\t{}\t{}",
                relative.display(),
                place.range.start,
                place.range.end,
                numbers.join(",")
            )?;
        }
    }
    let switches = (found.mutants.len() + 1).to_string();
    let mut library = fs::read_to_string(repository.join("src/lib.rs"))?;
    // Behind the module's own documentation, which is the first thing there.
    let head: usize = library
        .split_inclusive('\n')
        .take_while(|line| line.starts_with("//!"))
        .map(str::len)
        .sum();
    library.insert_str(
        head,
        "\n#![allow(warnings, arithmetic_overflow, overflowing_literals, unconditional_panic, unconditional_recursion)]\n",
    );
    library.push_str(&include_str!("switch.rs.txt").replace("@SWITCHES@", &switches));
    write(&scratch.join("source/src/lib.rs"), &library)?;
    write(&scratch.join("places.tsv"), &table)?;
    let mut list = String::new();
    for mutant in &found.mutants {
        writeln!(
            list,
            "{}\t{}\t{}\t{}",
            mutant.number, mutant.id, mutant.line, mutant.change
        )?;
    }
    write(&scratch.join("mutants.tsv"), &list)?;
    println!("{} mutants, {} dropped", found.mutants.len(), dropped.len());
    for (rule, count) in &found.excluded {
        println!("{count} passed over: {rule}");
    }
    Ok(())
}
