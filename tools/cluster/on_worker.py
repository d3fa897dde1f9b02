"""The code that runs on a worker of the cluster: it keeps files by their content, and runs a trial. It is sent there
with its source, so that a worker only needs Python and `distributed`.

The store has each file once, under its SHA-256, for any number of trials and searches: programs and libraries in
`files/SHA`; a folder of links gives a set of files its names.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

# Seconds between two checks whether the trial is still needed.
PAUSE = 0.2
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


def folder_of(order: dict) -> Path:
    """The folder of links with the names of the files."""
    listed = json.dumps(sorted((name, sum_) for name, sum_, _ in order["files"]))
    store = store_of(order)
    folder = store / "sets" / hashlib.sha256(listed.encode()).hexdigest()
    if folder.is_dir():
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
    decisive = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile"]
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


def has_ended(trial: subprocess.Popen) -> bool:
    """Waits for the end of the trial, but only for a short time."""
    try:
        trial.wait(PAUSE)
    except subprocess.TimeoutExpired:
        return False
    return True


def run_trial(order: dict, spec: str) -> dict:
    """Runs a trial; returns the hashes of `missing` files, or the `result` as text, or an `error`, what the program says
    is wrong with the trial, or a `problem`, why it did not run to its end here; and the processor and the worker."""
    told = {"processor": processor(), "worker": None}
    still_needed = lambda: True
    try:
        from distributed import get_worker

        worker = get_worker()
        key = worker.get_current_task()
        told["worker"] = worker.address

        def still_needed() -> bool:
            task = worker.state.tasks.get(key)
            return task is not None and task.state not in ("cancelled", "released", "forgotten")

    except (ImportError, ValueError):
        pass
    try:
        absent = missing(order)
        return told | ({"missing": absent} if absent else ended(folder_of(order), order, json.loads(spec), still_needed))
    except OSError as error:
        return told | {"problem": f"the trial cannot start on {platform.node()}: {error}"}


def ended(folder: Path, order: dict, given: dict, still_needed) -> dict:
    """Runs the program in this folder to its end; returns what came of it."""
    given["data"] = str(folder / "data")
    if stage := given.get("stage"):
        # The folder of the search is on another machine. If the stage before ran on another worker, the training starts
        # from the beginning, and has the same result.
        kept = store_of(order) / "checkpoints"
        kept.mkdir(parents=True, exist_ok=True)
        for name in ("checkpoint", "resume_from"):
            stage[name] = stage[name] and str(kept / Path(stage[name]).name)
    libraries = str(folder / "lib")
    environment = dict(os.environ, OMP_NUM_THREADS=str(given.get("threads", 1)), LD_LIBRARY_PATH=libraries, DYLD_LIBRARY_PATH=libraries)
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(json.dumps(given).encode())
        stdin.seek(0)
        trial = subprocess.Popen(
            [folder / "trial"], stdin=stdin, stdout=stdout, stderr=stderr, env=environment, preexec_fn=die_with_worker
        )
        while not has_ended(trial):
            if not still_needed():
                trial.kill()
                trial.wait()
                return {"problem": "nobody waits for it any longer"}
        stdout.seek(0)
        stderr.seek(0)
        printed = stderr.read()[-65536:].decode(errors="replace").splitlines()
        if trial.returncode == 0:
            return {"result": stdout.read().decode(errors="replace")}
    said = next((line.removeprefix("error: ") for line in reversed(printed) if line.startswith("error: ")), None)
    if said and trial.returncode > 0:
        return {"error": said}
    if trial.returncode == -signal.SIGKILL:
        return {"problem": f"the trial was killed on {platform.node()}, as a machine does that runs out of memory"}
    last = printed[-1] if printed else "it printed nothing"
    return {"problem": f"the trial ended with status {trial.returncode} on {platform.node()}: {last}"}
