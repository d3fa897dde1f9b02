//! Writes the place of libtorch into the binaries and tests of this crate, so that they run with no loader path set.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(libtorch) = std::env::var_os("LIBTORCH") else { return };
    // `.tools/libtorch/lib` holds links; the wheel's own folder is where its companions are found.
    let library = Path::new(&libtorch).join("lib").join("libtorch_cpu.so");
    if let Some(folder) = library.canonicalize().ok().as_deref().and_then(Path::parent) {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
