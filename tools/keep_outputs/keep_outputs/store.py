"""Where the collaboration keeps a notebook's history: nowhere."""

from pycrdt.store import BaseYStore, YDocNotFound


class Forgetful(BaseYStore):
    """Keeps nothing: a notebook is read from its file. A history of what trainings show would grow by gigabytes."""

    def __init__(self, path, metadata_callback=None, log=None, config=None):
        self.path = path

    async def write(self, data):
        """Forgets it."""

    async def read(self):
        """There is nothing."""
        raise YDocNotFound
        yield
