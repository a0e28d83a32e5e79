#![no_main]

keyless_fuzz::fuzz!(identity_token);
