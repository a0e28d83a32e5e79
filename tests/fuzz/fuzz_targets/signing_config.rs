#![no_main]

keyless_fuzz::fuzz!(signing_config);
