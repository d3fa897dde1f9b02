"""A real scheduler, real workers and the bridge, each in its own process; trials are stubs."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

BRIDGE = Path(__file__).resolve().parents[1] / "bridge.py"

# A program whose trials check all their inputs, wait as long as the specification says, and report what they found.
STUB = f"""#!{sys.executable}
import json, os, sys, time
from pathlib import Path
assert sys.argv[1:] == ["--serve"]
here = Path(sys.argv[0]).parent
lib = Path(os.environ["LD_LIBRARY_PATH"])
for line in sys.stdin:
    spec = json.loads(line)
    if log := spec.get("log"):
        with open(log, "a") as file:
            file.write(f"{{spec['name']}} {{os.getpid()}}\\n")
    if broken := os.environ.get("BROKEN"):
        # As the system's loader says it.
        sys.exit(broken)
    if stage := spec.get("stage"):
        Path(stage["checkpoint"]).touch()
    if checkpoint := spec.get("checkpoint"):
        Path(checkpoint["folder"], spec["name"]).touch()
    time.sleep(spec.get("seconds", 0))
    if killed := spec.get("killed"):
        # As a machine does that runs out of memory: to the trial, or to the worker that runs it.
        os.kill(os.getpid() if killed == "trial" else os.getppid(), 9)
        time.sleep(60)
    if spec.get("fail"):
        print(json.dumps({{"error": spec["fail"]}}), flush=True)
        continue
    print(json.dumps({{"name": spec["name"], "threads": os.environ["OMP_NUM_THREADS"],
        "x": (Path(spec["data"]) / "X.npy").read_text(), "lib": (lib / "libone.so").read_text()}}), flush=True)
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


class Cluster:
    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes = []
        # Variables for all its processes, such as the paths of certificates.
        self.environment = {}

    def start(self, *words, cache=None):
        log = (self.folder / f"log-{len(self.processes)}").open("w")
        environment = dict(os.environ, XDG_CACHE_HOME=str(cache or self.folder / "cache")) | self.environment
        command = [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=self.folder)
        self.processes.append(process)
        return process

    def scheduler(self):
        return self.start("dask_scheduler", "--host", self.address.rsplit(":", 1)[0], "--port", str(self.port), "--no-dashboard")

    def worker(self, cache=None):
        words = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder)]
        return self.start("dask_worker", self.address, *words, cache=cache)

    def logs(self):
        return "".join(path.read_text() for path in self.folder.glob("log-*"))

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


class Search:
    """A search, as far as the bridge is concerned."""

    def __init__(self, address, folder, environment=None, bridge=BRIDGE, **needs):
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data/X.npy").write_text("images")
        (folder / "data/y.npy").write_text("labels")
        (folder / "libone.so").write_text("a library")
        program = folder / "trial"
        program.write_text(STUB)
        program.chmod(0o755)
        self.process = subprocess.Popen(
            [sys.executable, bridge],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=os.environ | (environment or {}),
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        given = {"address": address, "program": str(program), "libraries": [str(folder / "libone.so")]}
        self.send(given | {"data": str(folder / "data"), "store": None} | needs)
        self.slots, self.notes, self.fatal, self.answers = 0, [], None, {}

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def send(self, line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def trial(self, number, **spec):
        self.send({"number": number, "spec": {"name": f"t{number}", "threads": 1, "data": "elsewhere"} | spec})

    def take(self, condition, seconds=60):
        """Reads the bridge's lines until a condition is true."""
        end = time.monotonic() + seconds
        while not condition(self):
            line = self.lines.get(timeout=max(0.1, end - time.monotonic()))
            if line is None:
                assert condition(self), f"the bridge has ended; {self.fatal}"
                return
            self.slots = line.get("slots", self.slots)
            self.notes += [line["note"]] if "note" in line else []
            self.fatal = line.get("fatal", self.fatal)
            if "number" in line:
                assert line["number"] not in self.answers, "a trial was answered twice"
                self.answers[line["number"]] = line

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(20)


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    yield made
    made.close()


@pytest.fixture
def search(cluster, tmp_path):
    made = []

    def search(**needs):
        made.append(Search(needs.pop("address", cluster.address), tmp_path, **needs))
        return made[-1]

    yield search
    for one in made:
        one.process.kill()
        one.process.wait()


def alive(pid):
    # A single call: between two calls a process could end.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


__all__ = ["alive", "until", "signal"]
