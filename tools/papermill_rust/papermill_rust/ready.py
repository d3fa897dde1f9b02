"""A Rust kernel that is kept ready, so that a notebook need not wait for one.

Before a new kernel runs its first cell it reads helpers and all it depends on, seven seconds of work that is the same
for every notebook. JupyterLab, with this module as a server extension (``cargo xtask lab``), starts one kernel in
advance; the notebook that is opened or restarted next takes it, and another one is started when the machine has nothing
better to do.

Those who talk to a kernel that is restarted know its ports and its key. So all kernels of one server have one key, and
what comes to the ports is passed on to those of the kernel that took its place.
"""

import asyncio
import os
import secrets
import sys
import threading
import time
from pathlib import Path

from jupyter_client import BlockingKernelClient
from jupyter_client.connect import port_names, write_connection_file
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.launcher import launch_kernel
from jupyter_client.provisioning import LocalProvisioner
from jupyter_core.paths import jupyter_runtime_dir

KERNEL = "rust"
# A kernel that waits takes nearly one gigabyte; whoever has not several of them free needs them for something else.
LEAST_MEMORY = 4 << 30
# How long the machine is left alone after a kernel was taken, and how often it is looked at then, in seconds.
PAUSE = 15
# How long a kernel may take to get ready, in seconds.
LONGEST_START = 600


def _jupyter_server_extension_points():
    return [{"module": __name__}]


def _load_jupyter_server_extension(app):
    """Starts the first one, for the folder that is opened."""
    specification = KernelSpecManager().get_kernel_spec(KERNEL)
    waiting.start(specification.argv, app.root_dir, {**os.environ, **specification.env})


class ReadyProvisioner(LocalProvisioner):
    """Starts Rust kernels as Jupyter does, unless one is waiting that was started in the same way."""

    taken = None
    forwarding = None

    async def pre_launch(self, **kwargs):
        others_know = self.connection_info
        if not self.parent or kwargs.get("extra_arguments") or others_know and not self._can_be_replaced():
            return await super().pre_launch(**kwargs)
        # The environment as the base class makes it, without the ports and the file that a kernel of our own would get.
        prepared = await super(LocalProvisioner, self).pre_launch(cmd=list(self.kernel_spec.argv), **kwargs)
        taken = waiting.take(self.kernel_spec.argv, prepared.get("cwd") or os.getcwd(), prepared["env"])
        if taken is None:
            if not others_know and not os.path.exists(self.parent.connection_file):
                # So that it can be replaced when it is restarted.
                self.parent.session.key = waiting.key
            return await super().pre_launch(**kwargs)
        if others_know:
            try:
                self.forwarding = Forwarding(others_know, taken.connection)
            except OSError:
                taken.end()
                return await super().pre_launch(**kwargs)
        else:
            self.connection_info = {**taken.connection, "key": taken.connection["key"].encode()}
            # A restart must not look for other ports.
            self.ports_cached = True
        self.taken = taken
        return prepared

    async def launch_kernel(self, cmd, **kwargs):
        if self.taken is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.taken = self.taken.process, None
        self.pid = self.process.pid
        self.pgid = os.getpgid(self.pid) if hasattr(os, "getpgid") else None
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info

    async def cleanup(self, restart=False):
        if self.forwarding is not None:
            self.forwarding.close()
            self.forwarding = None
        await super().cleanup(restart)

    def _can_be_replaced(self):
        """Whether the next one has the same key, and is to have the same ports (jupyter_client's `newports`)."""
        known = self.connection_info
        return known["key"] == waiting.key and known["shell_port"] == self.parent.shell_port


class Forwarding:
    """Passes on what comes to the ports of one kernel, which has ended, to those of another, and what it answers.

    In a thread: the loop of a manager that blocks runs only while somebody calls it.
    """

    def __init__(self, old, new):
        self.connections = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        try:
            self.servers = self._run(self._open(old, new))
        except OSError:
            self._end()
            raise

    def close(self):
        self._run(self._close())
        self._end()

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def _end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _open(self, old, new):
        servers = []
        try:
            for port in port_names:
                servers.append(await asyncio.start_server(self._accept(new["ip"], new[port]), old["ip"], old[port]))
        except OSError:
            for server in servers:
                server.close()
            raise
        return servers

    async def _close(self):
        for server in self.servers:
            server.close()
        for task in self.connections:
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    def _accept(self, ip, port):
        async def accept(reader, writer):
            task = asyncio.current_task()
            self.connections.add(task)
            try:
                await join(reader, writer, ip, port)
            finally:
                self.connections.discard(task)

        return accept


async def join(reader, writer, ip, port):
    """Until one of both sides ends."""
    others = None
    try:
        other, others = await asyncio.open_connection(ip, port)
        there, back = asyncio.ensure_future(copy(reader, others)), asyncio.ensure_future(copy(other, writer))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
    except OSError:
        # Whoever talks to a kernel that is gone notices, and tries again.
        pass
    finally:
        writer.close()
        if others is not None:
            others.close()


async def copy(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


class Kernel:
    """One that was started before anybody asked for it."""

    def __init__(self, argv, folder, environment, key):
        runtime = Path(jupyter_runtime_dir())
        runtime.mkdir(parents=True, exist_ok=True)
        self.file = runtime / f"kernel-ready-{secrets.token_hex(8)}.json"
        _, self.connection = write_connection_file(str(self.file), key=key, kernel_name=KERNEL)
        command = [word.replace("{connection_file}", str(self.file)) for word in argv] + ["--ready"]
        self.process = launch_kernel(command, env=environment, cwd=folder)

    def is_alive(self):
        return self.process.poll() is None

    def wait(self):
        """Waits until it answers; whether it does."""
        client = BlockingKernelClient(connection_file=str(self.file))
        client.load_connection_file()
        client.start_channels(iopub=False, stdin=False, hb=False)
        try:
            client.kernel_info()
            for _ in range(LONGEST_START):
                if client.shell_channel.msg_ready():
                    return True
                if not self.is_alive():
                    return False
                time.sleep(1)
            return False
        finally:
            client.stop_channels()

    def end(self):
        self.process.kill()
        self.process.wait()


class Waiting:
    """The kernel that waits, at most one."""

    def __init__(self):
        self.lock = threading.Lock()
        self.key = secrets.token_hex(32).encode()
        self.kernel = None
        self.made_as = None
        self.answers = threading.Event()

    def start(self, argv, folder, environment, pause=False):
        """Starts one, unless one waits already; in a thread, after a pause if it is to disturb nobody."""
        made_as = made_in_one_way(argv, folder, environment)
        threading.Thread(
            target=self._start, args=(list(argv), folder, dict(environment), made_as, pause), daemon=True
        ).start()

    def _start(self, argv, folder, environment, made_as, pause):
        while pause:
            time.sleep(PAUSE)
            pause = os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1)
        if available_memory() < LEAST_MEMORY:
            return
        with self.lock:
            if self.kernel is not None and self.kernel.is_alive():
                return
            self.answers.clear()
            try:
                kernel = self.kernel = Kernel(argv, folder, environment, self.key)
            except OSError as error:
                print(f"no kernel is kept ready: {error}", file=sys.stderr)
                return
            self.made_as = made_as
        answers = kernel.wait()
        # It has read the file; a notebook that takes it writes one of its own.
        kernel.file.unlink(missing_ok=True)
        with self.lock:
            if answers and self.kernel is kernel:
                self.answers.set()

    def take(self, argv, folder, environment):
        """The kernel that waits, or is about to, if it was made in this way; another one is started later on."""
        with self.lock:
            kernel, self.kernel = self.kernel, None
            self.answers.clear()
        fits = kernel is not None and self.made_as == made_in_one_way(argv, folder, environment)
        if kernel is not None and not (fits and kernel.is_alive()):
            kernel.end()
        if kernel is not None:
            self.start(argv, folder, environment, pause=True)
        return kernel if fits and kernel.is_alive() else None


waiting = Waiting()


def made_in_one_way(argv, folder, environment):
    """What two kernels have in common that stand in for each other. Jupyter tells each its session by variables of
    its own, which Rust notebooks do not ask for."""
    told = {name: text for name, text in environment.items() if not name.startswith(("JPY_", "JUPYTER_"))}
    return list(argv), os.path.realpath(folder), told


def available_memory():
    """Bytes, as far as the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return sys.maxsize
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), sys.maxsize)
