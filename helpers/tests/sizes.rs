//! Files and functions that a reader can hold in mind.

use std::fs;
use std::path::Path;

use crate::rooms::rust_files;

/// Lines of code of a file, its tests apart; and of a function, from `fn` to its last brace.
const MOST: (usize, usize) = (500, 60);

/// What is too long in a source as rustfmt writes it.
fn too_long(source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().collect();
    let tests = lines.windows(2).position(|pair| pair == ["#[cfg(test)]", "mod tests {"]);
    let lines = &lines[..tests.unwrap_or(lines.len())];
    let is_code = |line: &&&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let code = lines.iter().filter(is_code).count();
    let mut found = Vec::new();
    if code > MOST.0 {
        found.push(format!("{code} lines of code"));
    }
    for (start, line) in lines.iter().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let words: Vec<&str> = line.split_whitespace().take_while(|word| *word != "fn").collect();
        let is_head = |word: &&str| {
            word.starts_with("pub")
                || ["const", "unsafe", "async", "crate)", "super)"].contains(word)
        };
        if words.len() == line.split_whitespace().count() || !words.iter().all(is_head) {
            continue;
        }
        // A declaration without a body ends at once.
        let end = |line: &&str| {
            **line == format!("{indent}}}")
                || line.ends_with(';')
                    && line.starts_with(indent)
                    && !line[indent.len()..].starts_with(' ')
        };
        let length = lines[start..].iter().position(end).map_or(0, |last| last + 1);
        if length > MOST.1 {
            found.push(format!("line {}: a function of {length} lines", start + 1));
        }
    }
    found
}

#[test]
fn no_file_and_no_function_is_too_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tools = fs::read_dir(root.join("tools")).unwrap().map(|tool| tool.unwrap().path());
    let sources = [root.join("helpers")].into_iter().chain(tools).map(|folder| folder.join("src"));
    let files: Vec<_> =
        sources.filter(|folder| folder.is_dir()).flat_map(|it| rust_files(&it)).collect();
    assert!(files.len() > 200, "{} files", files.len());
    let mut found = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        found.extend(
            too_long(&source).into_iter().map(|what| format!("{}: {what}", file.display())),
        );
    }
    assert!(found.is_empty(), "split them:\n{}", found.join("\n"));
}

#[test]
fn what_is_too_long_is_found() {
    let body = "        step();\n".repeat(59);
    let long =
        format!("impl A {{\n    pub(crate) fn b(\n        &self,\n    ) {{\n{body}    }}\n}}\n");
    assert_eq!(too_long(&long), ["line 2: a function of 63 lines"]);
    assert!(
        too_long(&format!("trait A {{\n    fn b();\n}}\n{}", "// a comment\n".repeat(600)))
            .is_empty()
    );
    assert_eq!(too_long(&"use a;\n".repeat(501)), ["501 lines of code"]);
    let tested =
        format!("use a;\n#[cfg(test)]\nmod tests {{\n    fn b() {{\n{body}{body}    }}\n}}\n");
    assert!(too_long(&tested).is_empty());
}
