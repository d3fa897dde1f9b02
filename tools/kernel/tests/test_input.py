"""Cells that read standard input."""

READ = """
let mut line = String::new();
std::io::stdin().read_line(&mut line)?;
println!("read {:?}", line);
"""


def test_a_line_is_asked_for(session):
    session.run("let kept = 41;")
    cell = session.run('print!("your name? ");' + READ, answers=["Ada Löwe"])
    assert cell.status == "ok", cell
    assert cell.stream() == 'your name? read "Ada Löwe\\n"\n'
    assert session.is_alive()


def test_several_lines_and_a_long_one(session):
    source = READ + "let mut second = String::new();\nstd::io::stdin().read_line(&mut second)?;\nsecond.len()"
    cell = session.run(source, answers=["one", "x" * 10_000])
    assert cell.value == "10001", cell


def test_a_password_is_asked_for_as_one(session):
    # The line that evcxr's crate for input writes.
    request = session.send('println!("EVCXR_INPUT_REQUEST_PASSWORD:your word? ");' + READ, allow_stdin=True)
    question = session.client.get_stdin_msg(timeout=240)
    assert question["content"] == {"prompt": "your word? ", "password": True}
    session.client.input("secret")
    cell = session.finish(request)
    assert (cell.status, cell.stream()) == ("ok", 'read "secret\\n"\n'), cell


def test_where_nobody_answers_it_is_an_error_and_not_the_end(session):
    session.run("let kept = 41;")
    cell = session.run(READ)
    assert (cell.status, cell.name) == ("error", "StdinNotImplementedError")
    assert cell.stream() == 'read ""\n'
    assert session.is_alive()


def test_an_interrupt_ends_the_question(session):
    session.run("let kept = 41;")
    request = session.send(READ, allow_stdin=True)
    assert session.client.get_stdin_msg(timeout=240)["msg_type"] == "input_request"
    session.interrupt()
    cell = session.finish(request)
    assert cell.name == "Interrupted", cell
    assert session.is_alive()
