"""Trials on a Dask cluster: requests of a search in, results out, one line of JSON each.

    python tools/cluster/bridge.py

The first line has what trials need: `address` of the scheduler, `program`, `libraries` (files), `data` (a folder),
`store` (a folder that all machines see, or null). Each further line is a trial, `number` and `spec`, or `forget`: the
names of checkpoints that no trial needs any more. The answers are: `slots` (trials at once) whenever that changes, `note`
for people, and for each number a `result` or an `error`; `fatal` if no further answer can come.

A worker that lacks a file reports it, gets it once, and is given the trial again. Only the program's own words make a
trial fail: what a worker cannot run is tried on others. If the scheduler is lost, its trials are submitted again to the
next one at this address. When the input ends, all trials are ended, since nobody waits for them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import uuid
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path

import cloudpickle
from distributed import Client, Security
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

import on_worker

# Seconds to wait for the scheduler at the start, unless `wait` sets another time, and for one that was lost.
FIRST, AGAIN = 15, 300
# Seconds between two checks of the number of workers.
LOOK = 1.0
# Bytes of a file per message: small enough for any message, large enough for few messages.
PIECE = 16 << 20
# The number of machines that get files at the same time: all pieces pass through the scheduler.
TRANSFERS = 4
# A trial fails when this many workers could not run it, and a worker that fails this many in a row gets no more.
TRIES = 3
# The number of times that a trial is submitted again because its worker died.
DEATHS = 5

cloudpickle.register_pickle_by_value(on_worker)


def there(name: str, *arguments):
    """Calls a function of `on_worker` on a worker. Dask sends functions of the main program with their code, but those
    of a module only by name."""
    return getattr(on_worker, name)(*arguments)


def say(**line) -> None:
    """Writes one line for the search."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Fatal(Exception):
    """Why no trial can run, as one sentence."""


def line_of(error: BaseException) -> str:
    """An exception in one line; some have no text."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


def files_of(needs: dict) -> list[tuple[str, Path]]:
    """The files of a trial with the names under which it finds them."""
    data = Path(needs["data"])
    named = [("trial", Path(needs["program"]))]
    named += [(f"lib/{Path(library).name}", Path(library)) for library in needs["libraries"]]
    named += [(f"data/{name}", data / name) for name in ("X.npy", "y.npy", "classes.txt") if (data / name).exists()]
    return named


def erred_on(key: str, dask_scheduler=None) -> list[str]:
    """The workers on which a task ended with an exception; runs in the scheduler."""
    task = dask_scheduler.tasks.get(key)
    return sorted(task.erred_on or ()) if task else []


@dataclass
class Trial:
    """A trial that waits for its answer."""

    number: int
    spec: str
    # Why the workers that tried it could not run it.
    problems: dict[str, str] = field(default_factory=dict)
    # The number of workers that died with it.
    deaths: int = 0
    # The workers that were sent the files for it.
    supplied: set[str] = field(default_factory=set)
    # Its result, or why it failed.
    told: dict | None = None


class Bridge:
    def __init__(self, needs: dict):
        self.address = needs["address"]
        # Certificates for `tls://`, if Dask's own settings name them.
        self.security = Security()
        self.sources: dict[str, Path] = {}
        listed = []
        for name, path in files_of(needs):
            sum_ = on_worker.sum_of(path)
            self.sources[sum_] = path
            listed.append((name, sum_, path.stat().st_size))
        self.order = {"files": listed, "store": needs.get("store"), "search": uuid.uuid4().hex}
        self.order["idle"] = needs.get("idle", on_worker.IDLE)
        self.client: Client | None = None
        self.connecting = asyncio.Lock()
        self.sending: dict[str, asyncio.Lock] = {}
        self.transfers = asyncio.Semaphore(TRANSFERS)
        # Seconds to wait for a worker that has not failed.
        self.wait = needs.get("wait", FIRST)
        # The threads of each worker.
        self.workers: dict[str, int] = {}
        # For each worker the trials that it failed since its last success, with the reasons.
        self.failures: dict[str, dict[int, str]] = {}
        # The workers that have the files.
        self.supplied: set[str] = set()
        # The tasks that only some workers may run, with those workers.
        self.bound: dict[str, tuple] = {}
        # Processors and versions that were already reported.
        self.told: set = set()
        self.over = False
        self.slots = 0

    async def connect(self, seconds: float) -> None:
        """Connects to the scheduler, and tries for this many seconds.

        Raises Fatal if none answers.
        """
        begun = asyncio.get_running_loop().time()
        while True:
            left = seconds - (asyncio.get_running_loop().time() - begun)
            try:
                self.client = await Client(
                    self.address, security=self.security, asynchronous=True, timeout=max(1, min(5, left)), name="rust-notebooks"
                )
                return
            except (OSError, TimeoutError, asyncio.TimeoutError, ValueError, TypeError) as error:
                problem = (str(error).strip().splitlines() or [type(error).__name__])[0]
                if isinstance(error, (ValueError, TypeError)) or left <= 1:
                    raise Fatal(
                        f"no Dask scheduler answers at {self.address} ({problem}); `dask scheduler` starts one and prints its address"
                    ) from None
                await asyncio.sleep(1)

    async def reconnect(self, lost: Client) -> None:
        async with self.connecting:
            if self.client is not lost:
                return
            say(note=f"lost the scheduler at {self.address}; waiting for it for up to {AGAIN // 60} minutes")
            try:
                await asyncio.wait_for(lost.close(fast=True), 5)
            except Exception:
                pass
            await self.connect(AGAIN)
            say(note="the scheduler is there again; what it had is submitted anew")

    async def compare_versions(self) -> None:
        """Reports other versions of Python or Dask, once per machine: messages between different versions may not be
        understood."""
        try:
            found = await asyncio.wait_for(self.client.get_versions(check=False), 10)
        except Exception:
            return
        of = lambda one: tuple((one or {}).get("packages", {}).get(name) for name in ("python", "distributed"))
        ours = of(found["client"])
        others = {"the scheduler": found["scheduler"]} | {f"the worker {name}": one for name, one in found["workers"].items()}
        whose: dict[tuple, list[str]] = {}
        for who, one in others.items():
            theirs = of(one)
            differ = theirs[1] != ours[1] or str(theirs[0]).split(".")[:2] != str(ours[0]).split(".")[:2]
            if differ and (who, theirs) not in self.told:
                self.told.add((who, theirs))
                whose.setdefault(theirs, []).append(who)
        for (python, dask), names in whose.items():
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            on = f"Python {python} and distributed {dask} on {', '.join(names[:3])}{more}"
            say(note=f"{on}, {ours[0]} and {ours[1]} on this machine: give all the same versions")

    async def watch_slots(self) -> None:
        """Reports how many trials can run at once, and compares versions whenever the workers change."""
        compared = None
        while True:
            try:
                self.workers = workers = await asyncio.wait_for(self.client.nthreads(), 5)
                slots = sum(threads for worker, threads in workers.items() if worker not in self.left_out())
                there_now = (self.client, set(workers))
                self.supplied &= set(workers)
                await self.take_back(set(workers))
            except Exception:
                # The scheduler is gone or busy; the next one that answers may be another one.
                slots, there_now = self.slots, None
            if slots != self.slots:
                self.slots = slots
                say(slots=slots)
            if there_now and there_now != compared:
                await self.compare_versions()
            compared = there_now
            await asyncio.sleep(LOOK)

    async def take_back(self, workers: set[str]) -> None:
        """Takes back the trials that only workers that have left may run. They would wait for ever: Dask's
        `allow_other_workers` does not help where others come later.

        Nothing may refer to a task once this has ended: Dask would compute it again if the worker with its result left.
        """
        for future, allowed in list(self.bound.values()):
            if not allowed & workers:
                await future.cancel()

    async def provide(self, worker: str, sums: list[str]) -> None:
        """Sends files to a worker, one after the other. Each file is only sent once to each place where files are kept,
        which all workers of a machine share, or all workers if there is a store."""
        place = self.order["store"] or worker.rsplit(":", 1)[0]
        async with self.sending.setdefault(place, asyncio.Lock()), self.transfers:
            absent = await self.client.run(there, "missing", self.order, workers=[worker])
            for sum_ in sorted(set(sums) & set(absent[worker])):
                path = self.sources[sum_]
                size = path.stat().st_size
                with path.open("rb") as file:
                    offset = 0
                    while True:
                        piece = file.read(PIECE)
                        last = offset + len(piece) >= size
                        await self.client.run(there, "keep", self.order, sum_, offset, piece, last, workers=[worker])
                        offset += len(piece)
                        if last:
                            break

    def compare(self, told: dict) -> None:
        """Reports once for each kind of processor that its last digits may differ."""
        theirs, ours = told["processor"], on_worker.processor()
        if theirs != ours and theirs not in self.told:
            self.told.add(theirs)
            say(note=f"workers compute on {theirs}, this machine on {ours}: the last digits of scores may differ")

    def left_out(self) -> set[str]:
        """The workers that failed too many trials in a row."""
        return {worker for worker, failed in self.failures.items() if len(failed) >= TRIES}

    def blame(self, trial: Trial, worker: str, reason: str) -> None:
        """Notes that a worker could not run a trial. If several workers could not, the trial has failed; a worker that
        fails several trials in a row is left out, because it would be idle first and get all the others."""
        trial.problems[worker] = reason
        self.failures.setdefault(worker, {})[trial.number] = reason
        if len(trial.problems) >= TRIES:
            trial.told = {"error": reason}
        if worker in self.left_out() and worker not in self.told:
            self.told.add(worker)
            say(note=f"the worker {worker} has failed {TRIES} trials in a row and gets no more of them: {reason}")

    def bereave(self, trial: Trial, reason: str) -> None:
        """Notes that a worker died with a trial; which is not its fault, unless it happens again and again."""
        trial.deaths += 1
        if trial.deaths > DEATHS:
            trial.told = {"error": reason}

    async def where(self, trial: Trial) -> dict | None:
        """The workers that may run a trial, as arguments for Dask; none if it has failed.

        Raises Fatal if every worker is left out.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + self.wait
        while out := self.left_out() | set(trial.problems):
            if free := set(self.workers) - out:
                return {"workers": sorted(free)}
            if self.workers and clock() > until:
                if set(self.workers) <= self.left_out():
                    *_, reason = self.failures[next(iter(self.workers))].values()
                    raise Fatal(f"no worker of the cluster can run trials: {reason}")
                *_, reason = trial.problems.values()
                trial.told = {"error": reason}
                return None
            await asyncio.sleep(LOOK / 4)
        # Workers that have the files can begin at once; another one might have to wait for its files.
        return {"workers": sorted(self.supplied)} if trial.supplied and self.supplied else {}

    async def supply(self, client: Client, trial: Trial, told: dict) -> None:
        """Sends a worker the files that it lacks for a trial."""
        worker = told["worker"]
        if worker in trial.supplied:
            self.blame(trial, worker, f"the worker {worker} does not keep the files it is sent; is its disk full?")
            return
        try:
            await self.provide(worker, told["missing"])
            trial.supplied.add(worker)
            self.supplied.add(worker)
        except Exception as error:
            # It takes Dask a moment to notice that a worker is gone.
            await asyncio.sleep(0.5)
            reason = f"the worker {worker} did not take the files for it: {line_of(error)}"
            if worker in await asyncio.wait_for(client.nthreads(), 5):
                self.blame(trial, worker, reason)
            else:
                self.bereave(trial, reason)

    async def attempt(self, client: Client, trial: Trial) -> None:
        """Has a worker run a trial, and notes what came of it."""
        where = await self.where(trial)
        if where is None:
            return
        # A new name for each attempt: Dask remembers the result of a name.
        key = f"trial-{trial.number}-{uuid.uuid4().hex}"
        future = client.submit(there, "run_trial", self.order, trial.spec, key=key, pure=False, **where)
        if where:
            self.bound[key] = (future, set(where["workers"]))
        try:
            told = await future
        except KilledWorker:
            self.bereave(trial, "one worker after the other died while it ran it; do they have enough memory?")
            return
        except (CancelledError, asyncio.CancelledError):
            raise
        except Exception as error:
            # Not from the program: a worker with another version of Python, for example, cannot read what it is sent.
            workers = await client.run_on_scheduler(erred_on, key)
            self.blame(trial, (workers or [f"unknown, {key}"])[0], line_of(error))
            return
        finally:
            self.bound.pop(key, None)
        if "missing" in told:
            self.supplied.discard(told["worker"])
            await self.supply(client, trial, told)
            return
        self.supplied.add(told["worker"])
        if "problem" in told:
            self.blame(trial, told["worker"], told["problem"])
        else:
            self.failures.pop(told["worker"], None)
            self.compare(told)
            trial.told = told

    async def run(self, number: int, spec: dict) -> None:
        """Answers a trial, whatever happens to workers and schedulers.

        Raises Fatal if no trial can be answered any more.
        """
        trial = Trial(number, json.dumps(spec))
        while trial.told is None:
            client = self.client
            try:
                if client.status == "running":
                    await self.attempt(client, trial)
                else:
                    await self.reconnect(client)
            except (CancelledError, asyncio.CancelledError, asyncio.TimeoutError, ClosedClientError, OSError):
                # The search has ended; Dask raises the same exceptions for its own cancellations.
                if self.over:
                    raise
                # A worker or the scheduler was lost during a message to it.
                await asyncio.sleep(0.5)
            except Fatal:
                raise
            except Exception as error:
                trial.told = {"error": line_of(error)}
        if "result" in trial.told:
            say(number=number, result=trial.told["result"])
        else:
            say(number=number, error=trial.told["error"])

    async def forget(self, names: list[str]) -> None:
        """Removes checkpoints that no trial needs any more from all workers. One that stays only takes space: a later
        search removes it when it is a week old."""
        try:
            await asyncio.wait_for(self.client.run(there, "forget", self.order, names, on_error="ignore"), 5)
        except Exception:
            pass


async def lines():
    """The lines of the input as they come."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 30)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def serve() -> None:
    source = lines()
    needs = await anext(source)
    bridge = Bridge(needs)
    await bridge.connect(needs.get("wait", FIRST))
    tasks = {asyncio.create_task(bridge.watch_slots())}
    failed = asyncio.get_running_loop().create_future()

    def ended(task: asyncio.Task) -> None:
        tasks.discard(task)
        if not task.cancelled() and task.exception() and not failed.done():
            failed.set_exception(task.exception())

    async def take() -> None:
        async for line in source:
            if "forget" in line:
                await bridge.forget(line["forget"])
                continue
            task = asyncio.create_task(bridge.run(line["number"], line["spec"]))
            tasks.add(task)
            task.add_done_callback(ended)

    taking = asyncio.create_task(take())
    done, _ = await asyncio.wait({taking, failed}, return_when=asyncio.FIRST_COMPLETED)
    bridge.over = True
    taking.cancel()
    for task in list(tasks):
        task.cancel()
    try:
        # The scheduler cancels the tasks of this client, and the workers end them.
        await asyncio.wait_for(bridge.client.close(fast=True), 5)
    except Exception:
        pass
    for one in done:
        if one.exception():
            raise one.exception()


def main() -> int:
    try:
        asyncio.run(serve())
    except Fatal as error:
        say(fatal=str(error))
        return 1
    except (StopAsyncIteration, KeyboardInterrupt):
        pass
    return 0


if __name__ == "__main__":
    os._exit(main())
