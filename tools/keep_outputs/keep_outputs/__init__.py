"""JupyterLab's cells keep their outputs when their page is closed.

In JupyterLab a page writes what a kernel says into its notebook: with the page goes what comes after, be it hours of training.
Here the server holds the notebook as well (Jupyter's collaboration: `jupyter-server-ydoc`, `jupyter-docprovider`), notes which
cell was asked by which page (`connection.py`), listens to the kernel by itself, and goes on writing when that page has gone
(`keeper.py`). A page that is opened again shows what the server has.

Start at `Keeper`.
"""

import os
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir

from .connection import Connection
from .store import Forgetful

COLLABORATION = "jupyter_server_ydoc"


def _jupyter_server_extension_points():
    return [{"module": "keep_outputs"}]


def collaboration(app):
    """The extension that holds notebooks on the server."""
    return next(iter(app.extension_manager.extension_apps[COLLABORATION]))


def _link_jupyter_server_extension(app):
    # What it would keep beside the notebooks is not needed: the notebook is the file.
    ydoc = collaboration(app)
    ydoc.ystore_class = Forgetful
    ydoc.session_store_path = str(Path(jupyter_runtime_dir()) / f"collaboration-{os.getpid()}.json")


def _load_jupyter_server_extension(app):
    app.web_app.settings["kernel_websocket_connection_class"] = Connection
    app.web_app.settings["keep_outputs_documents"] = collaboration(app).get_document
