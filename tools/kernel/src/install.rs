//! The kernelspec `rust`, so that Jupyter finds this kernel, and a line of configuration that has Jupyter's server keep
//! one ready (`papermill_rust.ready`).

use std::env;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::environment::environment;
use crate::paths::Paths;

/// Puts this binary into `.tools/kernel`, a kernelspec that names it into `PREFIX/share/jupyter/kernels/rust`, and the
/// server's configuration into `PREFIX/etc/jupyter`.
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

    let environment: Map<String, Value> = environment(paths)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    let specification = json!({
        "argv": [binary, "--control_file", "{connection_file}"],
        "display_name": "Rust",
        "language": "rust",
        "interrupt_mode": "signal",
        "env": environment,
        "metadata": { "kernel_provisioner": { "provisioner_name": "rust-ready" } },
    });
    let folder = prefix.join("share/jupyter/kernels/rust");
    fs::create_dir_all(&folder)?;
    let file = folder.join("kernel.json");
    fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&specification)?))?;
    let server =
        json!({ "ServerApp": { "jpserver_extensions": { "papermill_rust.ready": true } } });
    let configuration = prefix.join("etc/jupyter/jupyter_server_config.d");
    fs::create_dir_all(&configuration)?;
    fs::write(configuration.join("papermill_rust.json"), format!("{server}\n"))?;
    println!("kernel: installed as `rust` in {}", folder.display());
    Ok(())
}
