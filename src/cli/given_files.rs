//! Files that a call reads and writes: what it reads is never replaced by what it writes.
//!
//! Which arguments are files is read off their definitions, so that a new option is covered without a word here.
//! What is found only while reading, such as a file that another one names, is not covered.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command};

use super::arguments::UsageError;
use crate::flow::verify_blob::default_bundle_path;

/// Options that name a file to write, in every command.
const OUTPUTS: [&str; 4] = [
    "output_file",
    "out",
    "output_signature",
    "output_certificate",
];
/// Commands whose option `--bundle` names a file to write; in others it is read.
const WRITE_BUNDLE: [&str; 4] = ["sign", "attest", "sign-blob", "attest-blob"];

/// Refuses a call whose output would replace one of its inputs, before anything is done.
pub(super) fn verify_apart(command: &Command, matches: &ArgMatches) -> Result<(), UsageError> {
    let mut given = Given::default();
    given.collect(command, matches);
    for (output, replaces) in &given.outputs {
        for input in &given.inputs {
            if is_replaced(output, *replaces, input) {
                return Err(UsageError::OutputIsInput {
                    output: output.display().to_string(),
                    input: input.display().to_string(),
                });
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Given {
    inputs: Vec<PathBuf>,
    /// With whether a file that is there would be replaced.
    outputs: Vec<(PathBuf, bool)>,
}

impl Given {
    fn collect(&mut self, command: &Command, matches: &ArgMatches) {
        if let Some((name, matches)) = matches.subcommand()
            && let Some(command) = command.find_subcommand(name)
        {
            return self.collect(command, matches);
        }
        let overwrites = matches.try_get_one::<bool>("overwrite").ok().flatten();
        let overwrites = overwrites.copied().unwrap_or(true);
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            let is_output = OUTPUTS.contains(&id)
                || (id == "bundle" && WRITE_BUNDLE.contains(&command.get_name()));
            for value in values(matches, id) {
                if is_output {
                    let replaces = overwrites || id == "output_file";
                    self.outputs.push((PathBuf::from(value), replaces));
                } else if names_files(argument) {
                    self.add_input(value);
                }
            }
        }
        let files = || {
            let positional = command.get_positionals();
            let given = positional.flat_map(|one| values(matches, one.get_id().as_str()));
            given.map(PathBuf::from)
        };
        if values(matches, "bundle").is_empty() {
            let implied = files().map(|file| default_bundle_path(&file));
            match command.get_name() {
                "sign-blob" => self.outputs.extend(implied.map(|path| (path, overwrites))),
                "verify-blob" => {
                    let older = files().map(|file| file.as_os_str().to_owned());
                    let older = older.map(|mut name| {
                        name.push(".sigstore");
                        PathBuf::from(name)
                    });
                    self.inputs.extend(implied.chain(older));
                }
                _ => {}
            }
        }
    }

    /// Adds a value, and the files within one such as `url=URL,certificate-chain=FILE`.
    fn add_input(&mut self, value: OsString) {
        if let Some(text) = value.to_str() {
            let parts = text.split(',').filter_map(|part| part.split_once('='));
            self.inputs.extend(parts.map(|(_, file)| file.into()));
        }
        self.inputs.push(value.into());
    }
}

fn values(matches: &ArgMatches, id: &str) -> Vec<OsString> {
    let values = matches.try_get_raw(id).ok().flatten();
    values.into_iter().flatten().map(OsString::from).collect()
}

/// Whether the values of an argument may be files, or name some: its name for them says so, or it is no option.
fn names_files(argument: &Arg) -> bool {
    const WORDS: [&str; 5] = ["FILE", "FOLDER", "DIR", "PATH", "SERVICE"];
    let names = argument.get_value_names().unwrap_or_default();
    let says_so = |name: &str| WORDS.iter().any(|word| name.contains(word));
    argument.is_positional() || names.iter().any(|name| says_so(name))
}

/// Whether writing `output` would replace `input`, or something in that folder.
fn is_replaced(output: &Path, replaces: bool, input: &Path) -> bool {
    if input.is_dir() {
        let is_within = place(output).starts_with(place(input));
        return is_within && replaces && output.is_file();
    }
    replaces && output.is_file() && input.is_file() && is_same_file(output, input)
}

/// Whether two paths lead to one file, however they are written: by links of either kind, or by the case of a
/// name where the file system does not tell cases apart.
fn is_same_file(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let number = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.dev(), found.ino()))
        };
        if let (Some(one), Some(other)) = (number(one), number(other)) {
            return one == other;
        }
    }
    place(one) == place(other)
}

/// Where a path leads, with links followed as far as there is something.
fn place(path: &Path) -> PathBuf {
    if let Ok(found) = fs::canonicalize(path) {
        return found;
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return path.to_owned();
    };
    let parent = match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    };
    place(parent).join(name)
}
