"""Rust notebooks for papermill.

papermill loads the engine by its entry point; nothing needs to be imported or named on the command
line: ``papermill notebook.ipynb out.ipynb -p epochs 3``.

- ``literals``: Rust types, and Python values written as Rust literals of these types
- ``parameters``: what the cell tagged ``parameters`` declares, and new values for it
- ``engine``: the run itself, which stops at the first cell that fails
"""

# papermill loads the engine while it is being imported itself, so it has to be the first of the two.
import papermill.engines  # noqa: F401
