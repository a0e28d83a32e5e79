//! Gives every target its good inputs enlarged in every way to a part of what the program reads at most, then those
//! that took longest to the whole of it, and says what took longest: `bounds [TARGET...]`. Fails where an input took a
//! second of CPU time or more.

mod enlarge;

use std::time::Duration;

use enlarge::{Shape, shapes};
use keyless_fuzz::targets::{ALL, seeds::Seeds};
use keyless_fuzz::{MOST_TIME, timed};

/// Shapes that are tried at full length.
const WORST: usize = 12;
/// Length at which all are tried, in bytes: enough for time that grows with the square to stand out.
const PART: usize = 256 * 1024;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let seeds = Seeds::recorded();
    let mut slow = 0;
    println!("target           shapes    at_most  slowest_ms   of_bytes  shape");
    for target in ALL {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == target.name) {
            continue;
        }
        // The first of them is of the most usual kind, the last of the least.
        let list = &seeds.0[target.name];
        let mut all = shapes(target.grammar, &list[0]);
        if list.len() > 1 {
            all.extend(shapes(target.grammar, &list[list.len() - 1]));
        }
        let count = all.len();
        let measure = |shape: Shape, len: usize| {
            let input = shape.build(len);
            (timed(target.run, &input), input.len(), shape)
        };
        let mut measured: Vec<(Duration, usize, Shape)> = all
            .into_iter()
            .map(|shape| measure(shape, target.limit.min(PART)))
            .collect();
        measured.sort_by_key(|(spent, ..)| std::cmp::Reverse(*spent));
        // A reader that measures first would refuse at once what is longer than it reads.
        let whole = target.limit - target.limit / 64;
        let mut worst: Vec<(Duration, usize, Shape)> = measured
            .into_iter()
            .take(WORST)
            .map(|(_, _, shape)| measure(shape, whole))
            .collect();
        worst.sort_by_key(|(spent, ..)| std::cmp::Reverse(*spent));
        for (place, (spent, len, shape)) in worst.iter().enumerate() {
            let is_slow = *spent >= MOST_TIME;
            slow += i32::from(is_slow);
            if is_slow || place == 0 {
                println!(
                    "{:<16} {count:>6} {:>10}  {:>10} {len:>10}  {}{}",
                    target.name,
                    target.limit,
                    spent.as_millis(),
                    if is_slow { "SLOW " } else { "" },
                    shape.name
                );
            }
        }
    }
    println!("{slow} slow inputs");
    std::process::exit(i32::from(slow > 0));
}
