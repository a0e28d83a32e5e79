#![no_main]

keyless_fuzz::fuzz!(legacy);
