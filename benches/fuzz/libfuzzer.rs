//! Runs one fuzz target under libFuzzer: `benches/fuzz/run SECONDS TARGET`.

#![no_main]
#![allow(clippy::expect_used, reason = "a fuzz target fails by panicking")]

use std::sync::LazyLock;

use dayport::fuzz::target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("DAYPORT_FUZZ_TARGET").expect("DAYPORT_FUZZ_TARGET names the target");
    target(&name).expect("a target of `src/fuzz`")
});

fuzz_target!(|data: &[u8]| TARGET(data));
