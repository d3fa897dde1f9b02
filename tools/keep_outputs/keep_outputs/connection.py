"""The way between a page and a kernel, watched."""

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from .keeper import OUTPUTS, Keeper


class Connection(ZMQChannelsWebsocketConnection):
    """Jupyter's own, with a keeper told of what passes."""

    @property
    def keeper(self):
        return Keeper.of(self.kernel_id, self.multi_kernel_manager, self.websocket_handler.settings, self.log)

    def connect(self):
        self.keeper.page_came(self.session_key)
        return super().connect()

    def handle_incoming_message(self, incoming_msg):
        try:
            channel, parts = deserialize_msg_from_ws_v1(incoming_msg)
            header, metadata = self.session.unpack(parts[0]), self.session.unpack(parts[2])
            if channel == "shell" and header["msg_type"] == "execute_request" and metadata.get("cellId"):
                self.keeper.asked(header["msg_id"], metadata["cellId"], self.session_key)
        except Exception:
            # Of another protocol: then its outputs are the page's alone, as ever.
            self.log.debug("keep_outputs: a message that cannot be read", exc_info=True)
        super().handle_incoming_message(incoming_msg)

    def handle_outgoing_message(self, stream, outgoing_msg):
        if getattr(stream, "channel", stream) == "iopub":
            _, parts = self.session.feed_identities(outgoing_msg)
            header, parent = self.session.unpack(parts[1]), self.session.unpack(parts[2])
            # Two that write into one cell would write everything twice.
            if header["msg_type"] in OUTPUTS and self.keeper.writes(parent.get("msg_id")):
                return
        super().handle_outgoing_message(stream, outgoing_msg)

    def disconnect(self):
        self.keeper.page_gone(self.session_key)
        super().disconnect()
