//! Writes the seeds: `seed FOLDER` makes `FOLDER/TARGET/N` and prints, for each target, its name, its longest input,
//! its share of the time and its dictionary.

// Good bundles of every kind, also of those that nobody recorded.
#![allow(dead_code)]
#[path = "../../../forge/asn1.rs"]
mod asn1;
#[path = "../../../forge/certificate.rs"]
mod certificate;
#[path = "../../../forge/forge.rs"]
mod forge;
#[path = "../../../forge/key.rs"]
mod key;
#[path = "../../../forge/log.rs"]
mod log;
#[path = "../../../forge/token.rs"]
mod token;

use std::path::Path;

use forge::Forge;
use keyless_fuzz::targets::seeds::Seeds;
use keyless_fuzz::targets::{ALL, Grammar};

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).expect("usage: seed FOLDER");
    let mut seeds = Seeds::recorded();
    for forged in [
        Forge::stamped1(),
        Forge::envelope1(),
        Forge::envelope2(),
        Forge::logged_twice(),
        Forge::key1(),
        Forge::key2(),
        Forge::key_envelope1(),
        Forge::timeless_key2(),
        Forge::blob2_ecdsa(),
        Forge::unpromised1(),
    ] {
        seeds.bundle(forged.make().bundle.encode().as_bytes());
    }
    for target in ALL {
        let folder = Path::new(&folder).join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.0[target.name].iter().enumerate() {
            std::fs::write(folder.join(number.to_string()), seed)?;
        }
        let dictionary = match target.grammar {
            Grammar::Json | Grammar::Token => "json.dict",
            Grammar::Der => "der.dict",
            Grammar::Text => "text.dict",
            Grammar::Bytes => "-",
        };
        println!(
            "{} {} {} {dictionary}",
            target.name, target.max_len, target.weight
        );
    }
    Ok(())
}
