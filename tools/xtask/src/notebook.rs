//! A notebook file: its parameters, its artifacts, and what went wrong in an executed one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::project::{Project, write_whole};
use crate::stamp::sha256;

/// A notebook of the project.
#[derive(Debug, Clone)]
pub(crate) struct Notebook {
    /// The file's name without `.ipynb`: `06_cnn_training`.
    pub(crate) name: String,
    content: Value,
}

impl Notebook {
    pub(crate) fn read(path: &Path) -> Result<Notebook, Failure> {
        let text = fs::read(path).map_err(|error| Failure::of_file("read", path, &error))?;
        let content = serde_json::from_slice(&text).map_err(|error| {
            Failure::new(format!("{} is not a notebook: {error}", path.display()))
        })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Notebook { name, content })
    }

    /// All notebooks of the project, in order.
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
        paths.iter().map(|path| Notebook::read(path)).collect()
    }

    fn cells(&self) -> &[Value] {
        self.content["cells"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The names that its parameters cell defines.
    pub(crate) fn parameters(&self) -> Vec<String> {
        self.cells()
            .iter()
            .filter(|cell| {
                cell["metadata"]["tags"]
                    .as_array()
                    .is_some_and(|tags| tags.iter().any(|tag| tag == "parameters"))
            })
            .flat_map(|cell| defined_names(&text_of(&cell["source"])))
            .collect()
    }

    /// A hash of what it does: its cells, without outputs.
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

    /// If its code names `word` as a string.
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

    /// Puts an executed notebook where a reader finds it, with that place in it.
    pub(crate) fn save_executed(mut self, project: &Project, place: &Path) -> Result<(), Failure> {
        if let Some(papermill) = self.content["metadata"]["papermill"].as_object_mut() {
            papermill.insert("output_path".to_owned(), json!(project.show(place)));
        }
        let mut bytes = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        serde::Serialize::serialize(&self.content, &mut serializer)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", self.name)))?;
        bytes.push(b'\n');
        write_whole(place, &bytes).map_err(|error| Failure::of_file("write", place, &error))
    }
}

/// Text in a notebook: a string, or a list of lines.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}

/// `NAME` of each `let NAME: TYPE = …;` that starts a statement.
fn defined_names(code: &str) -> Vec<String> {
    code.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|line| line.split(';'))
        .filter_map(|statement| statement.trim().strip_prefix("let "))
        .map(|rest| rest.trim_start().trim_start_matches("mut ").trim_start())
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .filter(|name: &String| !name.is_empty())
        .collect()
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

    /// A notebook of code cells; the first is its parameters cell.
    pub(crate) fn notebook(name: &str, cells: &[&str]) -> Notebook {
        let cells: Vec<Value> = cells
            .iter()
            .enumerate()
            .map(|(index, code)| {
                let tags = if index == 0 { json!(["parameters"]) } else { json!([]) };
                json!({"cell_type": "code", "source": code, "metadata": {"tags": tags}, "outputs": []})
            })
            .collect();
        Notebook { name: name.to_owned(), content: json!({"cells": cells}) }
    }

    #[test]
    fn parameters_are_what_the_tagged_cell_defines() {
        let cell = "let data = \"../data\"; let sample = 0;\n// let no: i32 = 1;\n\
                    let epochs: usize = 50; // at most; let us see\nlet mut seed: u64 = 42;";
        let notebook = notebook("04", &[cell, "let later = 1;"]);
        assert_eq!(notebook.parameters(), ["data", "sample", "epochs", "seed"]);
    }

    #[test]
    fn the_hash_is_of_the_source_alone() {
        let mut one = notebook("04", &["let a = 1;", "a"]);
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
        let mut run = notebook("06", &["let a = 1;", "a", "fit()?"]);
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
        let mut run = notebook("06", &["let a = 1;"]);
        run.content["metadata"] = json!({"papermill": {"output_path": ".tools/run/06.ipynb"}});
        let place = project.path("export/06.ipynb");
        run.save_executed(&project, &place).unwrap();
        let text = fs::read_to_string(&place).unwrap();
        assert!(text.starts_with("{\n \"cells\": [\n  {\n"), "{text}");
        assert!(text.ends_with("\"output_path\": \"export/06.ipynb\"\n  }\n }\n}\n"), "{text}");
    }
}
