"""JupyterLab's cells keep their outputs when their page is closed.

In JupyterLab the page writes a kernel's output into the notebook. So when the page is closed, all later output is lost,
even of hours of training. With this extension the server records which page requested which cell (`connection.py`) and
listens to the kernel itself (`keeper.py`). When a cell ends after its page was closed, the server writes its outputs
into the file. If a page is opened before that, it takes over the cell with all its outputs so far
(`data/share/jupyter/labextensions`).

Start at `Keeper`.
"""

import json

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from .connection import Connection
from .keeper import Keeper


class TakeOver(APIHandler):
    """Transfers the running cells of closed pages to the page that sends the request."""

    auth_resource = "kernels"

    @web.authenticated
    @authorized
    async def post(self, kernel):
        keeper = Keeper.all.get(kernel)
        self.finish(json.dumps(keeper.take_over(self.get_json_body()["page"]) if keeper else []))


def _jupyter_server_extension_points():
    return [{"module": "keep_outputs"}]


def _load_jupyter_server_extension(app):
    settings = app.web_app.settings
    settings["kernel_websocket_connection_class"] = Connection
    address = url_path_join(settings["base_url"], "keep_outputs", r"([\w-]+)")
    app.web_app.add_handlers(".*$", [(address, TakeOver)])
