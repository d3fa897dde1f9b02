//! Writes where libtorch lies into the binaries and tests of this crate, so that they run with no loader path set, and hands
//! the versions that results depend on to `system::environment`.

mod source_hash;

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build");
    for (name, version) in
        [("TCH", tch_version()), ("LIBTORCH", libtorch_version()), ("RUSTC", rustc_version())]
    {
        println!("cargo:rustc-env={name}_VERSION={}", version.as_deref().unwrap_or("unknown"));
    }
    println!("cargo:rerun-if-changed=src");
    let hash = source_hash::source_hash(Path::new("src"));
    println!("cargo:rustc-env=SOURCE_HASH={}", hash.expect("all sources below src can be read"));
    let Some(libtorch) = std::env::var_os("LIBTORCH") else { return };
    // `.tools/libtorch/lib` holds links; the wheel's own folder is where its companions are found.
    let library = Path::new(&libtorch).join("lib").join("libtorch_cpu.so");
    if let Some(folder) = library.canonicalize().ok().as_deref().and_then(Path::parent) {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}

/// What the lock file says: the workspace's, beside this crate's folder.
fn tch_version() -> Option<String> {
    let lock = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR")?).join("../Cargo.lock");
    if lock.exists() {
        println!("cargo:rerun-if-changed={}", lock.display());
    }
    let text = std::fs::read_to_string(lock).ok()?;
    let after = text.split("name = \"tch\"\nversion = \"").nth(1)?;
    Some(after.split('"').next()?.to_owned())
}

/// What libtorch's own header says.
fn libtorch_version() -> Option<String> {
    let header =
        Path::new(&std::env::var_os("LIBTORCH")?).join("include/torch/headeronly/version.h");
    let text = std::fs::read_to_string(header).ok()?;
    let part = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("#define TORCH_VERSION_{name} ")))?;
        Some(line.split_whitespace().nth(2)?.to_owned())
    };
    Some(format!("{}.{}.{}", part("MAJOR")?, part("MINOR")?, part("PATCH")?))
}

/// The number out of `rustc 1.95.0 (hash date)`.
fn rustc_version() -> Option<String> {
    let output = Command::new(std::env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_whitespace().nth(1)?.to_owned())
}
