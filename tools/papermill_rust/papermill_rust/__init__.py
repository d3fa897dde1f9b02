"""Rust notebooks for papermill.

papermill loads the engine by its entry point; nothing needs to be imported or named on the command
line: ``papermill notebook.ipynb out.ipynb -p epochs 3``.

- ``literals``: Rust types, and Python values written as Rust literals of these types
- ``declarations``: what the cell tagged ``parameters`` declares
- ``parameters``: new values for it
- ``engine``: where the kernel runs, and that a run ends with the program that started it
- ``live``: what a cell shows in one place again and again, as lines of papermill's log
"""

import contextlib

# papermill loads the engine while it is being imported itself, so it has to be the first of the two. Without it
# ``declarations`` is of use still: the lint reads notebooks before anything is set up.
with contextlib.suppress(ModuleNotFoundError):
    import papermill.engines  # noqa: F401
