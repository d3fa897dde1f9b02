//! The kernelspec `rust`, so that Jupyter finds this kernel.

use std::env;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::environment::{RUST_VARIABLE, environment, rust_folder};
use crate::files::write_lasting;
use crate::outcome::Outcome;
use crate::paths::Paths;

/// Puts this binary into `.tools/kernel`, and a kernelspec that names it into `PREFIX/share/jupyter/kernels/rust`.
pub(crate) fn install(paths: &Paths, prefix: &Path) -> Outcome {
    let binary = paths.installed_binary();
    let running = env::current_exe()?;
    if running.canonicalize()? != binary {
        fs::create_dir_all(paths.kernel())?;
        // By a rename: a kernel that runs now keeps the file it was started from.
        let fresh = binary.with_extension("new");
        fs::copy(running, &fresh)?;
        fs::rename(fresh, &binary)?;
    }

    let rust = rust_folder().map(|folder| (RUST_VARIABLE, folder.display().to_string()));
    let environment: Map<String, Value> = environment(paths)
        .into_iter()
        .chain(rust)
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    let specification = json!({
        "argv": [binary, "--control_file", "{connection_file}"],
        "display_name": "Rust",
        "language": "rust",
        "interrupt_mode": "signal",
        "env": environment,
    });
    let folder = prefix.join("share/jupyter/kernels/rust");
    let text = format!("{}\n", serde_json::to_string_pretty(&specification)?);
    write_lasting(&folder.join("kernel.json"), text.as_bytes())?;
    // Older kernels configured the server to keep a kernel ready, through a module that no longer exists.
    let _ = fs::remove_file(prefix.join("etc/jupyter/jupyter_server_config.d/papermill_rust.json"));
    println!("kernel: installed as `rust` in {}", folder.display());
    Ok(())
}
