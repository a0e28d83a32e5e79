//! The fuzz targets of `tests/fuzz`, over their seeds and over what fuzzing has found. The fuzzing itself is
//! `tests/fuzz/run.sh`.

use std::path::Path;

#[path = "fuzz/src/targets/mod.rs"]
#[allow(dead_code)] // lengths and shares of time are for the fuzzer
mod targets;

use targets::seeds::Seeds;

#[test]
fn every_target_takes_its_seeds() {
    let seeds = Seeds::recorded();
    for target in targets::ALL {
        let seeds = &seeds.0[target.name];
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        seeds.iter().for_each(|seed| (target.run)(seed));
    }
    assert_eq!(seeds.0.len(), targets::ALL.len(), "seeds of no target");
}

/// Files of `tests/fuzz/found/TARGET`, each an input that once did harm.
#[test]
fn what_was_found_does_no_harm() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/found");
    for target in targets::ALL {
        let Ok(inputs) = std::fs::read_dir(found.join(target.name)) else {
            continue;
        };
        for input in inputs {
            let path = input.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            let run = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(run.is_ok(), "{}", path.display());
        }
    }
}
