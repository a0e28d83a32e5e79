#![no_main]

keyless_fuzz::fuzz!(sct_list);
