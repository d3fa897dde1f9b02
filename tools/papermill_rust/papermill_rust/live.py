"""What a cell shows in one place again and again, as lines of papermill's log.

papermill logs what is new in a notebook, and what replaces something is not new to it: a training of ten minutes would say
nothing in all that time.
"""

import time

from papermill import engines
from papermill.clientwrap import PapermillNotebookClient

# A bar moves several times a second, and is logged once in so many seconds.
INTERVAL = 5


class LiveNotebookClient(PapermillNotebookClient):
    """papermill's client, which also logs what comes to a display: each new line of several, a single one now and then."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        # The last line of each display, and when it was logged.
        self._shown = {}

    def process_message(self, msg, cell, cell_index):
        display = (msg["content"].get("transient") or {}).get("display_id")
        if display and self.log_output:
            # Asked before: nbclient makes a message of another type of it.
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
