"""Jupyter's protocol: Jupyter's own tests of kernels, and cases that they do not cover."""

import socket
import struct
from queue import Empty

import jupyter_kernel_test
import pytest
import zmq
from jupyter_client.session import Session as Signer


class TestProtocol(jupyter_kernel_test.KernelTests):
    kernel_name = "rust"
    language_name = "rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("oops");'
    code_generate_error = "let x: i32 = nowhere;"
    code_execute_result = [{"code": "6 * 7", "result": "42"}]
    code_display_data = [
        {
            "code": 'println!("EVCXR_BEGIN_CONTENT text/html\\n<b>b</b>\\nEVCXR_END_CONTENT\\nafter");',
            "mime": "text/html",
        }
    ]
    code_clear_output = 'println!("EVCXR_CLEAR_OUTPUT");'
    completion_samples = [{"text": "let longer_name = 1; longer_na", "matches": {"longer_name"}}]
    complete_code_samples = ["1 + 1", 'let s = "a (";', "fn one() -> i32 {\n    1\n}"]
    incomplete_code_samples = ["fn one() -> i32 {", 'let s = "one', "let x ="]
    invalid_code_samples = ["let x = (1];", "}"]
    code_page_something = ""
    code_inspect_sample = "std::mem::swap"
    code_history_pattern = "6 * 7"
    supported_history_operations = ("tail", "search", "range")


def test_the_kernel_says_what_it_is(session):
    info = session.ask("kernel_info_request")
    language = info["language_info"]
    assert (language["name"], language["file_extension"], language["pygments_lexer"]) == ("rust", ".rs", "rust")
    # CodeMirror's name of the language, so that JupyterLab highlights it.
    assert (language["mimetype"], language["codemirror_mode"]) == ("text/x-rustsrc", "rust")
    assert len(info["help_links"]) >= 3
    for link in info["help_links"]:
        assert set(link) == {"text", "url"}
        assert link["url"].startswith("https://"), "a page may open no files"
    assert session.ask("kernel_info_request", "control")["status"] == "ok"


def test_a_message_with_another_signature_is_dropped(session):
    client = session.client
    usual, client.session = client.session, Signer(key=b"somebody else's")
    client.shell_channel.session = client.session
    try:
        stranger = client.execute('println!("by a stranger");')
    finally:
        client.session = client.shell_channel.session = usual
    cell = session.run('println!("by the owner");')
    assert cell.stream() == "by the owner\n"
    with pytest.raises(Empty):
        while True:
            assert client.get_shell_msg(timeout=0.5)["parent_header"]["msg_id"] != stranger


def test_what_a_kernel_of_rust_has_not_is_refused_politely(session):
    refused = session.ask("debug_request", "control", type="request", seq=3, command="initialize", arguments={})
    assert (refused["success"], refused["request_seq"], refused["command"]) == (False, 3, "initialize")
    assert "no debugger" in refused["message"]
    assert session.ask("comm_info_request")["comms"] == {}
    assert session.ask("unheard_of_request")["status"] == "error"
    cell = session.run("40 + 2", user_expressions={"x": "1 + 1"})
    assert cell.value == "42"
    assert cell.reply["user_expressions"]["x"]["status"] == "error"


def test_a_comm_is_closed(session):
    message = session.client.session.msg("comm_open", {"comm_id": "7", "target_name": "nobody", "data": {}})
    session.client.shell_channel.send(message)
    while True:
        answer = session.client.get_iopub_msg(timeout=30)
        if answer["msg_type"] == "comm_close":
            assert answer["content"]["comm_id"] == "7"
            return


def test_busy_and_idle_frame_everything(session):
    cell = session.run('println!("one");\n2')
    kinds = [
        message["content"].get("execution_state", message["msg_type"]) for message in cell.messages
    ]
    assert kinds == ["busy", "execute_input", "stream", "execute_result", "idle"]
    assert cell.of("execute_input")[0]["execution_count"] == cell.reply["execution_count"]


def test_silent_cells_are_not_counted(session):
    before = session.run("1").reply["execution_count"]
    silent = session.run("1", silent=True)
    assert not silent.of("execute_input")
    assert session.run("", store_history=False).status == "ok"
    assert session.run("1").reply["execution_count"] == before + 1


def test_the_kernel_answers_while_a_cell_runs(session, gate):
    request = session.send('println!("begins");\n' + gate.wait)
    session.wait_for_text("begins")
    assert session.ask("kernel_info_request")["status"] == "ok"
    # What evcxr's analyser would know is not known now, what helpers' sources say is.
    assert session.ask("complete_request", code="let x = std::ve", cursor_pos=15)["matches"] == []
    assert "evaluate" in session.ask("complete_request", code="cnn.eva", cursor_pos=7)["matches"]
    assert session.ask("inspect_request", code="nobody_knows", cursor_pos=13, detail_level=0)["found"] is False
    found = session.ask("inspect_request", code="SplitConfig", cursor_pos=3, detail_level=0)
    assert "pub struct SplitConfig" in found["data"]["text/plain"]
    assert session.ask("history_request", hist_access_type="tail", n=1, output=False, raw=True)["status"] == "ok"
    assert session.client.hb_channel.is_beating()
    gate.open()
    assert session.finish(request).status == "ok"


def test_the_heart_goes_on_beating_when_a_client_breaks_off(session):
    address = session.manager.get_connection_info()
    for _ in range(3):
        with socket.create_connection((address["ip"], address["hb_port"])) as broken:
            broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            broken.sendall(b"\xff")
    context = zmq.Context.instance()
    with context.socket(zmq.REQ) as heart:
        heart.connect(f"tcp://{address['ip']}:{address['hb_port']}")
        # And one that breaks off with a question open.
        with context.socket(zmq.DEALER) as other:
            other.connect(f"tcp://{address['ip']}:{address['hb_port']}")
            other.send_multipart([b"", b"never read"])
        for beat in (b"one", b"two"):
            heart.send(beat)
            assert heart.poll(10_000), "no answer"
            assert heart.recv() == beat


def test_a_restart_gives_a_fresh_kernel_with_the_history_of_the_one_before(own_session):
    session = own_session
    session.run("let kept = 41;")
    session.manager.restart_kernel(now=False)
    session.client.wait_for_ready(timeout=240)
    assert session.run("kept").status == "error"
    assert session.run("40 + 2").reply["execution_count"] == 2
    found = session.ask("history_request", hist_access_type="search", pattern="let kept = ?1;", unique=True)
    assert [entry[2] for entry in found["history"]] == ["let kept = 41;"]
