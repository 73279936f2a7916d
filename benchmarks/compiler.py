"""The C side: compiled when the benchmark runs, by the machine's own compiler.

    cc -O2 -shared -fPIC split_twin.c        the side that is compared with
    cc -O3 -march=native ...                 told beside it, in a note

Nothing that is compiled is kept, and the library itself needs none of it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
FLAGS = ("-O2",)
FAST_FLAGS = ("-O3", "-march=native")


class NoCompiler(RuntimeError):
    """There is no C compiler here."""


def compiler() -> str:
    """The path of the C compiler: `$CC`, or `cc`. `NoCompiler` if there is none."""
    name = os.environ.get("CC", "cc")
    path = shutil.which(name)
    if path is None:
        raise NoCompiler(f"no C compiler: `{name}` is not here. On Debian: apt install gcc")
    return path


def version() -> str:
    """The first line of what the compiler says of itself."""
    said = subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


@cache
def library(source: str, flags: tuple[str, ...] = FLAGS) -> ctypes.CDLL:
    """The C file `source` of this directory, compiled with `flags` and loaded."""
    with tempfile.TemporaryDirectory() as where:
        made = Path(where) / "twin.so"
        command = [compiler(), *flags, "-Wall", "-shared", "-fPIC", "-o", made, HERE / source]
        subprocess.run(command, check=True)
        return ctypes.CDLL(str(made))


@cache
def program(source: str) -> bytes:
    """The C file `source` of this directory as a program that needs no library: for a guest."""
    with tempfile.TemporaryDirectory() as where:
        made = Path(where) / "program"
        subprocess.run(
            [compiler(), "-O2", "-Wall", "-static", "-o", made, HERE / source], check=True
        )
        return made.read_bytes()
