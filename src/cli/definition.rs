//! Reads the command line with the arguments of one command defined: the one it begins with.
//!
//! Defining all commands takes longer than most of them need to run. What this definition does not accept, be it
//! an error or a request for help, is read again with all of them, so that messages come from one place.

use std::ffi::OsString;

use clap::{ArgMatches, Args as _, Command, CommandFactory as _, FromArgMatches as _};

use super::{
    Cli, GlobalArguments, attach, attest, attest_blob, bundle, clean, copy, download, help,
    inspect, load, login, policy, sandbox, save, schema, sign, sign_blob, signing_config, tree,
    triangulate, trusted_root, verify, verify_attestation, verify_blob, verify_blob_attestation,
    version,
};

/// A command line as read: what it says, the definition that it was read by, and where each value came from.
pub(super) type Parsed = (Cli, Command, ArgMatches);

/// Reads the command line, the name of the program first.
pub(super) fn parse(arguments: &[OsString]) -> Result<Parsed, clap::Error> {
    let name = arguments.get(1).and_then(|name| name.to_str());
    let read = name.and_then(|name| read_as(name, arguments));
    read.map_or_else(|| read_by(Cli::command(), arguments), Ok)
}

/// Reads the command line as one of the command of this name, if there is one and it accepts all of it.
fn read_as(name: &str, arguments: &[OsString]) -> Option<Parsed> {
    let command = command(name)?;
    let program = GlobalArguments::augment_args(Command::new("keyless"))
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommand(command);
    read_by(program, arguments).ok()
}

fn read_by(mut program: Command, arguments: &[OsString]) -> Result<Parsed, clap::Error> {
    let matches = program.try_get_matches_from_mut(arguments)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut program))?;
    Ok((cli, program, matches))
}

/// Adds the arguments of a command to it.
type Define = fn(Command) -> Command;

/// The commands, and what adds the arguments of each.
const COMMANDS: &[(&str, Define)] = &[
    ("sign", sign::SignArguments::augment_args),
    ("verify", verify::VerifyArguments::augment_args),
    ("sign-blob", sign_blob::SignBlobArguments::augment_args),
    (
        "verify-blob",
        verify_blob::VerifyBlobArguments::augment_args,
    ),
    ("attest", attest::AttestArguments::augment_args),
    (
        "verify-attestation",
        verify_attestation::VerifyAttestationArguments::augment_args,
    ),
    (
        "attest-blob",
        attest_blob::AttestBlobArguments::augment_args,
    ),
    (
        "verify-blob-attestation",
        verify_blob_attestation::VerifyBlobAttestationArguments::augment_args,
    ),
    ("inspect", inspect::InspectArguments::augment_args),
    ("attach", attach::AttachArguments::augment_args),
    ("tree", tree::TreeArguments::augment_args),
    ("download", download::DownloadArguments::augment_args),
    (
        "triangulate",
        triangulate::TriangulateArguments::augment_args,
    ),
    ("copy", copy::CopyArguments::augment_args),
    ("clean", clean::CleanArguments::augment_args),
    ("bundle", bundle::BundleArguments::augment_args),
    ("save", save::SaveArguments::augment_args),
    ("load", load::LoadArguments::augment_args),
    ("policy", policy::PolicyArguments::augment_args),
    ("login", login::LoginArguments::augment_args),
    ("logout", login::LogoutArguments::augment_args),
    (
        "signing-config",
        signing_config::SigningConfigArguments::augment_args,
    ),
    (
        "trusted-root",
        trusted_root::TrustedRootArguments::augment_args,
    ),
    ("sandbox", sandbox::SandboxArguments::augment_args),
    ("schema", schema::SchemaArguments::augment_args),
    ("version", version::VersionArguments::augment_args),
    ("help", help::HelpArguments::augment_args),
];

/// The definition of one command.
fn command(name: &str) -> Option<Command> {
    let &(name, define) = COMMANDS.iter().find(|(known, _)| *known == name)?;
    Some(define(Command::new(name)))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    /// What a command and those below it take, as help and usage tell it.
    fn told(command: &mut Command, path: &str) -> Vec<String> {
        let names: Vec<String> = command
            .get_subcommands()
            .map(|below| below.get_name().to_owned())
            .collect();
        let arguments = command.get_arguments().map(|one| format!("{one:?}"));
        let mut all: Vec<String> = arguments.map(|one| format!("{path}: {one}")).collect();
        all.push(command.render_long_help().to_string());
        for name in names {
            let below = command.find_subcommand_mut(&name).unwrap();
            all.extend(told(below, &format!("{path} {name}")));
        }
        all
    }

    #[test]
    fn each_command_defined_alone_is_the_one_among_all() {
        let mut all = Cli::command();
        let names: Vec<String> = all
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .collect();
        assert!(names.len() >= 27, "{names:?}");
        for name in names {
            let mut alone = command(&name).unwrap_or_else(|| panic!("{name} is not defined alone"));
            let among = all.find_subcommand_mut(&name).unwrap();
            assert_eq!(told(&mut alone, &name), told(among, &name));
        }
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn what_is_read_alone_is_what_is_read_among_all() {
        for line in [
            "keyless version",
            "keyless version --quiet",
            "keyless verify-blob --key k --bundle b f --output-file o",
            "keyless policy init --quiet example.com/a",
            "keyless help errors",
        ] {
            let alone = read_as(line.split(' ').nth(1).unwrap(), &words(line));
            let among = Cli::try_parse_from(words(line)).unwrap();
            assert_eq!(format!("{:?}", alone.expect(line).0), format!("{among:?}"));
        }
    }

    #[test]
    fn what_is_not_accepted_is_told_as_by_the_whole() {
        for line in [
            "keyless",
            "keyless --help",
            "keyless nosuch",
            "keyless --quiet version",
            "keyless version --help",
            "keyless version --version",
            "keyless version extra",
            "keyless verify-blob --kye k",
            "keyless policy",
            "keyless sign help",
        ] {
            let whole = Cli::try_parse_from(words(line));
            let ours = parse(&words(line)).map(|(cli, ..)| cli);
            assert_eq!(format!("{ours:?}"), format!("{whole:?}"), "{line}");
        }
    }
}
