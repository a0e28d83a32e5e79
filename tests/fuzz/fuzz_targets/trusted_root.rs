#![no_main]

keyless_fuzz::fuzz!(trusted_root);
