"""The code that runs on a worker of the cluster: it keeps files by their content, and runs trials. It is sent there
with its source, so that a worker only needs Python and `distributed`.

The store has each file once, under its SHA-256, for any number of trials and searches: programs and libraries in
`files/SHA`; a folder of links in `sets` gives a set of files its names. What was not used for a month is removed when
something new comes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path

# Seconds between two checks whether the trial is still needed.
PAUSE = 0.2
# Seconds that a process waits for its next trial, unless the search sets another time.
IDLE = 60
# Seconds after which a set of files, or a checkpoint, that nobody uses is removed.
MONTH = 30 * 86400
# Bytes of a file that are hashed at once: a data set may be larger than the memory.
PIECE = 16 << 20


def sum_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    hash_ = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            hash_.update(piece)
    return hash_.hexdigest()


def store_of(order: dict) -> Path:
    """The folder for files: the one that all machines see, if given, or one on this machine."""
    if order["store"]:
        return Path(order["store"])
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "rust-notebooks"


def missing(order: dict) -> list[str]:
    """The hashes of the files that are not here."""
    files = store_of(order) / "files"
    return sorted({sum_ for _, sum_, size in order["files"] if not is_whole(files / sum_, size)})


def is_whole(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def keep(order: dict, sum_: str, offset: int, piece: bytes, last: bool) -> None:
    """Writes a piece of a file; after the last one the file is checked and gets its name.

    Raises ValueError if the file does not have its hash.
    """
    files = store_of(order) / "files"
    files.mkdir(parents=True, exist_ok=True)
    # The name is unique: two searches may send the same file, and two workers may write it at the same time.
    part = files / f"{sum_}.{order['search']}.{platform.node()}-{os.getpid()}.part"
    with part.open("r+b" if offset else "wb") as file:
        file.seek(offset)
        file.write(piece)
    if not last:
        return
    found = sum_of(part)
    if found != sum_:
        part.unlink()
        raise ValueError(f"a file arrived with SHA-256 {found}, not {sum_}")
    part.chmod(0o555)
    os.replace(part, files / sum_)
    try:
        # The files of this search may be old ones that it found here, whose set is made with its first trial.
        sweep(files.parent, {sum_ for _, sum_, _ in order["files"]})
    except OSError:
        # Another process removes something at the same time.
        pass


def sweep(store: Path, used: set[str]) -> None:
    """Removes what was not used for a month: sets of files, files of no set, and checkpoints; but not the files that are
    `used`. What cannot be removed, such as another user's files, only takes space."""

    def inside(name: str) -> list[Path]:
        return list((store / name).iterdir()) if (store / name).is_dir() else []

    def is_old(path: Path) -> bool:
        try:
            return path.stat().st_mtime < time.time() - MONTH
        except OSError:
            return False

    for folder in filter(is_old, inside("sets")):
        shutil.rmtree(folder, ignore_errors=True)
    used = used | {Path(os.readlink(link)).name for link in (store / "sets").rglob("*") if link.is_symlink()}
    for path in inside("files") + inside("checkpoints"):
        if path.name not in used and is_old(path):
            try:
                path.unlink()
            except OSError:
                pass


def folder_of(order: dict) -> Path:
    """The folder of links with the names of the files."""
    listed = json.dumps(sorted((name, sum_) for name, sum_, _ in order["files"]))
    store = store_of(order)
    folder = store / "sets" / hashlib.sha256(listed.encode()).hexdigest()
    if folder.is_dir():
        try:
            # Its age is the time since its last use.
            os.utime(folder)
        except OSError:
            pass
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Not `mkdtemp`, which makes folders for one user alone: several users may share the store.
    made = folder.parent / f"new-{uuid.uuid4().hex}"
    made.mkdir()
    for name, sum_, _ in order["files"]:
        target = made / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(store.resolve() / "files" / sum_)
    try:
        made.rename(folder)
    except OSError:
        # Another process was faster.
        for path in sorted(made.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        made.rmdir()
    return folder


def processor() -> str:
    """The instruction sets of the processor, on which the last digits of a result depend."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    flags = next((line.split(":", 1)[1].split() for line in text.splitlines() if line.startswith("flags")), [])
    decisive = ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile"]
    return " ".join([platform.machine(), *(flag for flag in decisive if flag in flags)])


def forget(order: dict, names: list[str]) -> None:
    """Removes these checkpoints, and those that a search which was killed left a week ago."""
    kept = store_of(order) / "checkpoints"
    for path in kept.iterdir() if kept.is_dir() else ():
        try:
            if path.name in names or path.stat().st_mtime < time.time() - 7 * 86400:
                path.unlink()
        except OSError:
            pass


def die_with_worker() -> None:
    """Makes the system kill the trial if its worker dies (Linux)."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (AttributeError, OSError):
        pass


class Process:
    """The program, which runs one trial after the other: starting it and loading the data takes as long as a small trial."""

    def __init__(self, folder: Path, threads: int):
        libraries = str(folder / "lib")
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), LD_LIBRARY_PATH=libraries, DYLD_LIBRARY_PATH=libraries)
        self.runs = (folder, threads)
        self.stderr = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            [folder / "trial", "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env=environment,
            preexec_fn=die_with_worker,
        )

    def ask(self, spec: bytes, still_needed) -> bytes | None:
        """The line with which it answers a trial; a part of one, or nothing, if it has ended; None if it was ended because
        nobody needs the answer any more."""
        # The program writes on at the place that it shares with this file.
        os.lseek(self.stderr.fileno(), 0, os.SEEK_SET)
        os.ftruncate(self.stderr.fileno(), 0)
        try:
            self.child.stdin.write(spec + b"\n")
            self.child.stdin.flush()
        except OSError:
            pass
        answer = b""
        with selectors.DefaultSelector() as ready:
            ready.register(self.child.stdout, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                if ready.select(PAUSE):
                    piece = os.read(self.child.stdout.fileno(), 1 << 20)
                    if not piece:
                        break
                    answer += piece
                elif not still_needed():
                    self.end()
                    return None
        return answer

    def printed(self) -> list[str]:
        """The last lines of its stderr."""
        size = os.fstat(self.stderr.fileno()).st_size
        return os.pread(self.stderr.fileno(), 65536, max(0, size - 65536)).decode(errors="replace").splitlines()

    def end(self) -> int:
        """Ends it; returns its status, which is that of a process that had ended before."""
        self.child.kill()
        for pipe in (self.child.stdin, self.child.stdout):
            try:
                pipe.close()
            except OSError:
                pass
        return self.child.wait()


def take(idle: list, runs: tuple) -> Process:
    """A process that waits for such a trial, or a new one."""
    for process in list(idle):
        if process.runs == runs and process.child.poll() is None:
            try:
                # Whoever removes it from the list has it: this thread, another one, or the clock.
                idle.remove(process)
            except ValueError:
                continue
            process.clock.cancel()
            return process
    return Process(*runs)


def put_back(idle: list, process: Process, seconds: float) -> None:
    """Has a process wait for its next trial, but not for ever: it holds the data in memory."""

    def over() -> None:
        try:
            idle.remove(process)
        except ValueError:
            return
        process.end()

    # Another thread may take the process, and give it another clock, as soon as it is in the list.
    clock = process.clock = threading.Timer(seconds, over)
    clock.daemon = True
    idle.append(process)
    clock.start()


def run_trial(order: dict, spec: str) -> dict:
    """Runs a trial; returns the hashes of `missing` files, or the `result` as text, or an `error`, what the program says
    is wrong with the trial, or a `problem`, why it did not run to its end here; and the processor and the worker."""
    told = {"processor": processor(), "worker": None}
    still_needed, idle = lambda: True, []
    try:
        from distributed import get_worker

        worker = get_worker()
        key = worker.get_current_task()
        told["worker"] = worker.address
        # The worker keeps its processes: what it is sent with the next task is another copy of this module.
        idle = worker.__dict__.setdefault("idle_processes", [])

        def still_needed() -> bool:
            task = worker.state.tasks.get(key)
            return task is not None and task.state not in ("cancelled", "released", "forgotten")

    except (ImportError, ValueError):
        pass
    try:
        absent = missing(order)
        return told | ({"missing": absent} if absent else ended(idle, order, json.loads(spec), still_needed))
    except OSError as error:
        return told | {"problem": f"the trial cannot start on {platform.node()}: {error}"}


def ended(idle: list, order: dict, given: dict, still_needed) -> dict:
    """Has a process run the trial to its end; returns what came of it."""
    folder = folder_of(order)
    given["data"] = str(folder / "data")
    # The folder of the search is on another machine. If a trial, or the stage before, ran on another worker, the training
    # starts from the beginning, and has the same result.
    kept = store_of(order) / "checkpoints"
    kept.mkdir(parents=True, exist_ok=True)
    if stage := given.get("stage"):
        for name in ("checkpoint", "resume_from"):
            stage[name] = stage[name] and str(kept / Path(stage[name]).name)
    if checkpoint := given.get("checkpoint"):
        checkpoint["folder"] = str(kept)
    process = take(idle, (folder, given.get("threads", 1)))
    answer = process.ask(json.dumps(given).encode(), still_needed)
    if answer is None:
        return {"problem": "nobody waits for it any longer"}
    if answer.endswith(b"\n"):
        put_back(idle, process, order.get("idle", IDLE))
        told = json.loads(answer)
        return told if set(told) == {"error"} else {"result": answer.decode()}
    try:
        # It is about to end by itself.
        process.child.wait(5)
    except subprocess.TimeoutExpired:
        pass
    status, printed = process.end(), process.printed()
    said = next((line.removeprefix("error: ") for line in reversed(printed) if line.startswith("error: ")), None)
    if said and status > 0:
        return {"error": said}
    if status == -signal.SIGKILL:
        return {"problem": f"the trial was killed on {platform.node()}, as a machine does that runs out of memory"}
    last = printed[-1] if printed else "it printed nothing"
    return {"problem": f"the trial ended with status {status} on {platform.node()}: {last}"}
