"""Trials on a Dask cluster: requests of a search in, results out, one line of JSON each.

    python tools/cluster/bridge.py

The first line has what trials need: `address` of the scheduler, `program`, `libraries` (files), `data` (a folder),
`store` (a folder that all machines see, or null). Each further line is a trial: `number` and `spec`. The answers are:
`slots` (trials at once) whenever that changes, `note` for people, and for each number a `result` or an `error`; `fatal`
if no further answer can come.

A worker that lacks a file reports it, gets it once, and is given the trial again. If the scheduler is lost, its trials
are submitted again to the next one at this address. When the input ends, all trials are ended, since nobody waits for
them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import uuid
from concurrent.futures import CancelledError
from pathlib import Path

import cloudpickle
from distributed import Client, Security
from distributed.scheduler import KilledWorker

import on_worker

# Seconds to wait for the first scheduler, unless `wait` sets another time, and for one that was lost.
FIRST, AGAIN = 15, 300
# Seconds between two checks of the number of workers.
LOOK = 1.0
# Bytes of a file per message: small enough for any message, large enough for few messages.
PIECE = 16 << 20

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


def sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if sys.version_info >= (3, 11) else _sum_in_pieces(file)


def _sum_in_pieces(file) -> str:
    hash_ = hashlib.sha256()
    while piece := file.read(PIECE):
        hash_.update(piece)
    return hash_.hexdigest()


def files_of(needs: dict) -> list[tuple[str, Path]]:
    """The files of a trial with the names under which it finds them."""
    data = Path(needs["data"])
    named = [("trial", Path(needs["program"]))]
    named += [(f"lib/{Path(library).name}", Path(library)) for library in needs["libraries"]]
    named += [(f"data/{name}", data / name) for name in ("X.npy", "y.npy", "classes.txt") if (data / name).exists()]
    return named


class Bridge:
    def __init__(self, needs: dict):
        self.address = needs["address"]
        # Certificates for `tls://`, if Dask's own settings name them.
        self.security = Security()
        self.sources: dict[str, Path] = {}
        listed = []
        for name, path in files_of(needs):
            sum_ = sum_of(path)
            self.sources[sum_] = path
            listed.append((name, sum_, path.stat().st_size))
        self.order = {"files": listed, "store": needs.get("store"), "search": uuid.uuid4().hex}
        self.client: Client | None = None
        self.connecting = asyncio.Lock()
        self.sending: dict[str, asyncio.Lock] = {}
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
                problem = str(error).splitlines()[0] if str(error) else type(error).__name__
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
                workers = await asyncio.wait_for(self.client.nthreads(), 5)
                slots, there_now = sum(workers.values()), (self.client, set(workers))
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

    async def provide(self, worker: str, sums: list[str]) -> None:
        """Sends files to a worker, one after the other. Each file is only sent once to each place where files are kept,
        which all workers of a machine share, or all workers if there is a store."""
        place = self.order["store"] or worker.rsplit(":", 1)[0]
        async with self.sending.setdefault(place, asyncio.Lock()):
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

    async def run(self, number: int, spec: dict) -> None:
        text, provisions = json.dumps(spec), 0
        where: dict = {}
        while True:
            client = self.client
            try:
                # A new name for each attempt: Dask remembers the result of a name.
                future = client.submit(
                    there, "run_trial", self.order, text, key=f"trial-{number}-{uuid.uuid4().hex}", pure=False, **where
                )
                told = await future
                where = {}
                if "missing" not in told:
                    break
                provisions += 1
                if provisions > 3:
                    told = {"error": f"the worker {told['worker']} does not keep the files it is sent; is its disk full?"} | told
                    break
                try:
                    await self.provide(told["worker"], told["missing"])
                    # This worker can run it now; another one might have to wait for the files.
                    where = {"workers": [told["worker"]], "allow_other_workers": True}
                except Exception:
                    # The worker is gone, or a file arrived damaged: the trial is submitted again.
                    await asyncio.sleep(0.5)
            except KilledWorker:
                say(number=number, error="one worker after the other died while it ran it; do they have enough memory?")
                return
            except (CancelledError, asyncio.CancelledError, OSError):
                # The search has ended; Dask raises the same exceptions for its own cancellations.
                if self.over:
                    raise
                where = {}
                if client.status != "running":
                    await self.reconnect(client)
                else:
                    # A worker was lost during a message to it.
                    await asyncio.sleep(0.5)
            except Exception as error:
                say(number=number, error=f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
                return
        self.compare(told)
        if "result" in told:
            say(number=number, result=told["result"])
        else:
            say(number=number, error=told["error"])


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
