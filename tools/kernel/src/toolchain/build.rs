//! Compiling a cell with rustc alone.

use std::env;
use std::env::consts::DLL_EXTENSION;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::files::{digest, write_whole};
use crate::link::{LINK_VARIABLE, keep_diagnostics};
use crate::outcome::Outcome;
use crate::toolchain::cell::{self, LIBRARY, Order};
use crate::toolchain::context::Context;
use crate::toolchain::folders::folder;
use crate::toolchain::kept::{self, Kind};
use crate::toolchain::manifest::Manifest;
use crate::toolchain::statements;

/// Variables that change how the compiler or cargo work, besides the arguments.
const HEEDED: [&str; 3] = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER"];

/// The same metadata for all cells, so that a type has the same identity in every cell that a variable passes through.
pub(super) const METADATA: &str = "metadata=notebook";

/// cargo's exit status when something does not compile.
const REFUSED: u8 = 101;

/// Why cargo must compile the cell; completes the sentence "Compiling this cell with cargo: ".
pub(super) type Reason = &'static str;

/// Fails with a sentence that the notebook shows.
pub(super) fn refuse(sentence: &str) -> ExitCode {
    println!("{}", cell::own_message(sentence));
    ExitCode::from(REFUSED)
}

/// Compiles the session's cell, or says why cargo must do it.
pub(super) fn compile(context: &Context, only_check: bool) -> Result<ExitCode, Reason> {
    let unreadable = "its files cannot be read";
    let manifest = context.manifest().ok_or(unreadable)?;
    let whole = context.whole(&manifest);
    let learnt = read(&context.template, whole.as_ref().unwrap_or(&manifest))
        .filter(|learnt| learnt.heeded == heeded())
        .ok_or("it has other dependencies or settings than the kernel's warm build")?;
    if manifest.has_dependencies() && !context.has_same_helpers() {
        return Err("helpers or the versions of crates have changed since `cargo xtask setup`");
    }
    let source = fs::read_to_string(context.session.join("src/lib.rs")).map_err(|_| unreadable)?;
    let library = library(&context.template);
    let has_library = manifest.has_dependencies() && library.is_file();
    let source =
        if has_library && !only_check { cell::linked_with_library(&source) } else { source };

    // evcxr's own process for cells needs the number in the function's name, and nobody reads places there.
    let source = match env::var_os(LINK_VARIABLE).filter(|_| !only_check) {
        Some(_) => with_places(&cell::with_function_without_number(&source)),
        None if only_check => cell::with_lasting_references(&source),
        None => source,
    };

    let room = CellFolder { folder: context.session.join("cell") };
    let order = Order::of(&source);
    let key = (!only_check && cell::is_kept(&source)).then(|| order.key(&[&manifest.text()]));
    if let Some(key) = &key
        && let Some(code) = room.find(context, key, &order)
    {
        return Ok(code);
    }

    let mut arguments = cell_arguments(&learnt, &manifest);
    arguments.push(format!("--emit={}", if only_check { "metadata" } else { "link" }));
    if has_library {
        arguments.push(format!("--extern={LIBRARY}={}", library.display()));
        arguments.extend(search_path(&folder(&context.template)));
    }
    arguments.extend(search_path(Path::new(&learnt.libraries)));
    if let Err(error) = room.write(&source) {
        let folder = room.folder.display();
        return Ok(refuse(&format!("the kernel cannot write to {folder}: {error}")));
    }
    let output = room.compile(context, &arguments).map_err(|_| "the compiler cannot be started")?;
    room.answer(context, &output, &order, key.as_deref(), only_check)
}

/// The source of a cell that tells where it fails.
fn with_places(source: &str) -> String {
    let source = cell::with_sizes_compared(source);
    statements::with_notes(&cell::with_place_of_error(&source))
}

/// Writes the session's cell once more, so that it tells where it fails; the folder in which cargo's call of the compiler
/// finds it under the same relative path.
pub(super) fn write_with_places(context: &Context) -> io::Result<PathBuf> {
    let source = fs::read_to_string(context.session.join("src/lib.rs"))?;
    let room = CellFolder { folder: context.session.join("cell") };
    room.write(&with_places(&source))?;
    Ok(room.folder)
}

/// The library that cells of this template are linked with.
pub(crate) fn library(template: &Path) -> PathBuf {
    folder(template).join(format!("lib{LIBRARY}.{DLL_EXTENSION}"))
}

/// The folder of a session in which its cells are compiled. Like evcxr's own it has a `src/lib.rs`, the path that
/// panics and messages name.
struct CellFolder {
    folder: PathBuf,
}

impl CellFolder {
    fn made(&self) -> PathBuf {
        self.folder.join(made_library())
    }

    /// Answers with the kept result of an equal cell, if there is one.
    fn find(&self, context: &Context, key: &str, order: &Order<'_>) -> Option<ExitCode> {
        if let Some(content) = kept::find(&context.template, key, Kind::Library) {
            write_whole(&self.made(), &content).ok()?;
            println!("{}", self.artifact());
            return Some(ExitCode::SUCCESS);
        }
        let refusal = kept::find(&context.template, key, Kind::Refusal)?;
        let Refusal { indices, messages } = serde_json::from_slice(&refusal).ok()?;
        let now = order.indices();
        if !messages.iter().all(|message| cell::is_about_same_lines(message, &indices, &now)) {
            return None;
        }
        say(&messages);
        Some(ExitCode::from(REFUSED))
    }

    fn write(&self, source: &str) -> io::Result<()> {
        write_whole(&self.folder.join("src/lib.rs"), source.as_bytes())
    }

    fn compile(&self, context: &Context, arguments: &[String]) -> io::Result<Output> {
        context
            .real("rustc")
            .arg("src/lib.rs")
            .args(arguments)
            .args(["--out-dir", "."])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output()
    }

    /// Passes on the compiler's messages, as cargo would, and keeps the result.
    fn answer(
        &self,
        context: &Context,
        output: &Output,
        order: &Order<'_>,
        key: Option<&str>,
        only_check: bool,
    ) -> Result<ExitCode, Reason> {
        let said = String::from_utf8_lossy(&output.stderr);
        let messages: Vec<Value> = cell::messages(&statements::without_notes(&said)).collect();
        if output.status.success() {
            say(&messages);
            if !only_check {
                if let (Some(key), Ok(content)) = (key, fs::read(self.made())) {
                    kept::keep(&context.template, key, Kind::Library, &content);
                }
                println!("{}", self.artifact());
            }
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(signal) = output.status.signal() {
            // An interrupt or a lack of memory: cargo must not try again.
            return Ok(refuse(&format!(
                "the compiler was ended by signal {signal}; run the cell again"
            )));
        }
        let is_linking = |message: &Value| {
            message["message"].as_str().is_some_and(|text| text.starts_with("linking with"))
        };
        if messages.is_empty() || messages.iter().any(is_linking) {
            return Err("it cannot be linked with the kernel's library");
        }
        say(&messages);
        // What is not about the code, as a full disk, may be over the next time.
        if let Some(key) = key.filter(|_| messages.iter().all(cell::is_about_code)) {
            let refusal = json!(Refusal { indices: order.indices(), messages }).to_string();
            kept::keep(&context.template, key, Kind::Refusal, refusal.as_bytes());
        }
        Ok(ExitCode::from(REFUSED))
    }

    fn artifact(&self) -> String {
        artifact(&without_spaces(&self.folder).join(made_library()))
    }
}

/// The compiler's messages about a cell that failed, and how its lines were ordered.
#[derive(Serialize, Deserialize)]
struct Refusal {
    indices: Vec<usize>,
    messages: Vec<Value>,
}

/// Prints the compiler's messages as cargo does, and keeps them for the front.
fn say(messages: &[Value]) {
    let messages: Vec<_> = messages.iter().filter_map(cell::for_evcxr).collect();
    for message in &messages {
        println!("{}", cell::as_cargo_says(message));
    }
    let lines: String = messages.iter().map(|message| format!("{message}\n")).collect();
    keep_diagnostics(lines.as_bytes());
}

/// The file that a cell is compiled to.
pub(super) fn made_library() -> String {
    format!("libctx.{DLL_EXTENSION}")
}

/// What cargo says of a library that it has made.
pub(super) fn artifact(library: &Path) -> String {
    let target = json!({ "name": "ctx" });
    json!({ "reason": "compiler-artifact", "target": target, "filenames": [library] }).to_string()
}

/// The folder, through a link without spaces if its path has any: evcxr's own process for cells cannot read spaces. The
/// kernel's runner can, but the warm build is tested with evcxr's process.
pub(super) fn without_spaces(folder: &Path) -> PathBuf {
    if !cell::text(folder).contains(' ') || env::var_os(LINK_VARIABLE).is_some() {
        return folder.to_owned();
    }
    let name = digest([folder.as_os_str().as_encoded_bytes()]);
    let link = env::temp_dir().join(format!("notebook-kernel-{}", &name[..16]));
    // It may be there already.
    let _ = symlink(folder, &link);
    match fs::read_link(&link) {
        Ok(leads_to) if leads_to == folder => link,
        _ => folder.to_owned(),
    }
}

/// How cargo calls the compiler for cells with one manifest.
struct Learnt {
    /// Values of [`HEEDED`] at that time.
    heeded: String,
    /// The folder of the standard library.
    libraries: String,
    arguments: Vec<String>,
}

fn file(template: &Path, manifest: &Manifest) -> PathBuf {
    folder(template).join("arguments").join(digest([manifest.text().as_bytes()]))
}

fn heeded() -> String {
    HEEDED.map(|name| format!("{name}={}", env::var(name).unwrap_or_default())).join("\t")
}

/// Keeps the arguments with which cargo calls the compiler for a cell.
pub(super) fn learn(context: &Context, arguments: &[String]) -> io::Result<()> {
    let Some(manifest) = context.manifest() else { return Ok(()) };
    let said = context.real("rustc").args(["--print", "target-libdir"]).output()?;
    let libraries = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    let lines = [heeded(), libraries].into_iter().chain(arguments.iter().cloned());
    let text: String = lines.flat_map(|line| [line, "\n".to_owned()]).collect();
    write_whole(&file(&context.template, &manifest), text.as_bytes())
}

/// None if cells of this manifest were never compiled.
fn read(template: &Path, manifest: &Manifest) -> Option<Learnt> {
    let text = fs::read_to_string(file(template, manifest)).ok()?;
    let mut lines = text.lines().map(str::to_owned);
    Some(Learnt { heeded: lines.next()?, libraries: lines.next()?, arguments: lines.collect() })
}

/// The arguments for a cell: without names and folders of the recorded cell, and without crates that have no `:dep`
/// here.
fn cell_arguments(learnt: &Learnt, manifest: &Manifest) -> Vec<String> {
    let names: Vec<String> = manifest.names().map(|name| name.replace('-', "_")).collect();
    const DROPPED: [&str; 5] =
        ["incremental=", "metadata=", "extra-filename=", "codegen-units=", "rpath"];
    let mut kept = Vec::new();
    let mut arguments = learnt.arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--out-dir" => {
                arguments.next();
            }
            "--extern" => {
                let value = arguments.next().map_or("", String::as_str);
                let name = value.split('=').next().unwrap_or_default().rsplit(':').next();
                if name.is_some_and(|name| names.iter().any(|known| known == name)) {
                    kept.extend(["--extern".to_owned(), value.to_owned()]);
                }
            }
            "-C" => {
                let value = arguments.next().map_or("", String::as_str);
                if !DROPPED.iter().any(|dropped| value.starts_with(dropped)) {
                    kept.extend(["-C".to_owned(), value.to_owned()]);
                }
            }
            other if other.starts_with("--emit=") || other.ends_with(".rs") => {}
            other => kept.push(other.to_owned()),
        }
    }
    // Cells are small: one unit takes the least processor time.
    kept.extend(["-C", METADATA, "-C", "codegen-units=1"].map(str::to_owned));
    kept
}

/// Linker arguments that make a library search this folder when it is loaded.
fn search_path(folder: &Path) -> Vec<String> {
    ["-Xlinker", "-rpath", "-Xlinker", &cell::text(folder)]
        .map(|argument| format!("-Clink-arg={argument}"))
        .to_vec()
}

/// The arguments to link all that cells of this template use into one library.
pub(crate) fn library_arguments(template: &Path) -> Outcome<Vec<String>> {
    let manifest = Manifest::new(fs::read_to_string(template.join("Cargo.toml"))?);
    let learnt = read(template, &manifest).ok_or("cargo has compiled no cell with helpers")?;
    let mut kept = search_path(Path::new(&learnt.libraries));
    let mut arguments = learnt.arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--extern" | "-L" | "--target" => {
                kept.push(argument.clone());
                kept.extend(arguments.next().cloned());
            }
            other if other.starts_with("--edition") || other == "-Cprefer-dynamic" => {
                kept.push(argument.clone());
            }
            _ => {}
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_one_cell_is_dropped() {
        let arguments = "--crate-name ctx --edition=2024 src/lib.rs --emit=dep-info,link -C opt-level=2 -C metadata=1f \
            -C extra-filename=-1f --out-dir /t/deps -C incremental=/t/i -C strip=debuginfo -C rpath --extern helpers=/t/h.rlib \
            --extern other=/t/o.rlib";
        let manifest = Manifest::new("[dependencies]\nhelpers = { path = \"/h\" }\n".to_owned());
        let learnt = Learnt {
            heeded: String::new(),
            libraries: String::new(),
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
        };
        assert_eq!(
            cell_arguments(&learnt, &manifest).join(" "),
            "--crate-name ctx --edition=2024 -C opt-level=2 -C strip=debuginfo --extern helpers=/t/h.rlib \
             -C metadata=notebook -C codegen-units=1"
        );
    }
}
