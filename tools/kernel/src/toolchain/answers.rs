//! What cargo and rustc answered to evcxr and its analyser when the warm build was made.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use serde_json::Value;

use crate::files::{digest, write_whole};
use crate::toolchain::context::{Context, Mode};
use crate::toolchain::real;

/// Placeholder for the session's folder in recorded answers.
const HERE: &str = "@SESSION@";

/// The crates whose sources the analyser gets, besides a cell's own dependencies: their types and methods are the ones
/// that notebooks use. Reading all hundred took three seconds of each kernel's first cell.
const SHOWN: [&str; 4] = ["helpers", "tch", "ndarray", "num-traits"];

/// Prints the recorded answer; in [`Mode::Learn`] asks the real tool and records its answer.
pub(super) fn answer(context: &Context, tool: &str, words: &[&str]) -> Option<ExitCode> {
    if !is_question(tool, words) || context.mode == Mode::Forget {
        return None;
    }
    let mut keeps = false;
    let about = match asks_about_package(tool, words).then(|| context.manifest()).flatten() {
        Some(manifest) if context.is_in_session() => {
            let may_change = manifest.has_dependencies() && context.mode == Mode::Know;
            if may_change && !context.has_same_manifests() {
                return unknown(context, tool, words, None);
            }
            // A package may use any subset of the warm build's crates; the answer for each subset is recorded the first
            // time.
            keeps = context.mode == Mode::Know && context.whole(&manifest).is_some();
            manifest.text_without_level()
        }
        _ => String::new(),
    };
    let file = context.known().join("answers").join(key(tool, words, &about, &context.session));
    if context.mode == Mode::Learn {
        return learn(context, tool, words, &file);
    }
    let Ok(text) = fs::read_to_string(&file) else {
        return unknown(context, tool, words, keeps.then_some(&file));
    };
    let here = last_two(&context.session);
    // The caller may have ended, then the answer is lost.
    let _ = std::io::stdout().write_all(text.replace(HERE, &here).as_bytes());
    Some(ExitCode::SUCCESS)
}

/// Whether the call only asks for information and builds nothing.
fn is_question(tool: &str, words: &[&str]) -> bool {
    match tool {
        "rustc" => {
            words.contains(&"--print") || matches!(words, ["-vV" | "-Vv" | "-V" | "--version"])
        }
        _ => {
            let what = ["metadata", "locate-project", "config"];
            words == ["--version"]
                || words.iter().any(|word| what.contains(word))
                || words.contains(&"rustc") && words.contains(&"--print")
        }
    }
}

/// Whether the answer depends on evcxr's package, too, and not on the tool alone.
fn asks_about_package(tool: &str, words: &[&str]) -> bool {
    tool == "cargo" && (words.contains(&"metadata") || words.contains(&"rustc"))
}

/// The name of the file that holds the answer.
fn key(tool: &str, words: &[&str], about: &str, session: &Path) -> String {
    let mut parts = vec![tool.to_owned(), about.to_owned()];
    let mut words = words.iter();
    while let Some(word) = words.next() {
        // The analyser copies the lock file to a folder that has another name each time.
        if *word == "--lockfile-path" {
            words.next();
        }
        parts.push(word.replace(&last_two(session), HERE));
    }
    digest(parts.iter().map(String::as_bytes))
}

/// The last two components of the session's folder: they identify it also inside URLs.
fn last_two(session: &Path) -> String {
    let name = |path: Option<&Path>| {
        path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
    };
    format!("{}/{}", name(session.parent()), name(Some(session)))
}

/// The real tool's answer, if it succeeds.
fn ask(context: &Context, tool: &str, words: &[&str]) -> Option<String> {
    let locked = real::keep_versions(context);
    let output = context.real(tool).args(words).stdin(Stdio::null()).output().ok()?;
    drop(locked);
    let _ = std::io::stderr().write_all(&output.stderr);
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(match words.contains(&"metadata") {
        true => shown_only(&text).unwrap_or(text),
        false => text,
    })
}

/// Asks the real tool about evcxr's package; records the answer if `file` is given.
fn unknown(context: &Context, tool: &str, words: &[&str], file: Option<&Path>) -> Option<ExitCode> {
    if let Some(file) = file {
        return learn(context, tool, words, file);
    }
    if !words.contains(&"metadata") || !context.is_in_session() {
        return None;
    }
    // The tool has printed the reason to standard error.
    let Some(text) = ask(context, tool, words) else { return Some(ExitCode::FAILURE) };
    let _ = std::io::stdout().write_all(text.as_bytes());
    Some(ExitCode::SUCCESS)
}

fn learn(context: &Context, tool: &str, words: &[&str], file: &Path) -> Option<ExitCode> {
    let Some(text) = ask(context, tool, words) else { return Some(ExitCode::FAILURE) };
    // If it cannot be recorded, it is asked again next time.
    let _ = write_whole(file, text.replace(&last_two(&context.session), HERE).as_bytes());
    let _ = std::io::stdout().write_all(text.as_bytes());
    Some(ExitCode::SUCCESS)
}

/// cargo's list of packages, without those dependencies of helpers that the analyser need not read.
fn shown_only(metadata: &str) -> Option<String> {
    let mut metadata: Value = serde_json::from_str(metadata).ok()?;
    // Without a list of nodes, the question was about evcxr's own package alone.
    metadata["resolve"]["nodes"].as_array()?;
    let names: HashMap<String, String> = list(&metadata["packages"])
        .filter_map(|package| Some((text(&package["id"])?, text(&package["name"])?)))
        .collect();
    // All dependencies of the cell except those of helpers are shown.
    let mut shown: HashSet<String> = HashSet::new();
    let mut next: Vec<String> = list(&metadata["workspace_members"]).filter_map(text).collect();
    while let Some(id) = next.pop() {
        let is_helpers = names.get(&id).is_some_and(|name| name == "helpers");
        if shown.insert(id.clone()) && !is_helpers {
            let nodes = list(&metadata["resolve"]["nodes"]);
            let node = nodes.into_iter().find(|node| text(&node["id"]).as_ref() == Some(&id));
            next.extend(
                node.into_iter().flat_map(|node| list(&node["dependencies"])).filter_map(text),
            );
        }
    }
    shown.extend(
        names.iter().filter(|(_, name)| SHOWN.contains(&name.as_str())).map(|(id, _)| id.clone()),
    );

    let is_shown = |id: &Value| id.as_str().is_some_and(|id| shown.contains(id));
    let shown_names: HashSet<&String> = shown.iter().filter_map(|id| names.get(id)).collect();
    let packages = metadata["packages"].as_array_mut()?;
    packages.retain(|package| is_shown(&package["id"]));
    for package in packages {
        retain(&mut package["dependencies"], |one| {
            text(&one["name"]).is_some_and(|name| shown_names.contains(&name))
        });
    }
    retain(&mut metadata["resolve"]["nodes"], |node| is_shown(&node["id"]));
    for node in metadata["resolve"]["nodes"].as_array_mut().into_iter().flatten() {
        retain(&mut node["deps"], |one| is_shown(&one["pkg"]));
        retain(&mut node["dependencies"], is_shown);
    }
    Some(metadata.to_string())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn retain(list: &mut Value, keeps: impl Fn(&Value) -> bool) {
    if let Some(list) = list.as_array_mut() {
        list.retain(keeps);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn work_is_no_question() {
        assert!(is_question("cargo", &["metadata", "--format-version", "1"]));
        assert!(is_question("cargo", &["rustc", "-Z", "unstable-options", "--print", "cfg"]));
        assert!(is_question("rustc", &["--print", "sysroot"]));
        assert!(!is_question("cargo", &["build"]));
        assert!(!is_question("cargo", &["rustc", "--release"]));
        assert!(!is_question("rustc", &["main.rs"]));
    }

    #[test]
    fn a_question_is_the_same_in_every_session() {
        let ask = |session: &str, more: &str| {
            let manifest = format!("/k/{session}/Cargo.toml");
            let lock_file = format!("/tmp/{more}");
            let words = ["metadata", "--manifest-path", &manifest, "--lockfile-path", &lock_file];
            key("cargo", &words, "about", &Path::new("/k").join(session))
        };
        assert_eq!(ask("sessions/1-2", "a"), ask("templates/7", "b"));
        let other = key("cargo", &["metadata"], "about", Path::new("/k/sessions/1-2"));
        assert_ne!(ask("sessions/1-2", "a"), other);
    }

    #[test]
    fn the_analyser_is_shown_a_few_crates() {
        let package = |name: &str| {
            let all = ["helpers", "tch", "png"].map(|name| json!({"name": name}));
            json!({"name": name, "id": format!("{name}@1"), "dependencies": all})
        };
        let node = |name: &str, below: &[&str]| {
            let below: Vec<String> = below.iter().map(|name| format!("{name}@1")).collect();
            let packages: Vec<Value> = below.iter().map(|id| json!({"pkg": id})).collect();
            json!({"id": format!("{name}@1"), "dependencies": below, "deps": packages})
        };
        let names = ["ctx", "helpers", "tch", "png", "rand", "rand_core"];
        let mut nodes = names.map(|name| node(name, &["tch", "png"]));
        nodes[0] = node("ctx", &["helpers", "rand"]);
        nodes[4] = node("rand", &["rand_core"]);
        nodes[5] = node("rand_core", &[]);
        let all = json!({"packages": names.map(package), "workspace_members": ["ctx@1"],
            "resolve": {"nodes": nodes}});

        let shown: Value = serde_json::from_str(&shown_only(&all.to_string()).unwrap()).unwrap();

        let ids: Vec<&str> =
            list(&shown["packages"]).filter_map(|one| one["id"].as_str()).collect();
        assert_eq!(ids, ["ctx@1", "helpers@1", "tch@1", "rand@1", "rand_core@1"]);
        let nodes: Vec<&str> =
            list(&shown["resolve"]["nodes"]).filter_map(|one| one["id"].as_str()).collect();
        assert_eq!(nodes, ids);
        assert!(!shown.to_string().contains("png"), "{shown}");
    }
}
