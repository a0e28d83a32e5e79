#![no_main]

keyless_fuzz::fuzz!(log_body);
