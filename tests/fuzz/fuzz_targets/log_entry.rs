#![no_main]

keyless_fuzz::fuzz!(log_entry);
