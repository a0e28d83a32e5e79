#![no_main]

keyless_fuzz::fuzz!(oci_manifest);
