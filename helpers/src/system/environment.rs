//! What a result was computed with: versions, threads, processor, and the code itself.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

/// What a result was computed with: versions, threads, processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Threads that libtorch computes with.
    pub threads: usize,
    /// The processor's name as the system reports it, or its architecture if it has none.
    #[serde(default)]
    pub processor: String,
    /// The widest instructions of this processor that libtorch's kernels can use, such as `AVX512_BF16`; followed by
    /// `AMX_BF16` where the processor also multiplies bf16 matrices in tiles, which rounds in another order.
    pub cpu_capability: String,
    /// Version of each part that numbers depend on.
    pub versions: BTreeMap<String, String>,
}

impl Environment {
    /// The environment of this process.
    pub fn current() -> Environment {
        let versions = [
            ("helpers", env!("CARGO_PKG_VERSION")),
            ("tch", option_env!("TCH_VERSION").unwrap_or("unknown")),
            ("libtorch", option_env!("LIBTORCH_VERSION").unwrap_or("unknown")),
            ("rustc", option_env!("RUSTC_VERSION").unwrap_or("unknown")),
        ];
        // Only Linux has this file; elsewhere the name is unknown.
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Environment {
            threads: usize::try_from(tch::get_num_threads()).unwrap_or(1),
            processor: named(&cpu_info, "model name").unwrap_or(std::env::consts::ARCH).to_owned(),
            cpu_capability: capabilities(cpu_capability(), &cpu_info),
            versions: versions.map(|(part, version)| (part.to_owned(), version.to_owned())).into(),
        }
    }
}

/// The first value of this name in `/proc/cpuinfo`.
fn named<'a>(cpu_info: &'a str, name: &str) -> Option<&'a str> {
    let values = cpu_info.lines().filter_map(|line| line.split_once(':'));
    values.filter(|(found, _)| found.trim() == name).map(|(_, value)| value.trim()).next()
}

/// `widest`, and AMX if the flags in `/proc/cpuinfo` have it: stable Rust has no way to detect it.
fn capabilities(widest: &str, cpu_info: &str) -> String {
    let flags = named(cpu_info, "flags").unwrap_or_default();
    let amx = flags.split_whitespace().any(|flag| flag == "amx_bf16");
    if amx { format!("{widest}, AMX_BF16") } else { widest.to_owned() }
}

/// Identifies the code: a hash of the sources that a training runs through, and the versions of tch and libtorch.
pub fn code_version() -> String {
    let [source, tch, libtorch] =
        [option_env!("SOURCE_HASH"), option_env!("TCH_VERSION"), option_env!("LIBTORCH_VERSION")]
            .map(|value| value.unwrap_or("unknown"));
    format!("source {source}, tch {tch}, libtorch {libtorch}")
}

#[cfg(target_arch = "x86_64")]
fn cpu_capability() -> &'static str {
    if is_x86_feature_detected!("avx512bf16") {
        "AVX512_BF16"
    } else if is_x86_feature_detected!("avx512vnni") {
        "AVX512_VNNI"
    } else if is_x86_feature_detected!("avx512f") {
        "AVX512"
    } else if is_x86_feature_detected!("avx2") {
        "AVX2"
    } else {
        "DEFAULT"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_capability() -> &'static str {
    if cfg!(target_arch = "aarch64") { "NEON" } else { "DEFAULT" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two processors of one widest instruction set gave other last digits: one of them has AMX.
    #[test]
    fn a_processor_with_amx_is_another_one() {
        let info = |flags: &str| {
            format!(
                "processor\t: 0\nmodel name\t: Xeon: a name\nflags\t\t: fpu {flags} sse\n\nflags\t: other\n"
            )
        };
        let with = info("amx_tile amx_bf16");
        assert_eq!(named(&with, "model name"), Some("Xeon: a name"));
        assert_eq!(capabilities("AVX512_BF16", &with), "AVX512_BF16, AMX_BF16");
        assert_eq!(capabilities("AVX512_BF16", &info("amx_bf16_of_old")), "AVX512_BF16");
        assert_eq!((named("", "model name"), capabilities("NEON", "")), (None, "NEON".to_owned()));
        assert!(!Environment::current().processor.is_empty());
    }
}
