//! Fuzz targets over everything in `keyless` that reads bytes from outside. README.md says how to run them.

pub mod mutate;
pub mod targets;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Most CPU time that one input may take. Time on the wall would count what else the machine does.
pub const MOST_TIME: Duration = Duration::from_secs(1);

/// Runs a target over one input and returns the CPU time it took.
pub fn timed(run: fn(&[u8]), data: &[u8]) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(
            time.tv_sec.unsigned_abs(),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    };
    let began = now();
    run(data);
    now() - began
}

/// Runs a target over one input, which must not take long.
pub fn run(target: &targets::Target, data: &[u8]) {
    let spent = timed(target.run, data);
    assert!(
        spent < MOST_TIME,
        "{} took {spent:?} for {} bytes",
        target.name,
        data.len()
    );
}

/// The program that fuzzes one target.
#[macro_export]
macro_rules! fuzz {
    ($target:ident) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            keyless_fuzz::run(&keyless_fuzz::targets::$target::TARGET, data);
        });
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            keyless_fuzz::mutate::mutate(
                &keyless_fuzz::targets::$target::TARGET,
                data,
                size,
                max_size,
                seed,
            )
        });
    };
}
