"""Trials on a Dask cluster have the same results as on one machine, whatever happens to its processes."""

import asyncio
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import bridge
import on_worker
from conftest import BRIDGE, alive, until
from distributed.client import ClosedClientError


def found(search, count):
    search.take(lambda one: len(one.answers) == count)
    return [json.loads(search.answers[number]["result"]) for number in sorted(search.answers)]


def started(log):
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def test_trials_run_with_all_they_need_and_files_arrive_once(cluster, search, tmp_path):
    cluster.scheduler()
    for name in ("one", "two"):
        cluster.worker(cache=tmp_path / name)
    one = search()
    one.take(lambda it: it.slots == 2)
    for number in range(8):
        one.trial(number, seconds=0.2)
    results = found(one, 8)
    assert [result["name"] for result in results] == [f"t{number}" for number in range(8)]
    assert {(result["x"], result["lib"], result["threads"]) for result in results} == {("images", "a library", "1")}
    times = {}
    for name in ("one", "two"):
        files = list((tmp_path / name / "rust-notebooks/files").iterdir())
        assert len(files) == 4 and all(path.name == on_worker.hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
        times[name] = {path: path.stat().st_mtime_ns for path in files}
    one.close()
    # Another search with the same files sends none.
    two = search()
    two.trial(0)
    two.trial(1)
    found(two, 2)
    assert all(path.stat().st_mtime_ns == at for files in times.values() for path, at in files.items())


def test_a_process_runs_one_trial_after_the_other_and_ends_when_none_comes(cluster, search, tmp_path):
    cluster.scheduler()
    cluster.worker()
    one, log = search(idle=2), tmp_path / "started"
    # One that fails leaves the process as it is, and other threads need another process.
    for number, (threads, fail) in enumerate([(1, None), (1, "no"), (1, None), (2, None), (1, None)]):
        one.trial(number, log=str(log), threads=threads, fail=fail)
        one.take(lambda it: len(it.answers) == number + 1)
    names, pids = zip(*started(log))
    assert names == ("t0", "t1", "t2", "t3", "t4")
    assert pids[0] == pids[1] == pids[2] == pids[4] != pids[3]
    until(lambda: not any(alive(int(pid)) for pid in pids), 20)
    # Another one is started then; as where it was killed while it waited.
    for number in (5, 6):
        one.trial(number, log=str(log))
        one.take(lambda it: len(it.answers) == number + 1)
        os.kill(pid := int(started(log)[-1][1]), signal.SIGKILL)
        until(lambda: not alive(pid))
    assert ["result" in one.answers[number] for number in range(7)] == [True, False, True, True, True, True, True]


def test_a_trial_that_fails_says_why_and_the_others_go_on(cluster, search):
    cluster.scheduler()
    cluster.worker()
    one = search()
    one.trial(0, fail="`dropout` must lie in 0..1")
    one.trial(1)
    one.take(lambda it: len(it.answers) == 2)
    assert one.answers[0]["error"] == "`dropout` must lie in 0..1"
    assert json.loads(one.answers[1]["result"])["name"] == "t1"


def test_a_worker_that_is_killed_takes_its_trial_with_it(cluster, search, tmp_path):
    cluster.scheduler()
    workers = [cluster.worker() for _ in range(2)]
    one, log = search(), tmp_path / "started"
    one.take(lambda it: it.slots == 2)
    for number in range(2):
        # Far longer than this test takes: none ends by itself.
        one.trial(number, seconds=600, log=str(log))
    until(lambda: len(started(log)) == 2)
    pids = [int(pid) for _, pid in started(log)]
    workers[0].kill()
    until(lambda: [alive(pid) for pid in pids].count(False) == 1)


def test_another_worker_runs_what_a_killed_one_had(cluster, search, tmp_path):
    cluster.scheduler()
    workers = [cluster.worker() for _ in range(2)]
    one, log = search(), tmp_path / "started"
    one.take(lambda it: it.slots == 2)
    one.trial(0, seconds=3, log=str(log))
    one.trial(1, seconds=3, log=str(log))
    until(lambda: len(started(log)) == 2)
    workers[0].kill()
    assert [result["name"] for result in found(one, 2)] == ["t0", "t1"]
    assert len(started(log)) == 3, "one of them was begun again"


def test_where_memory_is_short_it_is_said(cluster, search, tmp_path):
    # By default a trial is begun anew many times when its workers die; here, never.
    cluster.environment = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    cluster.scheduler()
    cluster.worker()
    one = search(wait=2, **changed_bridge(tmp_path, "DEATHS = 5", "DEATHS = 0"))
    one.trial(0, killed="trial")
    one.take(lambda it: 0 in it.answers)
    assert one.answers[0]["error"] == f"the trial was killed on {platform.node()}, as a machine does that runs out of memory"
    one.trial(1, killed="worker")
    one.take(lambda it: 1 in it.answers)
    assert one.answers[1]["error"] == "one worker after the other died while it ran it; do they have enough memory?"
    # The other trials continue.
    cluster.worker()
    one.trial(2)
    one.take(lambda it: 2 in it.answers)
    assert "result" in one.answers[2]


def test_workers_that_are_taken_away_are_no_fault_of_the_trial(cluster, search):
    cluster.environment = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    cluster.scheduler()
    one = search()
    one.trial(0, seconds=2)
    for _ in range(2):
        worker = cluster.worker()
        one.take(lambda it: it.slots == 1)
        worker.kill()
        one.take(lambda it: it.slots == 0)
    cluster.worker()
    assert [result["name"] for result in found(one, 1)] == ["t0"]


LOADER = "/lib/libc.so.6: version `GLIBC_2.99' not found"


def test_a_node_that_can_run_nothing_does_not_eat_the_search(cluster, search):
    cluster.scheduler()
    cluster.environment = {"BROKEN": LOADER}
    cluster.worker()
    one = search()
    one.take(lambda it: it.slots == 1)
    cluster.environment = {}
    cluster.worker()
    one.take(lambda it: it.slots == 2)
    for number in range(10):
        one.trial(number, seconds=0.2)
    assert [result["name"] for result in found(one, 10)] == [f"t{number}" for number in range(10)]
    one.take(lambda it: it.slots == 1)
    notes = [note for note in one.notes if "gets no more of them" in note]
    assert len(notes) == 1 and "has failed 3 trials in a row" in notes[0] and notes[0].endswith(LOADER)


def test_what_no_worker_can_run_fails_with_the_reason_and_the_search_stops_where_none_can(cluster, search):
    cluster.scheduler()
    cluster.environment = {"BROKEN": LOADER}
    for _ in range(3):
        cluster.worker()
    one = search(wait=2)
    one.take(lambda it: it.slots == 3)
    for number in range(3):
        one.trial(number)
        one.take(lambda it: number in it.answers)
        assert one.answers[number]["error"].endswith(f"on {platform.node()}: {LOADER}")
    one.trial(3)
    one.take(lambda it: it.fatal)
    assert one.fatal.startswith("no worker of the cluster can run trials: ") and one.fatal.endswith(LOADER)


def test_why_a_worker_does_not_take_a_file_is_said(cluster, search, tmp_path):
    cluster.scheduler()
    (tmp_path / "no folder").touch()
    cluster.worker(cache=tmp_path / "no folder")
    one = search(wait=2)
    one.trial(0)
    one.take(lambda it: 0 in it.answers)
    assert "did not take the files for it: NotADirectoryError: " in one.answers[0]["error"]


class OneAnswer:
    """A client whose tasks all end in the same way: with this answer, or this exception."""

    status = "running"

    def __init__(self, answer):
        self.answer = answer

    def submit(self, *_, **__):
        future = asyncio.get_running_loop().create_future()
        future.set_exception(self.answer) if isinstance(self.answer, Exception) else future.set_result(self.answer)
        return future

    async def run_on_scheduler(self, *_):
        return ["a"]

    async def close(self, fast):
        pass


RESULT = {"worker": "a", "processor": on_worker.processor(), "result": "r"}


def answers_of(monkeypatch, folder, client, again=None):
    """What the bridge says about a trial that it gives to a client, and to another one after that."""
    (folder / "trial").touch()
    one = bridge.Bridge({"address": "", "program": folder / "trial", "libraries": [], "data": folder, "wait": 0})
    one.client, one.workers, said = client, {"a": 1}, []

    async def connect(_):
        one.client = again

    monkeypatch.setattr(one, "connect", connect)
    monkeypatch.setattr(bridge, "say", lambda **line: said.append(line))
    asyncio.run(asyncio.wait_for(one.run(1, {}), 30))
    return [line for line in said if "number" in line]


def test_an_exception_without_a_text_is_an_answer(monkeypatch, tmp_path):
    for error in (AssertionError(), KeyError(""), ValueError("\n")):
        said = answers_of(monkeypatch, tmp_path, OneAnswer(error))
        assert said[0]["error"].startswith(type(error).__name__), said


def test_a_trial_that_meets_a_closed_client_goes_to_the_next_one(monkeypatch, tmp_path):
    class Closing(OneAnswer):
        def submit(self, *_, **__):
            self.status = "closed"
            raise ClosedClientError("it is closed")

    closed = OneAnswer(ClosedClientError("it is closed"))
    closed.status = "closed"
    for client in (closed, Closing(None)):
        assert answers_of(monkeypatch, tmp_path, client, OneAnswer(RESULT)) == [{"number": 1, "result": "r"}]


def test_a_task_whose_workers_have_all_left_is_taken_back(monkeypatch, tmp_path):
    (tmp_path / "trial").touch()
    one = bridge.Bridge({"address": "", "program": tmp_path / "trial", "libraries": [], "data": tmp_path})
    one.client, cancelled = FakeClient(a=versions()), []

    class Future:
        def __init__(self, name):
            self.name = name

        async def cancel(self):
            cancelled.append(self.name)

    one.bound = {"one": (Future("one"), {"a", "gone"}), "two": (Future("two"), {"gone"})}

    async def sleep(_):
        raise asyncio.CancelledError

    monkeypatch.setattr(bridge, "say", lambda **_: None)
    monkeypatch.setattr(bridge.asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(one.watch_slots())
    assert cancelled == ["two"]


def test_files_go_to_a_few_places_at_once(tmp_path):
    (tmp_path / "trial").write_text("program")
    one = bridge.Bridge({"address": "", "program": tmp_path / "trial", "libraries": [], "data": tmp_path})
    running, most = set(), []

    class Client:
        async def run(self, _, name, *arguments, workers):
            if name == "missing":
                return {workers[0]: list(one.sources)}
            running.add(workers[0])
            most.append(len(running))
            await asyncio.sleep(0.01)
            running.discard(workers[0])

    async def provide():
        one.client = Client()
        await asyncio.gather(*(one.provide(f"tcp://host{number}:1", list(one.sources)) for number in range(12)))

    asyncio.run(provide())
    assert len(most) == 12 and max(most) == 4


def test_checkpoints_go_when_the_search_says_so(cluster, search, tmp_path):
    cluster.scheduler()
    cluster.worker()
    kept = tmp_path / "cache/rust-notebooks/checkpoints"
    one = search()
    for number, name in enumerate(("one", "two", "old")):
        one.trial(number, stage={"epochs": 1, "checkpoint": f"/elsewhere/{name}.safetensors", "resume_from": None})
    # That of a trial that is killed lies where the next worker of this machine finds it.
    one.trial(3, checkpoint={"folder": "/elsewhere", "seconds": 30.0})
    found(one, 4)
    names = {path.name for path in kept.iterdir()}
    assert names == {"one.safetensors", "two.safetensors", "old.safetensors", "t3"}
    (kept / "t3").unlink()
    os.utime(kept / "old.safetensors", (time.time() - 8 * 86400,) * 2)
    # It is done before the bridge ends.
    one.send({"forget": ["one.safetensors", "unknown.safetensors"]})
    one.close()
    assert [path.name for path in kept.iterdir()] == ["two.safetensors"]


def test_a_slow_worker_is_waited_for_and_one_that_is_cut_off_is_not(cluster, search, tmp_path):
    # By default a scheduler drops a silent worker after five minutes; here, after seconds.
    cluster.environment = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "6s"}
    cluster.scheduler()
    workers = [cluster.worker() for _ in range(2)]
    one, log = search(idle=0), tmp_path / "started"
    one.take(lambda it: it.slots == 2)
    one.trial(0, seconds=1.5, log=str(log))
    one.trial(1, seconds=1.5, log=str(log))
    until(lambda: len(started(log)) == 2)
    # A slow worker, with a tenth of the processor's time: no trial is started twice because of that.
    one.trial(2, log=str(log))
    for _ in range(3):
        workers[0].send_signal(signal.SIGSTOP)
        time.sleep(0.9)
        workers[0].send_signal(signal.SIGCONT)
        time.sleep(0.1)
    found(one, 3)
    assert len(started(log)) == 3
    # A worker that was cut off: it sends nothing any more, as with an unplugged cable.
    one.trial(3, seconds=1.5, log=str(log))
    one.trial(4, seconds=1.5, log=str(log))
    until(lambda: len(started(log)) == 5)
    workers[0].send_signal(signal.SIGSTOP)
    assert [result["name"] for result in found(one, 5)] == ["t0", "t1", "t2", "t3", "t4"]
    assert len(started(log)) == 6, "its trial was begun again elsewhere"
    # When it is back, it finishes its trial, but nobody waits for the result.
    workers[0].send_signal(signal.SIGCONT)
    until(lambda: not any(alive(int(pid)) for _, pid in started(log)))
    assert len(one.answers) == 5


def test_workers_that_come_later_help(cluster, search):
    cluster.scheduler()
    one = search()
    for number in range(3):
        one.trial(number)
    cluster.worker()
    found(one, 3)
    one.take(lambda it: it.slots == 1)
    cluster.worker()
    one.take(lambda it: it.slots == 2)


def test_a_scheduler_that_comes_again_gets_everything_again(cluster, search, tmp_path):
    scheduler = cluster.scheduler()
    cluster.worker()
    one, log = search(), tmp_path / "started"
    one.trial(0)
    found(one, 1)
    for number in range(1, 4):
        one.trial(number, seconds=1, log=str(log))
    until(lambda: started(log))
    scheduler.kill()
    scheduler.wait()
    one.take(lambda it: any("lost the scheduler" in note for note in it.notes))
    cluster.scheduler()
    cluster.worker()
    assert [result["name"] for result in found(one, 4)] == ["t0", "t1", "t2", "t3"]
    assert any("there again" in note for note in one.notes)


def versions(python="3.11.7", distributed="2026.8.0"):
    return {"packages": {"python": python, "distributed": distributed}}


class FakeClient:
    """A client that answers the bridge's questions about workers."""

    def __init__(self, **workers):
        self.workers, self.of_scheduler, self.asked = workers, versions(), 0

    async def nthreads(self):
        return dict.fromkeys(self.workers, 1)

    async def get_versions(self, check):
        self.asked += 1
        return {"client": versions(), "scheduler": self.of_scheduler, "workers": dict(self.workers)}


def test_other_versions_are_said_whenever_they_come_and_once(tmp_path, monkeypatch):
    (tmp_path / "trial").touch()
    one = bridge.Bridge({"address": "", "program": tmp_path / "trial", "libraries": [], "data": tmp_path})
    one.client = client = FakeClient(a=versions("3.11.2"))
    # The same workers later, and another scheduler.
    other = FakeClient(a=versions("3.11.2"), b=versions("3.12.1"))
    other.of_scheduler = versions("3.9.0")
    said = [[]]

    def looked():
        """The changes between two checks."""
        yield client.workers.update(b=versions("3.12.1"), c=versions(distributed="2024.1.0"), d=versions("3.12.1"))
        yield
        yield client.workers.update(e=versions())
        yield setattr(one, "client", other)

    changes = looked()

    async def sleep(_):
        if next(changes, "over") == "over":
            raise asyncio.CancelledError
        said.append([])

    monkeypatch.setattr(bridge, "say", lambda **line: said[-1].extend([line["note"]] if "note" in line else []))
    monkeypatch.setattr(bridge.asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(one.watch_slots())
    ours = ", 3.11.7 and 2026.8.0 on this machine: give all the same versions"
    assert said == [
        [],
        [
            "Python 3.12.1 and distributed 2026.8.0 on the worker b, the worker d" + ours,
            "Python 3.11.7 and distributed 2024.1.0 on the worker c" + ours,
        ],
        [],
        [],
        ["Python 3.9.0 and distributed 2026.8.0 on the scheduler" + ours],
    ]
    assert (client.asked, other.asked) == (3, 1), "it asks when others are there"


def test_the_end_of_the_search_ends_its_trials(cluster, search, tmp_path):
    cluster.scheduler()
    cluster.worker()
    log = tmp_path / "started"
    for number, end in enumerate(("close", "kill")):
        one = search()
        one.trial(number, seconds=600, log=str(log))
        until(lambda: len(started(log)) == number + 1)
        pid = int(started(log)[number][1])
        if end == "close":
            one.process.stdin.close()
        else:
            os.kill(one.process.pid, signal.SIGKILL)
        until(lambda: not alive(pid))


def test_a_wrong_address_is_one_sentence(search):
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        one = search(address=address, wait=2)
        one.take(lambda it: it.fatal)
        assert one.fatal.startswith(f"no Dask scheduler answers at {address} (")
        assert one.process.wait(20) == 1


def certificates(folder):
    """A certificate authority, and a certificate that it has signed; None without openssl."""
    if not shutil.which("openssl"):
        return None
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = {name: str(folder / f"{name}.pem") for name in ("cert", "key")}
    subprocess.run([*command, "-keyout", names["key"], "-out", names["cert"]], check=True, capture_output=True)
    told = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": names["cert"]}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        told[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = names["cert"]
        told[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = names["key"]
    return told


def test_a_cluster_with_certificates_answers_those_who_have_one(cluster, search, tmp_path):
    told = certificates(tmp_path)
    if told is None:
        pytest.skip("no openssl")
    cluster.environment = told
    cluster.address = cluster.address.replace("tcp://", "tls://")
    cluster.scheduler()
    cluster.worker()
    one = search(environment=told)
    one.trial(0)
    found(one, 1)
    other = search(wait=2)
    other.take(lambda it: it.fatal)
    assert other.fatal.startswith("no Dask scheduler answers at tls://127.0.0.1")


def test_a_shared_folder_is_filled_once(cluster, search, tmp_path):
    cluster.scheduler()
    for _ in range(2):
        cluster.worker()
    shared = tmp_path / "shared"
    one = search(store=str(shared))
    one.take(lambda it: it.slots == 2)
    for number in range(4):
        one.trial(number, seconds=0.2)
    found(one, 4)
    assert len(list((shared / "files").iterdir())) == 4
    assert not (tmp_path / "cache").exists()


def changed_bridge(folder, old, new):
    """The bridge with one text replaced, and the variable with which it finds its module."""
    text = BRIDGE.read_text()
    assert old in text
    (folder / "bridge.py").write_text(text.replace(old, new))
    return {"bridge": folder / "bridge.py", "environment": {"PYTHONPATH": str(BRIDGE.parent)}}


@pytest.mark.parametrize("named", [True, False])
def test_workers_with_one_store_do_not_write_the_same_part(cluster, search, tmp_path, named):
    cluster.scheduler()
    for _ in range(2):
        cluster.worker()
    # Many pieces per file, so that both workers receive it at the same time.
    small = changed_bridge(tmp_path, "PIECE = 16 << 20", "PIECE = 16")
    one = search(store=str(tmp_path / "shared") if named else None, **small)
    one.take(lambda it: it.slots == 2)
    for number in range(4):
        one.trial(number, seconds=0.5)
    found(one, 4)
    # The message of Dask's workers about a call that failed.
    assert "Run Failed" not in cluster.logs()


def test_what_two_workers_take_in_at_once_is_whole(tmp_path, monkeypatch):
    sum_ = on_worker.hashlib.sha256(b"abc").hexdigest()
    order = {"store": str(tmp_path), "search": "s", "files": [("trial", sum_, 3)]}
    for offset, piece, last in ((0, b"ab", False), (2, b"c", True)):
        for process in (1, 2):
            monkeypatch.setattr(os, "getpid", lambda: process)
            on_worker.keep(order, sum_, offset, piece, last)
    assert [path.read_bytes() for path in (tmp_path / "files").iterdir()] == [b"abc"]


def test_others_can_read_what_is_kept(tmp_path):
    order = {"store": str(tmp_path / "store"), "search": "s", "files": [("lib/one", "0" * 64, 3)]}
    mask = os.umask(0o022)
    try:
        folder = on_worker.folder_of(order)
    finally:
        os.umask(mask)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert os.readlink(folder / "lib/one").endswith("files/" + "0" * 64)
    assert on_worker.folder_of(order) == folder and len(list(folder.parent.iterdir())) == 1


def test_what_was_not_used_for_a_month_goes_when_something_comes(tmp_path):
    def order(name, content):
        sum_ = on_worker.hashlib.sha256(content).hexdigest()
        return {"store": str(tmp_path), "search": "s", "files": [(name, sum_, len(content))]}, sum_

    def kept(name, content):
        one, sum_ = order(name, content)
        on_worker.keep(one, sum_, 0, content, True)
        return on_worker.folder_of(one), tmp_path / "files" / sum_

    def aged(*paths):
        for path in paths:
            os.utime(path, (time.time() - 31 * 86400,) * 2)

    old, used = kept("lib/old", b"old"), kept("lib/used", b"used")
    begun, checkpoint = tmp_path / "files/begun.part", tmp_path / "checkpoints/one.safetensors"
    checkpoint.parent.mkdir()
    for path in (begun, checkpoint):
        path.touch()
    aged(*old, *used, begun, checkpoint)
    # A trial that uses a set makes it young again, and its files stay as long as it.
    on_worker.folder_of(order("lib/used", b"used")[0])
    new = kept("new", b"new")
    assert {path for name in ("files", "sets", "checkpoints") for path in (tmp_path / name).iterdir()} == {*used, *new}


def test_an_old_file_that_a_new_search_uses_stays_while_its_others_arrive(tmp_path):
    data, program = b"data", b"a new program"
    sums = [on_worker.hashlib.sha256(content).hexdigest() for content in (data, program)]
    files = [("data/X.npy", sums[0], len(data)), ("trial", sums[1], len(program))]
    order = {"store": str(tmp_path), "search": "s", "files": files}
    on_worker.keep(order, sums[0], 0, data, True)
    # Its set was made a month ago, with another program.
    before = on_worker.folder_of(order | {"files": files[:1]})
    for path in (before, tmp_path / "files" / sums[0]):
        os.utime(path, (time.time() - 31 * 86400,) * 2)
    assert on_worker.missing(order) == [sums[1]]
    on_worker.keep(order, sums[1], 0, program, True)
    assert on_worker.missing(order) == [] and not before.exists()


def test_a_large_file_is_hashed_piece_by_piece(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"abcdefg")
    monkeypatch.setattr(on_worker, "PIECE", 3)
    monkeypatch.setattr(Path, "read_bytes", None)
    assert on_worker.sum_of(tmp_path / "file") == on_worker.hashlib.sha256(b"abcdefg").hexdigest()
    order = {"store": str(tmp_path), "search": "s", "files": []}
    on_worker.keep(order, on_worker.hashlib.sha256(b"abc").hexdigest(), 0, b"abc", True)


def test_a_file_that_arrives_wrong_is_refused(tmp_path):
    order = {"store": str(tmp_path), "search": "s", "files": [("trial", "0" * 64, 3)]}
    try:
        on_worker.keep(order, "0" * 64, 0, b"abc", True)
    except ValueError as error:
        assert "not " + "0" * 64 in str(error)
    else:
        raise AssertionError("it was taken")
    assert on_worker.missing(order) == ["0" * 64]
    assert not list((tmp_path / "files").iterdir())
