"""Logs displays that a cell replaces, as lines of papermill's log.

papermill only logs new outputs of a notebook, and a replaced display is not new: without this, a training of ten
minutes would log nothing in all that time.
"""

import time

from papermill import engines
from papermill.clientwrap import PapermillNotebookClient

# A progress bar changes several times per second, and is logged once in this many seconds.
INTERVAL = 5


class LiveNotebookClient(PapermillNotebookClient):
    """papermill's client, which also logs displays: each new line of several, a single line from time to time."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        # The last line of each display, and when it was logged.
        self._shown = {}

    def process_message(self, msg, cell, cell_index):
        display = (msg["content"].get("transient") or {}).get("display_id")
        if display and self.log_output:
            # Checked before the call: nbclient changes the type of the message.
            updates = msg["msg_type"] == "update_display_data"
            self._note(display, msg["content"]["data"].get("text/plain", "").splitlines(), updates)
        return super().process_message(msg, cell, cell_index)

    def _note(self, display, lines, updates):
        last, logged = self._shown.get(display, ("", 0))
        now = time.monotonic()
        new = lines[lines.index(last) + 1 :] if last in lines else lines
        if not new or (updates and len(lines) == 1 and now < logged + INTERVAL):
            return
        self._shown[display] = (lines[-1], now)
        if updates:
            self.log.info("\n".join(new))


engines.PapermillNotebookClient = LiveNotebookClient
