"""What a cell prints and shows."""

DISPLAY = """
fn show(mime: &str, attributes: &str, text: &str) {
    println!("EVCXR_BEGIN_CONTENT {mime}{attributes}\\n{text}\\nEVCXR_END_CONTENT");
}
struct Both(&'static str);
impl Both {
    fn evcxr_display(&self) {
        show("text/html", "", &format!("<b>{}</b>", self.0));
        show("text/plain", "", self.0);
    }
}
"""


def test_what_has_no_line_break_is_shown(session):
    cell = session.run('print!("three words here");')
    assert (cell.status, cell.stream()) == ("ok", "three words here")
    assert session.run('println!("next");').stream() == "next\n", "and nothing of the cell before"


def test_the_two_streams_keep_their_bytes(session):
    # Often enough to hit the moment between reading a stream and using its text.
    for _ in range(4):
        cell = session.run(
            'let errors = std::thread::spawn(|| for _ in 0..100_000 { eprint!("e"); });\n'
            'for _ in 0..100_000 { println!("o"); }\n'
            "errors.join();"
        )
        assert cell.stream() == "o\n" * 100_000
        assert cell.stream("stderr").replace("\n", "") == "e" * 100_000, "broken into lines"


def test_a_flush_shows_at_once(session, gate):
    request = session.send('use std::io::Write; print!("10%"); std::io::stdout().flush()?;' + gate.wait)
    session.wait_for_text("10%")
    gate.open()
    assert session.finish(request).status == "ok"


def test_bytes_that_are_no_text_are_shown(session):
    source = 'use std::io::Write; std::io::std{}().write_all(b"caf\\xe9\\n")?;'
    assert session.run(source.format("out")).stream() == "caf\ufffd\n"
    assert session.run(source.format("err")).stream("stderr") == "caf\ufffd\n"
    cell = session.run('println!("one"); eprintln!("two");')
    assert (cell.stream(), cell.stream("stderr")) == ("one\n", "two\n")


def test_lines_that_look_like_evcxrs_own_are_text(session):
    lines = [
        "EVCXR_EXECUTION_COMPLETE",
        "EVCXR_END_CONTENT",
        "EVCXR_BEGIN_CONTENT of a class",
        "class EVCXR_ERROR_OCCURRED of 3",
    ]
    cell = session.run("\n".join(f'println!("{line}");' for line in lines))
    assert (cell.status, cell.stream()) == ("ok", "\n".join(lines) + "\n")
    cell = session.run('println!("EVCXR_BEGIN_CONTENT text/html\\nnever ended");')
    assert (cell.status, cell.stream()) == ("ok", "EVCXR_BEGIN_CONTENT text/html\nnever ended\n")
    assert session.run("40 + 2").value == "42"


def test_a_million_lines_are_few_messages_and_their_end_is_kept(session):
    cell = session.run('for line in 0..1_000_000 { println!("line {line}"); }\n"after"')
    assert (cell.status, cell.value) == ("ok", '"after"')
    assert len(cell.of("stream")) < 1000
    assert len(cell.stream()) < 1_000_000
    assert cell.stream().startswith("line 0\nline 1\n")
    assert cell.stream().endswith("line 999999\n")
    assert "are left out here" in cell.stream("stderr")


def test_long_lines_are_few_messages(session):
    cell = session.run('println!("{:?}", (0..60_000).map(|n| n % 10).collect::<Vec<i32>>());')
    assert len(cell.of("stream")) < 1000
    assert cell.stream().startswith("[0, 1, 2, 3")
    assert cell.stream().endswith("8, 9]\n")
    assert len(cell.stream().replace("\n", "")) == 180_000
    cell = session.run('println!("{}", "é".repeat(4_000_000));')
    assert 100_000 < len(cell.stream()) < 1_000_000


def test_everything_shown_is_there_in_order(session):
    session.run(DISPLAY)
    cell = session.run('Both("one").evcxr_display();\nprintln!("and");\nBoth("two").evcxr_display();\n42')
    assert cell.shown == ["one", "two", "42"]
    assert cell.value == "42"
    assert cell.of("display_data")[0]["data"] == {"text/plain": "one", "text/html": "<b>one</b>"}
    kinds = [message["msg_type"] for message in cell.messages if message["msg_type"] not in ("status", "execute_input")]
    assert kinds == ["display_data", "stream", "display_data", "execute_result"]
    assert session.run('Both("last")').of("execute_result")[0]["data"]["text/html"] == "<b>last</b>"


def test_a_loop_has_no_value(session):
    assert session.run("for _ in 0..3 {}").shown == []
    assert session.run("()").shown == []


def test_what_is_replaced_in_place_comes_while_the_cell_runs(session, gate):
    session.run(DISPLAY)
    source = """
let begun = std::time::Instant::now();
show("text/plain", " display_id=bar", "0");
show("text/plain", " display_id=bar update", "1");
WAIT
for step in 2..=200 {
    show("text/plain", " display_id=bar update", &step.to_string());
    std::thread::sleep(std::time::Duration::from_millis(5));
}
begun.elapsed().as_secs_f64()
"""
    request = session.send(source.replace("WAIT", gate.wait))
    shown = []
    while len(shown) < 2:
        message = session.client.get_iopub_msg(timeout=240)
        if message["msg_type"] in ("display_data", "update_display_data"):
            shown.append(message["content"])
    gate.open()
    cell = session.finish(request)
    first, *updates = shown + cell.of("update_display_data")
    assert first["transient"] == {"display_id": "bar"}
    assert all(update["transient"] == {"display_id": "bar"} for update in updates)
    assert len(updates) <= 10 * float(cell.value) + 2, "not more than ten a second"
    assert updates[-1]["data"]["text/plain"] == "200", "the last one always comes"
    # A later cell can replace it, too.
    (update,) = session.run('show("text/plain", " display_id=bar update", "done");').of("update_display_data")
    assert update["data"]["text/plain"] == "done"


def test_the_process_knows_that_somebody_listens(session):
    assert session.run('std::env::var("NOTEBOOK_FRONT")?').value == '"1"'


def test_late_output_is_not_lost(session, gate):
    session.run("let late = std::thread::spawn(|| { " + gate.wait + ' println!("late"); });')
    gate.open()
    session.wait_for_text("late\n")


def test_a_folder_and_shell_commands_work(session):
    assert session.run("!echo one two").value.strip() == "one two"
    assert "helpers" not in session.run(":vars").text


def test_what_was_shown_is_removed_where_a_cell_asks_for_it(session):
    cell = session.run('println!("one");\nprintln!("EVCXR_CLEAR_OUTPUT wait");\nprintln!("two");')
    kinds = [message["msg_type"] for message in cell.messages if message["msg_type"] not in ("status", "execute_input")]
    assert kinds == ["stream", "clear_output", "stream"]
    assert cell.of("clear_output") == [{"wait": True}]
    assert cell.stream() == "one\ntwo\n"
