//! A notebook file: its parameters, its cells, and the error in an executed one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::files::write_whole;
use crate::hash::sha256;
use crate::process;
use crate::project::Project;
use crate::setup::python;

/// The folder of the Python package that parses parameters cells, for papermill and for xtask.
const PARSER: &str = "tools/papermill_rust";

/// A parameter as declared in the notebook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    /// Its value in Rust: `50`, `"../data"`.
    default: String,
}

impl Declaration {
    /// Whether its default is a path: text that begins with `../`.
    pub(crate) fn is_path(&self) -> bool {
        self.default.starts_with("\"../")
    }
}

/// A notebook of the project.
#[derive(Debug, Clone)]
pub(crate) struct Notebook {
    /// The file's name without `.ipynb`: `06_cnn_training`.
    pub(crate) name: String,
    declarations: Vec<Declaration>,
    content: Value,
}

impl Notebook {
    /// Reads a notebook, but not its parameters.
    pub(crate) fn read(path: &Path) -> Result<Notebook, Failure> {
        let text = fs::read(path).map_err(|error| Failure::of_file("read", path, &error))?;
        let content = serde_json::from_slice(&text).map_err(|error| {
            Failure::new(format!("{} is not a notebook: {error}", path.display()))
        })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Notebook { name, declarations: Vec::new(), content })
    }

    /// All notebooks in `notebooks/`, in order of their names.
    pub(crate) fn all(project: &Project) -> Result<Vec<Notebook>, Failure> {
        let folder = project.path("notebooks");
        let entries =
            fs::read_dir(&folder).map_err(|error| Failure::of_file("read", &folder, &error))?;
        let mut paths: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension() == Some("ipynb".as_ref()))
            .collect();
        paths.sort();
        let read = paths.iter().zip(declarations(project, &paths)?);
        read.map(|(path, declarations)| Ok(Notebook { declarations, ..Notebook::read(path)? }))
            .collect()
    }

    /// Whether its name is numbered as `06_cnn_training`, which excludes copies and drafts.
    pub(crate) fn is_numbered(&self) -> bool {
        has_number(&self.name)
    }

    fn cells(&self) -> &[Value] {
        self.content["cells"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The declarations in its parameters cell.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Declaration> {
        self.declarations.iter()
    }

    /// A hash of its cells without outputs.
    pub(crate) fn hash(&self) -> String {
        let cells: Vec<Value> = self
            .cells()
            .iter()
            .map(|cell| {
                json!([cell["cell_type"], text_of(&cell["source"]), cell["metadata"]["tags"]])
            })
            .collect();
        sha256(Value::from(cells).to_string().as_bytes())
    }

    /// Whether its code names `word` as a string.
    pub(crate) fn quotes(&self, word: &str) -> bool {
        let quoted = format!("\"{word}\"");
        self.cells()
            .iter()
            .filter(|cell| cell["cell_type"] == "code")
            .any(|cell| text_of(&cell["source"]).contains(&quoted))
    }

    /// The cell that failed in an executed notebook: its number and the message.
    pub(crate) fn error(&self) -> Option<(usize, String)> {
        let code = self.cells().iter().filter(|cell| cell["cell_type"] == "code");
        code.enumerate().find_map(|(index, cell)| {
            let outputs = cell["outputs"].as_array()?;
            let error = outputs.iter().find(|output| output["output_type"] == "error")?;
            let number = cell["execution_count"].as_u64().map_or(index + 1, |count| count as usize);
            let value = text_of(&error["evalue"]);
            let trace: Vec<String> = error["traceback"]
                .as_array()
                .map(|lines| lines.iter().map(text_of).collect())
                .unwrap_or_default();
            let text = if value.trim().is_empty() { trace.join("\n") } else { value };
            Some((number, plain(&text)))
        })
    }

    /// Saves an executed notebook in its final place, and updates the path in its metadata.
    pub(crate) fn save_executed(mut self, project: &Project, path: &Path) -> Result<(), Failure> {
        // Not `[...]`, which would insert a missing key.
        let papermill = self.content.pointer_mut("/metadata/papermill");
        if let Some(papermill) = papermill.and_then(Value::as_object_mut) {
            papermill.insert("output_path".to_owned(), json!(project.show(path)));
        }
        let cells = self.content.get_mut("cells").and_then(Value::as_array_mut);
        for cell in cells.into_iter().flatten() {
            if let Some(outputs) = cell.get_mut("outputs").and_then(Value::as_array_mut) {
                join_streams(outputs);
            }
        }
        let mut bytes = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        serde::Serialize::serialize(&self.content, &mut serializer)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", self.name)))?;
        bytes.push(b'\n');
        write_whole(path, &bytes).map_err(|error| Failure::of_file("write", path, &error))
    }
}

/// Whether the name of a notebook's file is numbered as `06_cnn_training`.
pub(crate) fn has_number(name: &str) -> bool {
    let word = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let number = |text: &str| text.len() == 2 && text.chars().all(|c| c.is_ascii_digit());
    name.split_once('_')
        .is_some_and(|(first, rest)| number(first) && !rest.is_empty() && word(rest))
}

/// Joins a text output that came in several pieces, as happens for text printed while a cell runs.
fn join_streams(outputs: &mut Vec<Value>) {
    outputs.dedup_by(|after, before| {
        let is_stream = |output: &Value| output["output_type"] == "stream";
        let joins = is_stream(before) && is_stream(after) && before["name"] == after["name"];
        if joins {
            before["text"] = (text_of(&before["text"]) + &text_of(&after["text"])).into();
        }
        joins
    });
}

/// Text in a notebook: a string, or a list of lines.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}

/// The declarations in the parameters cell of each notebook.
fn declarations(project: &Project, paths: &[PathBuf]) -> Result<Vec<Vec<Declaration>>, Failure> {
    let mut parser = project.command(python::find(project)?.program);
    parser.env("PYTHONPATH", project.path(PARSER)).env("PYTHONDONTWRITEBYTECODE", "1");
    parser.args(["-m", "papermill_rust.declarations"]).args(paths);
    let output = parser.output().map_err(|error| {
        Failure::new(format!("cannot start {}: {error}", process::show(project, &parser)))
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        return Err(Failure::new(text(&output.stderr)));
    }
    let parsed: Vec<Vec<Value>> = serde_json::from_slice(&output.stdout).map_err(|error| {
        Failure::new(format!("{PARSER} gave no declarations: {error}; this is a bug"))
    })?;
    let declaration = |value: &Value| Declaration {
        name: text_of(&value["name"]),
        default: text_of(&value["default"]),
    };
    Ok(parsed.iter().map(|notebook| notebook.iter().map(declaration).collect()).collect())
}

/// `text` without the colours of a terminal and without empty lines.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        out.push_str(before);
        rest = after.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
        rest = rest.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    let lines: Vec<&str> = out.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.join("\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A notebook that declares these parameters and has these code cells.
    pub(crate) fn notebook(name: &str, declared: &[(&str, &str)], cells: &[&str]) -> Notebook {
        let declarations = declared
            .iter()
            .map(|&(name, default)| Declaration {
                name: name.to_owned(),
                default: default.to_owned(),
            })
            .collect();
        let cells: Vec<Value> = cells
            .iter()
            .map(|code| json!({"cell_type": "code", "source": code, "metadata": {}, "outputs": []}))
            .collect();
        Notebook { name: name.to_owned(), declarations, content: json!({"cells": cells}) }
    }

    #[test]
    fn text_in_several_pieces_becomes_one_output() {
        let stream =
            |name: &str, text: Value| json!({"output_type": "stream", "name": name, "text": text});
        let picture = json!({"output_type": "display_data", "data": {}});
        let mut outputs = vec![
            stream("stdout", json!("epoch 1\n")),
            stream("stdout", json!(["epoch 2\n", "epoch 3\n"])),
            stream("stderr", json!("a warning\n")),
            stream("stdout", json!("epoch 4\n")),
            picture.clone(),
            stream("stdout", json!("end\n")),
        ];
        join_streams(&mut outputs);
        assert_eq!(
            outputs,
            [
                stream("stdout", json!("epoch 1\nepoch 2\nepoch 3\n")),
                stream("stderr", json!("a warning\n")),
                stream("stdout", json!("epoch 4\n")),
                picture,
                stream("stdout", json!("end\n")),
            ]
        );
    }

    #[test]
    fn an_executed_notebook_gets_no_field_that_it_had_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("executed.ipynb");
        let mut executed = notebook("06_cnn", &[], &["1"]);
        let text = json!({"cell_type": "markdown", "metadata": {}, "source": "# 6"});
        executed.content["cells"].as_array_mut().unwrap().push(text);
        let before = executed.content.clone();
        executed.save_executed(&Project::find(), &path).unwrap();
        let after: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(after, before);
    }

    #[test]
    fn the_projects_notebooks_declare_what_their_cells_say() {
        let all = Notebook::all(&Project::find()).unwrap();
        let training = all.iter().find(|notebook| notebook.name.starts_with("06_")).unwrap();
        let default = |name: &str| training.parameters().find(|one| one.name == name).unwrap();
        assert_eq!(default("patience").default, "5");
        assert!(default("data").is_path() && !default("epochs").is_path());
    }

    #[test]
    fn copies_and_drafts_have_no_number() {
        let is_numbered = |name: &str| notebook(name, &[], &[]).is_numbered();
        assert!(is_numbered("06_cnn_training"));
        for name in
            ["06_cnn_training-Copy1", "06_cnn_training (1)", "Untitled", "6_cnn", "06_", "06"]
        {
            assert!(!is_numbered(name), "{name}");
        }
    }

    #[test]
    fn the_hash_is_of_the_source_alone() {
        let mut one = notebook("04", &[], &["let a = 1;", "a"]);
        let hash = one.hash();
        one.content["cells"][1]["outputs"] = json!([{"output_type": "stream"}]);
        one.content["cells"][1]["execution_count"] = json!(7);
        one.content["cells"][1]["source"] = json!(["a"]);
        assert_eq!(one.hash(), hash);
        one.content["cells"][1]["source"] = json!("a + 1");
        assert_ne!(one.hash(), hash);
    }

    #[test]
    fn an_error_names_the_cell_and_loses_its_colours() {
        let mut run = notebook("06", &[], &["let a = 1;", "a", "fit()?"]);
        assert_eq!(run.error(), None);
        run.content["cells"][2]["execution_count"] = json!(9);
        run.content["cells"][2]["outputs"] = json!([
            {"output_type": "stream", "text": "epoch 1"},
            {"output_type": "error", "ename": "Error", "evalue": "\u{1b}[31mloss is NaN\u{1b}[0m\n\n",
             "traceback": []},
        ]);
        assert_eq!(run.error(), Some((9, "loss is NaN".to_owned())));
    }

    #[test]
    fn an_executed_notebook_says_where_it_is_and_is_laid_out_as_nbformat_does() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let mut run = notebook("06", &[], &["let a = 1;"]);
        run.content["metadata"] = json!({"papermill": {"output_path": ".tools/run/06.ipynb"}});
        let path = project.path("export/06.ipynb");
        run.save_executed(&project, &path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("{\n \"cells\": [\n  {\n"), "{text}");
        assert!(text.ends_with("\"output_path\": \"export/06.ipynb\"\n  }\n }\n}\n"), "{text}");
    }
}
