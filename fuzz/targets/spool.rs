#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mohaa_fuzz::spool::check(input));
