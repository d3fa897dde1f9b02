"""Lets PyTorch's CUDA wheel be imported without NVIDIA's libraries: `python cpu_torch.py`, after torch was installed.

The wheel's Python half is linked to its CUDA half, and that to libraries of 2.5 GB. Without a GPU none of them is ever
called, but the loader wants files of these names. Empty ones do: each is made with the C++ compiler when the loader asks
for it, until `import torch` works. Functions they lack are looked up when they are called, which is never; so Python binds
late, by a line in `bench.pth`, where the variable LATE says so. Not everywhere: TensorFlow crashes when bound late.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Far more than there are libraries.
TRIES = 60
LATE = "BENCH_BINDS_LATE"


def main() -> int:
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        print("error: torch is not installed in this environment", file=sys.stderr)
        return 1
    libraries = Path(torch.origin).parent / "lib"
    (libraries.parents[1] / "bench.pth").write_text(
        f"import os, sys; {LATE!r} in os.environ and sys.setdlopenflags(os.RTLD_LAZY)\n"
    )
    made: dict[str, set[str]] = {}
    for _ in range(TRIES):
        problem = problem_of_import()
        if problem is None:
            print(f"torch can be imported; {len(made)} empty libraries: {', '.join(sorted(made))}")
            return 0
        missing = re.search(r"(lib\S+\.so\S*): cannot open shared object file", problem)
        lacking = re.search(r"(lib\w+)\.so\S*: undefined symbol: (\w+)", problem)
        if missing and missing[1] not in made:
            made[missing[1]] = set()
            make(libraries / missing[1], made[missing[1]])
        elif lacking and made:
            # A variable: those are looked up at once. Which library has it does not matter to the loader.
            folder = next(iter(made))
            made[folder].add(lacking[2])
            make(libraries / folder, made[folder])
        else:
            break
    print(f"error: torch cannot be imported:\n{problem}", file=sys.stderr)
    return 1


def problem_of_import() -> str | None:
    """What `import torch` says in a fresh process; none if it works."""
    command = [sys.executable, "-c", "import torch; torch.rand(2, 2) @ torch.rand(2, 2)"]
    child = subprocess.run(
        command, capture_output=True, text=True, cwd=tempfile.gettempdir(), check=False, env=os.environ | {LATE: "1"}
    )
    return None if child.returncode == 0 else child.stderr


def make(library: Path, variables: set[str]) -> None:
    """Compiles a library of this name that holds nothing but these variables."""
    compiler = next(filter(shutil.which, [os.environ.get("CXX", "c++"), "c++", "g++", "clang++"]), "c++")
    source = "".join(f'extern "C" char {name}[4096]; char {name}[4096];\n' for name in sorted(variables))
    command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-x", "c++", "-", "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True)


if __name__ == "__main__":
    sys.exit(main())
