"""The connection between a page and a kernel, observed by the kernel's keeper."""

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from .keeper import Keeper


class Connection(ZMQChannelsWebsocketConnection):
    """Jupyter's own connection; reports requests, connects and disconnects to the kernel's keeper."""

    @property
    def keeper(self):
        return Keeper.of(self.kernel_id, self.multi_kernel_manager, self.websocket_handler.settings, self.log)

    @property
    def page(self):
        return self.session.session

    def connect(self):
        self.keeper.page_came(self.page)
        return super().connect()

    def handle_incoming_message(self, incoming_msg):
        try:
            channel, parts = deserialize_msg_from_ws_v1(incoming_msg)
            header, metadata = self.session.unpack(parts[0]), self.session.unpack(parts[2])
            if channel == "shell" and header["msg_type"] == "execute_request" and metadata.get("cellId"):
                self.keeper.asked(header["msg_id"], metadata["cellId"], self.page)
        except Exception:
            # A message of another protocol: then only the page has the cell's outputs, as without this extension.
            self.log.debug("keep_outputs: a message that cannot be read", exc_info=True)
        super().handle_incoming_message(incoming_msg)

    def disconnect(self):
        self.keeper.page_gone(self.page)
        super().disconnect()
