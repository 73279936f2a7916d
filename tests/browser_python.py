"""Run lessons where a browser's Python would stop. Run as: python -m tests.browser_python NAME ...

Pyodide runs CPython in a browser's sandbox: no processes, no threads, no sockets, no signals that
arrive by themselves, and some modules of the standard library are not there. Here an audit hook
refuses the same, and the code cells of lessons run one after the other. Each gives a line.

Source: Pyodide 0.29, "Pyodide Python compatibility" (removed modules; modules that are included and
do not work); WebAssembly support in CPython, "Tools/wasm".
"""

from __future__ import annotations

import _thread
import contextlib
import io
import json
import os
import signal
import sys
import threading
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

NO_MODULES = {
    *("curses", "dbm", "ensurepip", "fcntl", "grp", "msvcrt", "pwd", "resource", "syslog"),
    *("termios", "tkinter", "turtle", "venv", "winreg", "winsound", "_multiprocessing"),
    *("_posixshmem", "_posixsubprocess", "unicorn", "capstone"),
}
"""Modules that are not there. The last two are native code without a wheel for a browser."""

NO_EVENTS = {
    *("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system"),
    *("os.spawn", "os.startfile", "pty.spawn", "_thread.start_new_thread"),
    *("socket.__new__", "socket.connect", "socket.bind", "ctypes.dlopen", "os.kill", "os.killpg"),
}
"""What Python announces before it does what a browser's sandbox cannot."""

NO_SIGNALS = ("setitimer", "alarm", "pthread_kill", "sigwait", "sigtimedwait")


class Refused(BaseException):
    """Something that a browser's Python lacks. No `except Exception` hides it."""


def no_thread(*arguments: object) -> None:
    """Python 3.11 announces no thread."""
    raise Refused(f"a thread: {arguments!r:.200}")


def refuse() -> None:
    """From now on this process can do no more than a browser's."""
    sys.platform = "emscripten"
    os.environ["PATH"] = ""  # there are no programs
    sys.modules.update(dict.fromkeys(NO_MODULES))  # None there: no such module
    for name in NO_SIGNALS:
        if hasattr(signal, name):
            delattr(signal, name)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in NO_EVENTS:
            raise Refused(f"{event} {arguments!r:.200}")

    sys.addaudithook(hook)
    _thread.start_new_thread = threading._start_new_thread = no_thread


def cells(name: str) -> list[tuple[str, bool]]:
    """The code cells of a lesson, each with whether it ends with an error on purpose."""
    (path,) = NOTEBOOKS.glob(f"{name}_*.ipynb")
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        ("".join(cell["source"]), "raises-exception" in cell["metadata"].get("tags", ()))
        for cell in found
        if cell["cell_type"] == "code"
    ]


def run(name: str) -> dict[str, object]:
    """Run one lesson: how many cells, and the first that ended with an error not on purpose."""
    names = {"__name__": "__main__", "display": lambda *things, **options: None}
    found = cells(name)
    for number, (source, raises) in enumerate(found, 1):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(source, f"<lesson {name}, cell {number}>", "exec"), names)
        except Exception as error:
            if not raises:
                said = f"{type(error).__name__}: {error}"
                return {"lesson": name, "cells": len(found), "stopped": number, "why": said}
    return {"lesson": name, "cells": len(found), "stopped": 0, "why": ""}


def main(lessons: list[str]) -> int:
    """Import what Pyodide brings as packages, then refuse, then run: a line of JSON for each."""
    import ipywidgets  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import numpy  # noqa: F401

    refuse()
    for name in lessons:
        print(json.dumps(run(name)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
