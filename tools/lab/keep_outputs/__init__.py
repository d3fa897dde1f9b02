"""JupyterLab's cells keep their outputs when their page is closed.

In JupyterLab a page writes what a kernel says into its notebook: with the page goes what comes after, be it hours of training.
Here the server notes which page has asked for which cell (`connection.py`) and listens to the kernel by itself (`keeper.py`).
When a cell ends whose page has gone, the server writes its outputs into the file. A page that is opened before takes the cell
over, with all that it has shown (`data/share/jupyter/labextensions`).

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
    """Gives the cells that run for a page that has gone to the one that asks."""

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
