//! Has a cell note which of its statements runs. A panic in helpers or the standard library names only a place there;
//! what a reader looks for is the line of the cell that led to it.

use std::borrow::Cow;
use std::sync::LazyLock;

use ra_ap_syntax::ast::{
    self, AstNode, BlockModifier, ElseBranch, Expr, HasAttrs, HasLoopBody, HasModuleItem, HasName,
    Stmt,
};
use ra_ap_syntax::{Edition, SourceFile};
use regex::Regex;

use crate::link::ERROR_AT;

/// What evcxr has a cell print after a panic.
const PANICKED: &str = "println!(\"EVCXR_PANIC_NOTIFICATION\");";

/// Where notes are kept. Only the thread that runs the cell writes and reads it: closures hold no notes.
const KEPT: &str = "static mut EVCXR_AT: usize = 0;\n\
    #[inline(always)] fn evcxr_at(line: usize) { unsafe { EVCXR_AT = line; } }\n";

/// A text and the byte that it is put in at.
type Note = (usize, String);

/// The source with notes. Each stands at the end of the line before its statement, so that all lines and columns stay
/// as they are.
pub(super) fn with_notes(source: &str) -> String {
    let Some(panicked) = source.rfind(PANICKED) else { return source.to_owned() };
    let mut notes = notes(source);
    if notes.is_empty() {
        return source.to_owned();
    }
    let says_line = format!("let at = unsafe {{ EVCXR_AT }}; println!(\"{ERROR_AT}{{at}}:1\"); ");
    notes.push((panicked, says_line));
    notes.sort();
    let mut noted = source.to_owned();
    for (at, text) in notes.into_iter().rev() {
        noted.insert_str(at, &text);
    }
    // At the end: a cell may begin with attributes.
    format!("{noted}\n{KEPT}")
}

/// What the compiler says about a source with notes, without them.
pub(super) fn without_notes(said: &str) -> Cow<'_, str> {
    static NOTE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r" evcxr_at\(\d+\);").expect("a pattern that a test has tried")
    });
    NOTE.replace_all(said, "")
}

fn notes(source: &str) -> Vec<Note> {
    let mut notes = Vec::new();
    let parsed = SourceFile::parse(source, Edition::Edition2024);
    // A note in code that is not understood might make another mistake of it.
    if !parsed.errors().is_empty() {
        return notes;
    }
    if let Some(cell) = statements_of_cell(&parsed.tree()) {
        note_block(source, &cell, &mut notes);
    }
    notes
}

/// The block with a cell's statements.
fn statements_of_cell(tree: &SourceFile) -> Option<ast::BlockExpr> {
    let is_cells = |function: &ast::Fn| {
        function.name().is_some_and(|name| name.to_string().starts_with("run_user_code_"))
    };
    let items = tree.items().filter_map(|item| ast::Fn::cast(item.syntax().clone()));
    let function = items.filter(is_cells).last()?;
    let mut closures = function.syntax().descendants().filter_map(ast::ClosureExpr::cast);
    // The first one is what `catch_unwind` calls. From the first `?` of a session on, the statements are in a closure of
    // their own in it, with evcxr's error type.
    let caught = closures.next()?;
    let with_error = closures.find(|closure| {
        closure.ret_type().is_some_and(|kind| kind.to_string().contains("EvcxrUserCodeError"))
    });
    let Expr::BlockExpr(cell) = with_error.unwrap_or(caught).body()? else { return None };
    // In a cell with `await` they are in a future, which any thread may run.
    let is_future = cell.to_string().contains("evcxr_variable_store.lazy_arc(");
    (!is_future).then_some(cell)
}

fn note_block(source: &str, block: &ast::BlockExpr, notes: &mut Vec<Note>) {
    let Some(list) = block.stmt_list() else { return };
    let Some(brace) = list.l_curly_token() else { return };
    let mut after = usize::from(brace.text_range().end());
    // A block's own attributes and documentation come first, behind other comments or not.
    if list.attrs().next().is_some() || begins_with_own_documentation(&source[after..]) {
        return;
    }
    let statements =
        list.statements().map(|statement| (statement.syntax().text_range(), statement));
    let mut parts: Vec<_> = statements
        .map(|(range, statement)| (range, runs(&statement), expression(statement)))
        .collect();
    parts.extend(list.tail_expr().map(|tail| (tail.syntax().text_range(), true, Some(tail))));
    for (range, runs, expression) in parts {
        let start = usize::from(range.start());
        // From here on evcxr stores what the cell has declared.
        if source[start..].starts_with("evcxr_variable_store.") {
            return;
        }
        // On one line with what is before it, it has that one's line.
        if runs && source[after..start].contains('\n') {
            notes.push((after, format!(" evcxr_at({});", line(source, start))));
        }
        for block in expression.iter().flat_map(blocks) {
            note_block(source, &block, notes);
        }
        after = usize::from(range.end());
    }
}

/// Whether comments that are about the block itself, `//!` and `/*!`, are among the first ones in it.
fn begins_with_own_documentation(inside: &str) -> bool {
    inside
        .lines()
        .map(str::trim_start)
        .take_while(|line| line.is_empty() || line.starts_with('/'))
        .any(|line| line.starts_with("//!") || line.starts_with("/*!"))
}

/// Whether a statement does something; most items only declare.
fn runs(statement: &Stmt) -> bool {
    !matches!(statement, Stmt::Item(item) if !matches!(item, ast::Item::MacroCall(_)))
}

fn expression(statement: Stmt) -> Option<Expr> {
    match statement {
        Stmt::ExprStmt(statement) => statement.expr(),
        Stmt::LetStmt(statement) => statement.initializer(),
        Stmt::Item(_) => None,
    }
}

/// The blocks that an expression runs itself, on the cell's own thread.
fn blocks(expression: &Expr) -> Vec<ast::BlockExpr> {
    match expression {
        Expr::ForExpr(one) => one.loop_body().into_iter().collect(),
        Expr::WhileExpr(one) => one.loop_body().into_iter().collect(),
        Expr::LoopExpr(one) => one.loop_body().into_iter().collect(),
        Expr::IfExpr(one) => {
            let mut all: Vec<_> = one.then_branch().into_iter().collect();
            match one.else_branch() {
                Some(ElseBranch::Block(block)) => all.push(block),
                Some(ElseBranch::IfExpr(other)) => all.extend(blocks(&Expr::IfExpr(other))),
                None => {}
            }
            all
        }
        Expr::MatchExpr(one) => {
            let arms = one.match_arm_list().into_iter().flat_map(|list| list.arms());
            arms.filter_map(|arm| arm.expr()).flat_map(|expression| blocks(&expression)).collect()
        }
        Expr::BlockExpr(one) if matches!(one.modifier(), None | Some(BlockModifier::Label(_))) => {
            vec![one.clone()]
        }
        _ => vec![],
    }
}

/// The number of the line that begins a statement.
fn line(source: &str, start: usize) -> usize {
    let first = source[start..].lines().next().unwrap_or_default();
    // evcxr has the value of a cell between lines of its own.
    let is_evcxrs = ["(", "{ let r = &("].contains(&first)
        || first.starts_with("evcxr_send_text_plain(") && first.ends_with('(');
    source[..start].matches('\n').count() + 1 + usize::from(is_evcxrs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: &str = "#![allow(unused)]\n\
        fn helper() {\n    one();\n    two();\n}\n\
        pub extern \"C\" fn run_user_code_1() {\n\
        match std::panic::catch_unwind(\n  std::panic::AssertUnwindSafe(||{\n\
        let _ = (|| -> std::result::Result<(), EvcxrUserCodeError> {\n\
        let a = load(); // the data\n\
        for x in a {\n    if x > 1 { one(x); }\n    two(x);\n}\n\
        let all = map(|x| {\n    one(x);\n    two(x)\n});\n\
        (\nx[3]\n).evcxr_display();\n\
        evcxr_variable_store.put_variable::<u8>(stringify!(a), a);\n\
        Ok(())})();\n})) { \n  Ok(_) => {}\n  Err(_) => {\n    println!(\"EVCXR_PANIC_NOTIFICATION\");\n}}\n}";

    #[test]
    fn each_statement_of_a_cell_is_noted_before_it_and_lines_stay() {
        let noted = with_notes(CELL);
        let lines: Vec<&str> = noted.lines().collect();
        for (at, (line, before)) in lines.iter().zip(CELL.lines()).enumerate() {
            let (beginning, _) = line.split_once(" evcxr_at(").unwrap_or((line, ""));
            assert!(before.starts_with(beginning) || line.contains("PANIC"), "{at}: {line}");
            // The note is about the line behind it, or about the value between evcxr's brackets.
            let value = lines.get(at + 1) == Some(&"(");
            let next = format!(" evcxr_at({});", at + 2 + usize::from(value));
            assert!(!line.contains(" evcxr_at(") || line.contains(&next), "{at}: {line}");
        }
        assert_eq!(
            lines[8],
            "let _ = (|| -> std::result::Result<(), EvcxrUserCodeError> { evcxr_at(10);"
        );
        assert_eq!(lines[9], "let a = load(); evcxr_at(11); // the data");
        assert_eq!(lines[10], "for x in a { evcxr_at(12);");
        assert_eq!(lines[11], "    if x > 1 { one(x); } evcxr_at(13);");
        assert_eq!(lines[13], "} evcxr_at(15);");
        assert_eq!(lines[14], "let all = map(|x| {", "a closure may run on another thread");
        assert_eq!(lines[17], "}); evcxr_at(20);");
        let panicked = lines.iter().find(|line| line.contains("PANIC")).unwrap();
        assert!(panicked.contains("println!(\"EVCXR_ERROR_AT:{at}:1\"); println!"), "{panicked}");
        assert!(noted.ends_with(KEPT));
        assert_eq!(without_notes(lines[9]), CELL.lines().nth(9).unwrap());
    }

    #[test]
    fn statements_before_the_first_question_mark_of_a_session_are_noted_too() {
        let plain = CELL
            .replace("let _ = (|| -> std::result::Result<(), EvcxrUserCodeError> {\n", "")
            .replace("Ok(())})();\n", "");
        let noted = with_notes(&plain);
        let lines: Vec<&str> = noted.lines().collect();
        assert_eq!(lines[7], "  std::panic::AssertUnwindSafe(||{ evcxr_at(9);");
        assert_eq!(lines[8], "let a = load(); evcxr_at(10); // the data");
        // As with `await`.
        let future = plain.replace("let a = ", "let a = evcxr_variable_store.lazy_arc(1); ");
        assert_eq!(with_notes(&future), future);
    }

    #[test]
    fn what_is_not_understood_has_no_notes() {
        for source in [
            "",
            "fn f() {}\n",
            &CELL.replace("let a = ", "let a = ("),
            &CELL.replace("PANIC", "OTHER"),
        ] {
            assert_eq!(with_notes(source), source);
        }
    }

    #[test]
    fn statements_on_one_line_and_blocks_of_their_own_kind_stay_as_they_are() {
        for text in [
            "a(); b();",
            "let x = const { f() };",
            "unsafe {\n    f();\n}",
            "{ #![allow(unused)]\n f(); }",
            "{ // why\n    #![allow(unused)]\n    f();\n}",
            "loop {\n    // why\n    //! about it\n    f();\n}",
        ] {
            let source = CELL.replace("two(x);", text);
            let noted = with_notes(&source);
            let at = noted.find(text.split('\n').next().unwrap()).unwrap();
            assert!(noted[at..].starts_with(text), "{noted}");
        }
    }
}
