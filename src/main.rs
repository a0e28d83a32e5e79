//! The `keyless` program.

fn main() {}
