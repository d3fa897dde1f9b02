//! libtorch, as cells are linked with it and as they find it at run time.
//!
//! The linker reads every symbol of a library that it is given, and libtorch has so many that this took a third of each
//! cell's linking. On Linux a library may have unresolved symbols. There cells are linked with an empty stand-in of the
//! same name, and find the symbols in the real libtorch, which the process that runs them has loaded before.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::files::remove;
use crate::outcome::Outcome;
use crate::paths::Paths;

/// The library that is replaced by an empty one for linking.
const LARGE: &str = "libtorch_cpu.so";

/// Makes the folder that cells are linked with: links to everything in `.tools/libtorch`, and an empty [`LARGE`].
pub(crate) fn make_stand_in(paths: &Paths) -> Outcome {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let (real, fresh) = (paths.libtorch(), paths.kernel().join("libtorch.new"));
    remove(&fresh)?;
    link_all(&real, &fresh)?;
    remove(&fresh.join("lib"))?;
    link_all(&real.join("lib"), &fresh.join("lib"))?;
    let stand_in = fresh.join("lib").join(LARGE);
    fs::remove_file(&stand_in).map_err(|error| {
        format!("{} holds no {LARGE}: {error}; run `cargo xtask setup`", real.join("lib").display())
    })?;
    let made = Command::new("cc")
        .args(["-shared", "-nostdlib", "-x", "c", "/dev/null", "-o"])
        .arg(&stand_in)
        .arg(format!("-Wl,-soname,{LARGE}"))
        .output()
        .map_err(|error| format!("cannot run cc, the C compiler: {error}"))?;
    if !made.status.success() {
        let told = String::from_utf8_lossy(&made.stderr);
        return Err(format!("cc cannot make a library:\n{told}").into());
    }
    remove(&paths.linked_libtorch())?;
    fs::rename(&fresh, paths.linked_libtorch())?;
    Ok(())
}

/// Makes the folder `to`, with a link to each thing in `from`.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        symlink(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Loads libtorch with global symbols, in the process that runs the cells.
pub(crate) fn load() {
    #[cfg(target_os = "linux")]
    {
        let name = std::ffi::CString::new(LARGE).expect("no zero in it");
        // SAFETY: the name ends with a zero. What runs when the library is loaded is libtorch's own, as if a cell had been
        // linked with it. `dlerror` gives a text that ends with a zero, or nothing, and no other thread loads anything.
        let problem = unsafe {
            if !libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_GLOBAL).is_null() {
                return;
            }
            let text = libc::dlerror();
            if text.is_null() {
                return;
            }
            std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned()
        };
        eprintln!("libtorch cannot be loaded: {problem}; run `cargo xtask setup`");
    }
}
