"""The stand-ins for cargo and rustc in a session handle the cases that they know, and leave the rest to the real tools.

The kernel's program is called by these names, as evcxr calls them, with the test's own tools behind it.
"""

import hashlib
import json
import os
import resource
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import KERNEL

PROGRAM = KERNEL / "notebook-kernel"
BUILD = ["build", "--target", "here", "--message-format=json"]
CHECK = ["check", *BUILD[1:]]

MANIFEST = """
[package]
name = "ctx"

[profile.dev]
opt-level = 0

[dependencies]
helpers = { path = "HELPERS" }
"""
MISTAKE = {
    "$message_type": "diagnostic",
    "message": "no such name",
    "spans": [{"file_name": "src/lib.rs", "line_start": 1, "line_end": 1}],
    "children": [],
}
FULL = {
    "$message_type": "diagnostic",
    "level": "error",
    "message": "failed to write libctx.so: No space left on device (os error 28)",
    "spans": [],
    "children": [],
}
# Each one records how it was called. The compiler refuses a source that contains `mistake`.
RUSTC = """#!/bin/sh
echo "rustc $*" >> LOG
case "$*" in
*target-libdir*) echo /libraries ;;
*--version*) echo "rustc 1.2.3" ;;
*) if grep -q mistake src/lib.rs; then echo 'MISTAKE' >&2; exit 1; fi
   case "$*" in *--emit=link*) if grep -q unlinked src/lib.rs; then echo 'UNLINKED' >&2; exit 1; fi ;; esac
   if grep -q ended src/lib.rs; then kill -9 $$; fi
   if grep -q full src/lib.rs && [ -e DISK ]; then echo 'FULL' >&2; exit 1; fi
   cat src/lib.rs > libctx.so ;;
esac
"""
CARGO = """#!/bin/sh
echo "cargo $* in $PWD, $CARGO_HOME, $PATH" >> LOG
case "$1" in
build) "$RUSTC_WORKSPACE_WRAPPER" rustc --crate-name ctx src/lib.rs --crate-type cdylib --emit=dep-info,link \\
    -C metadata=12 --out-dir "$PWD/deps" --extern helpers=/deps/libhelpers.rlib --extern rand=/deps/librand.rlib ;;
metadata) printf '[[package]]\\nname = "rand"\\nversion = "9.9.9"\\n' > Cargo.lock; echo '{"packages": []}' ;;
esac
"""
LOCKED = '[[package]]\nname = "tch"\nversion = "0.26.0"\n'


def digest(*parts):
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part.encode()).to_bytes(8, "little") + part.encode())
    return whole.hexdigest()


class Project:
    """A repository with a warm build, and a session on it."""

    def __init__(self, folder):
        self.root = folder / "ein Plätzchen"
        self.log = folder / "log"
        self.tools = folder / "bin"
        kernel = self.root / ".tools" / "kernel"
        self.template, self.session = kernel / "templates" / "1", kernel / "sessions" / "1-2"
        for path in (self.root / "helpers" / "src", self.template / "target", self.session / "src", self.tools):
            path.mkdir(parents=True)
        self.files = [self.root / name for name in ("Cargo.lock", "helpers/Cargo.toml", "Cargo.toml")]
        self.source = self.root / "helpers" / "src" / "lib.rs"
        for path in [*self.files, self.source]:
            path.write_text("# as it was built\n")
        for name, text in (("rustc", RUSTC), ("cargo", CARGO)):
            unlinked = MISTAKE | {"message": "linking with `cc` failed: exit status: 1"}
            text = text.replace("MISTAKE", json.dumps(MISTAKE)).replace("UNLINKED", json.dumps(unlinked))
            text = text.replace("FULL", json.dumps(FULL)).replace("DISK", str(folder / "full"))
            (self.tools / name).write_text(text.replace("LOG", str(self.log)))
            (self.tools / name).chmod(0o755)
        (self.template / "target" / "libhelpers.rlib").write_text("compiled")
        for folder in (self.template, self.session):
            bin = folder / "tools" / "bin"
            bin.mkdir(parents=True)
            for name in ("cargo", "rustc", "rustup", "notebook-cell"):
                (bin / name).symlink_to(PROGRAM)
            (folder / "src").mkdir(exist_ok=True)
            (folder / "src" / "lib.rs").write_text("fn first() {}\n")
            (folder / "Cargo.toml").write_text(MANIFEST.replace("HELPERS", str(self.root / "helpers")))
            (folder / "Cargo.lock").write_text(LOCKED)
        (self.template / "configuration").mkdir()
        (self.template / "configuration" / "Cargo.lock").write_text(LOCKED)
        (self.template / "toolchain").mkdir()
        (self.template / "toolchain" / "rustc").write_text(str(self.tools / "rustc"))
        self.learn()

    def learn(self):
        """Records the warm build, as set-up does."""
        assert self.call("cargo", *BUILD, mode="learn", folder=self.template).returncode == 0
        assert self.call("cargo", "metadata", mode="learn", folder=self.template).returncode == 0
        looks = [self.look(path) for path in self.files]
        manifests = digest(*looks)
        everything = digest(manifests, self.look(self.root / "helpers" / "Cargo.toml"), self.look(self.source))
        (self.template / "toolchain" / "state").write_text(f"{manifests}\n{everything}\n")
        (self.template / "stamp").write_text("one\ntwo\n")
        self.log.unlink()

    @staticmethod
    def look(path):
        about = path.stat()
        return f"{path} {about.st_mtime_ns} {about.st_size}"

    def call(self, tool, *arguments, mode="know", folder=None, disk_is_full=False, **variables):
        folder = folder or self.session
        environment = {
            "PATH": f"{folder}/tools/bin:{self.tools}:/usr/bin:/bin",
            "CARGO_HOME": f"{folder}/tools",
            "NOTEBOOK_PATH": f"{self.tools}:/usr/bin:/bin",
            "NOTEBOOK_CARGO_HOME": "/own/home",
            "NOTEBOOK_TEMPLATE": str(self.template),
            "NOTEBOOK_TOOLS": mode,
            "NOTEBOOK_REPOSITORY": str(self.root),
            "EVCXR_TMPDIR": str(folder),
            "RUSTFLAGS": "-Cprefer-dynamic",
            **variables,
        }
        program = folder / "tools" / "bin" / tool
        # Like a full disk: whoever writes to a file gets an error. Python ignores the signal that comes with it.
        limit = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))) if disk_is_full else None
        return subprocess.run(
            [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
            preexec_fn=limit, restore_signals=not disk_is_full,
        )  # fmt: skip

    def build(self, source="fn f() {}\n", words=BUILD, **variables):
        """The result of a cell's build, and the real tools that it called."""
        (self.session / "src" / "lib.rs").write_text(source)
        self.log.unlink(missing_ok=True)
        done = self.call("cargo", *words, **variables)
        called = self.log.read_text().splitlines() if self.log.exists() else []
        return done, called


@pytest.fixture
def place(tmp_path):
    return Project(tmp_path)


def made(done):
    """The library that a build reports."""
    assert done.returncode == 0, done
    (artifact,) = [line for line in map(json.loads, done.stdout.splitlines()) if line["reason"] == "compiler-artifact"]
    assert artifact["target"]["name"] == "ctx"
    return Path(artifact["filenames"][0])


def messages(done):
    lines = map(json.loads, done.stdout.splitlines())
    return [line["message"] for line in lines if line["reason"] == "compiler-message"]


def test_a_cell_is_compiled_by_rustc_alone(place):
    done, called = place.build("fn f() {}\n")
    assert made(done).read_text().startswith("fn f() {}\n")
    assert len(called) == 1 and called[0].startswith("rustc src/lib.rs --crate-name ctx"), called
    assert "metadata=notebook" in called[0] and "--extern helpers=/deps/libhelpers.rlib" in called[0]
    assert not (place.session / "target").exists()


# As evcxr writes a cell.
WRAPPED = """pub extern "C" fn run_user_code_7() {
if std::panic::catch_unwind(|| {
let _ = (|| -> std::result::Result<(), EvcxrUserCodeError> {
first();
second(mistake);
Ok(())})();
}).is_err() {
    println!("EVCXR_PANIC_NOTIFICATION");
}
}
"""


def test_a_cell_notes_which_statement_runs_and_messages_do_not_show_it(place):
    done, _ = place.build(WRAPPED.replace("mistake", ""), NOTEBOOK_LINK="/nowhere")
    lines = made(done).read_text().splitlines()
    assert lines[2].endswith("EvcxrUserCodeError> { evcxr_at(4);")
    assert lines[3] == "first(); evcxr_at(5);"
    assert len(lines) > len(WRAPPED.splitlines()), "with what keeps the notes, at the end"
    # The compiler shows a line of the cell in its message.
    rustc = place.tools / "rustc"
    told = MISTAKE | {"rendered": "4 | first(); evcxr_at(5);"}
    rustc.write_text(rustc.read_text().replace(json.dumps(MISTAKE), json.dumps(told)))
    done, _ = place.build(WRAPPED, NOTEBOOK_LINK="/nowhere")
    assert [message["rendered"] for message in messages(done)] == ["4 | first();"]
    # Without the front nobody would read what it tells.
    assert "evcxr_at" not in made(place.build(WRAPPED.replace("mistake", ""))[0]).read_text()


def test_a_cell_that_cargo_compiles_notes_it_too(place):
    manifest = place.session / "Cargo.toml"
    manifest.write_text(manifest.read_text() + 'itertools = "0.13"\n')
    source = WRAPPED.replace("mistake", "")
    done, _ = place.build(source, NOTEBOOK_LINK="/nowhere")
    assert done.returncode == 0, done
    assert "first(); evcxr_at(5);" in (place.session / "cell" / "libctx.so").read_text()
    assert (place.session / "src" / "lib.rs").read_text() == source, "evcxr's own file, which cargo looks at"


def test_the_same_cell_is_not_compiled_again(place):
    first, _ = place.build()
    content = made(first).read_bytes()
    made(first).unlink()
    again, called = place.build()
    assert called == []
    assert made(again).read_bytes() == content

    refused, _ = place.build("fn mistake() {}\n")
    assert refused.returncode == 101 and messages(refused) == [MISTAKE]
    again, called = place.build("fn mistake() {}\n")
    assert called == []
    assert again.returncode == 101 and messages(again) == [MISTAKE]


def test_what_reads_a_file_is_compiled_again(place):
    for _ in range(2):
        _, called = place.build('const A: &str = include_str!("a");\n')
        assert len(called) == 1


def test_a_check_makes_no_library(place):
    done, called = place.build(words=CHECK)
    assert done.returncode == 0 and done.stdout == ""
    assert "--emit=metadata" in called[0]
    done, _ = place.build("fn mistake() {}\n", words=CHECK)
    assert messages(done) == [MISTAKE]


def left_to_cargo(place, why, **settings):
    done, called = place.build(**settings)
    assert done.returncode == 0, done
    called = called[next(at for at, line in enumerate(called) if line.startswith("cargo build")) :]
    assert f"Compiling this cell with cargo: {why}" in done.stderr
    # In a copy of the warm build.
    assert (place.session / "target" / "libhelpers.rlib").read_text() == "compiled"
    # The next one may take long, too.
    assert "Compiling this cell" in place.build(**settings)[0].stderr
    return called


def test_another_dependency_is_left_to_cargo(place):
    manifest = place.session / "Cargo.toml"
    manifest.write_text(manifest.read_text() + 'itertools = "0.13"\n')
    called = left_to_cargo(place, "it has other dependencies or settings")
    # The tools get the user's variables, and types stay the same from cell to cell.
    assert f"/own/home, {place.tools}:" in called[0]
    assert "metadata=notebook" in called[1]


def test_a_crate_of_the_warm_build_is_there_for_who_asks_for_it(place):
    """The warm build has a crate in addition to helpers (`notebook-kernel add`)."""
    session = place.session / "Cargo.toml"
    helpers_alone = session.read_text()
    (place.template / "Cargo.toml").write_text(helpers_alone + 'rand = "9.9"\n')
    place.learn()
    # `cargo metadata` has made a lock file that includes it.
    (place.template / "configuration" / "Cargo.lock").write_text((place.template / "Cargo.lock").read_text())
    for line in ("", 'rand = "9"\n', 'rand = "*"\n'):
        session.write_text(helpers_alone + line)
        done, called = place.build(f"fn f() {{}} // {line}")
        assert made(done) and len(called) == 1 and called[0].startswith("rustc src/lib.rs"), called
        assert ("--extern rand=" in called[0]) == bool(line), called
        # cargo is called once for each selection of crates.
        place.log.unlink()
        for _ in range(2):
            assert place.call("cargo", "metadata").returncode == 0
        # The selection with helpers only was recorded before.
        assert (place.log.read_text() if place.log.exists() else "").count("cargo metadata") == bool(line)
    session.write_text(helpers_alone + 'rand = "8"\n')
    left_to_cargo(place, "it has other dependencies or settings")


def test_another_profile_is_left_to_cargo(place):
    manifest = place.session / "Cargo.toml"
    manifest.write_text(manifest.read_text().replace("opt-level = 0", "opt-level = 0\noverflow-checks = false"))
    left_to_cargo(place, "it has other dependencies or settings")


def test_other_flags_are_left_to_cargo(place):
    left_to_cargo(place, "it has other dependencies or settings", RUSTFLAGS="-Ctarget-cpu=native")


def test_edited_helpers_are_left_to_cargo(place):
    place.build()
    place.source.write_text("// another one\n")
    left_to_cargo(place, "helpers or the versions of crates have changed")


def test_another_compiler_is_left_to_cargo(place):
    left_to_cargo(place, "the compiler or the settings have changed", mode="forget")


def test_what_cannot_be_linked_is_left_to_cargo(place):
    left_to_cargo(place, "it cannot be linked", source="fn unlinked() {}\n")


def test_a_compiler_that_is_ended_is_not_followed_by_another(place):
    done, called = place.build("fn ended() {}\n")
    assert done.returncode == 101
    assert [line.split()[0] for line in called] == ["rustc"]


def test_a_warm_build_that_is_gone_is_one_sentence(place):
    (place.template / "stamp").unlink()
    done, called = place.build()
    assert done.returncode == 101 and called == []
    (message,) = messages(done)
    assert "run `cargo xtask setup`, then restart the kernel" in message["message"]


def test_a_full_disk_is_one_sentence_and_the_next_build_works(place):
    done, called = place.build("fn g() {}\n", disk_is_full=True)
    assert done.returncode == 101 and called == []
    (message,) = messages(done)
    assert message["message"].startswith(f"the kernel cannot write to {place.session}/cell: "), message
    assert made(place.build("fn g() {}\n")[0]).read_text().startswith("fn g() {}\n")


def test_a_full_disk_that_the_compiler_finds_is_not_remembered(place):
    full = place.tools.parent / "full"
    full.touch()
    for _ in range(2):
        done, called = place.build("fn full() {}\n")
        assert done.returncode == 101 and len(called) == 1
        assert messages(done) == [FULL]
    full.unlink()
    assert made(place.build("fn full() {}\n")[0]).exists()


@pytest.mark.parametrize("damage", ["file", "damaged"])
def test_what_cannot_be_kept_is_compiled(place, damage):
    cells = place.template / "toolchain" / "cells"
    if damage == "file":
        cells.write_text("in the way")
    else:
        place.build()
        for file in cells.iterdir():
            file.write_bytes(file.read_bytes()[:-1])
    done, called = place.build()
    assert made(done).read_text().startswith("fn f() {}\n")
    assert len(called) == 1


def test_two_kernels_at_once(place):
    place.build()
    others = []
    for number in range(4):
        other = place.session.with_name(f"{number}-3")
        subprocess.run(["cp", "-a", place.session, other], check=True)
        others.append(other)
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda folder: place.call("cargo", *BUILD, folder=folder), others * 3))
    for one in done:
        assert made(one).read_text().startswith("fn f() {}\n")
    assert all(file.suffix in (".so", ".json") for file in (place.template / "toolchain" / "cells").iterdir())


def test_questions_are_answered_as_they_were(place):
    answer = place.call("cargo", "metadata")
    assert json.loads(answer.stdout) == {"packages": []}
    assert not place.log.exists()
    assert place.call("rustup", "which", "cargo").stdout.strip() == f"{place.session}/tools/bin/cargo"


def test_a_question_about_another_dependency_forgets_no_version(place):
    manifest = place.session / "Cargo.toml"
    manifest.write_text(manifest.read_text() + 'rand = "9"\n')
    assert place.call("cargo", "metadata").returncode == 0
    assert "cargo metadata" in place.log.read_text()
    locked = (place.session / "Cargo.lock").read_text()
    assert '"tch"\nversion = "0.26.0"' in locked and '"rand"\nversion = "9.9.9"' in locked


def test_everything_else_goes_to_the_real_tool(place):
    assert place.call("rustc", "--version").stdout == "rustc 1.2.3\n"
    assert place.call("cargo", "publish").returncode == 0
    assert "cargo publish in" in place.log.read_text()
    assert place.call("rustc", "--version", NOTEBOOK_TOOLS="").returncode != 0
