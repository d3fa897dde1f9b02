"""Makes PyTorch's CUDA wheel importable without NVIDIA's libraries: `python cpu_torch.py`, after torch was installed.

The wheel's Python part is linked to its CUDA part, and that to libraries of 2.5 GB. Without a GPU none of them is ever
called, but the loader needs files with these names. Empty libraries are enough: each is compiled when the loader asks
for it, until `import torch` works. Their missing functions are only looked up when they are called, which never
happens. For this Python must bind lazily: a line in `bench.pth` turns it on if the variable LATE is set. It is not set
for the other peers, because TensorFlow crashes with it.
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

# Far more than the number of libraries.
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
            # The missing symbol is a variable, which is looked up at once. The loader accepts it from any of the
            # libraries.
            folder = next(iter(made))
            made[folder].add(lacking[2])
            make(libraries / folder, made[folder])
        else:
            break
    print(f"error: torch cannot be imported:\n{problem}", file=sys.stderr)
    return 1


def problem_of_import() -> str | None:
    """The error of `import torch` in a new process; none if it works."""
    command = [sys.executable, "-c", "import torch; torch.rand(2, 2) @ torch.rand(2, 2)"]
    child = subprocess.run(
        command, capture_output=True, text=True, cwd=tempfile.gettempdir(), check=False, env=os.environ | {LATE: "1"}
    )
    return None if child.returncode == 0 else child.stderr


def make(library: Path, variables: set[str]) -> None:
    """Compiles a library with this name that only contains these variables."""
    compiler = next(filter(shutil.which, [os.environ.get("CXX", "c++"), "c++", "g++", "clang++"]), "c++")
    source = "".join(f'extern "C" char {name}[4096]; char {name}[4096];\n' for name in sorted(variables))
    command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-x", "c++", "-", "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True)


if __name__ == "__main__":
    sys.exit(main())
