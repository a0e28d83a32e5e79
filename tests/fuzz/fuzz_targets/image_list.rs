#![no_main]

keyless_fuzz::fuzz!(image_list);
