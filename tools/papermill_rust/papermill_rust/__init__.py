"""Rust notebooks for papermill.

papermill loads the engine by its entry point; nothing needs to be imported or named on the command
line: ``papermill notebook.ipynb out.ipynb -p epochs 3``.

- ``literals``: Rust types, and Python values written as Rust literals of these types
- ``declarations``: what the cell tagged ``parameters`` declares
- ``parameters``: new values for it
- ``engine``: the kernel's folder, and the end of a run with the program that started it
- ``live``: logs the content of a cell's displays that are replaced, as lines of papermill's log
"""

import contextlib

# papermill loads the engine during its own import, so it must be imported first. Without papermill ``declarations`` is
# still useful: the lint reads notebooks before anything is installed.
with contextlib.suppress(ModuleNotFoundError):
    import papermill.engines  # noqa: F401
