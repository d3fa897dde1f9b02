//! The long run: libFuzzer on the target that the variable `FUZZ_TARGET` names. `tools/fuzz/long-run` starts it.

#![no_main]

use std::sync::OnceLock;

use fastrand::Rng;
use fuzz::Target;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fn target() -> &'static Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    TARGET.get_or_init(|| Target::named(&std::env::var("FUZZ_TARGET").unwrap_or_default()))
}

fuzz_target!(|input: &[u8]| {
    (target().run)(input);
});

// Half of the mutations are libFuzzer's, which follow its coverage; half are ours, which know the format.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Rng::with_seed(seed.into());
    if random.bool() {
        return fuzzer_mutate(data, size, max_size);
    }
    let changed = (target().mutate)(&mut random, &data[..size]);
    let length = changed.len().min(max_size);
    data[..length].copy_from_slice(&changed[..length]);
    length
});
