"""What works on another system. Run as: python -m tests.other_platform PLATFORM [COMMAND ...]

The idea: the names that a system lacks are taken away from a fresh process: modules, functions,
constants. Then all modules are imported, all commands are asked for their options, and the import
lines of all lessons run. Prints JSON: by name, "" or the one line that it ended with. With a
COMMAND that one runs instead, as `virtlab` would run it.

Source: the "Availability" notes of Python's library reference. Left out: how files, sockets and
processes behave there.
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import json
import sys
from pathlib import Path

TEXTS = Path(__file__).parents[1] / "notebooks" / "text"

NO_MODULES = {
    "win32": {"fcntl", "grp", "pwd", "resource", "termios", "pty", "tty", "syslog", "readline"},
    "darwin": {"spwd", "nis"},
}
"""Modules that are not there."""

NO_NAMES = {
    "win32": {
        "os": "fork forkpty memfd_create killpg setsid getuid geteuid getpgid waitid sysconf pread "
        "pwrite sched_getaffinity sched_setaffinity eventfd pidfd_open uname openpty mkfifo preadv "
        "posix_fallocate nice getloadavg WNOHANG MFD_CLOEXEC MFD_ALLOW_SEALING O_NOFOLLOW "
        "O_CLOEXEC O_NONBLOCK O_DIRECT O_TMPFILE wait4 setpgid getpgrp chown fchmod P_PIDFD",
        "signal": "SIGALRM SIGPROF SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGCHLD SIGPIPE ITIMER_PROF "
        "ITIMER_REAL setitimer pthread_kill pthread_sigmask sigwait alarm SIGXCPU SIGSTOP SIGCONT",
        "socket": "AF_UNIX SCM_RIGHTS CMSG_LEN CMSG_SPACE SOCK_CLOEXEC SO_PEERCRED SOCK_NONBLOCK "
        "send_fds recv_fds MSG_CMSG_CLOEXEC MSG_DONTWAIT",
        "select": "poll epoll kqueue",
        "mmap": "MAP_SHARED MAP_PRIVATE MAP_ANONYMOUS MAP_POPULATE PROT_READ PROT_WRITE PROT_EXEC "
        "MADV_DONTNEED MADV_HUGEPAGE MADV_REMOVE",
        "time": "CLOCK_MONOTONIC clock_gettime pthread_getcpuclockid CLOCK_PROCESS_CPUTIME_ID",
    },
    "darwin": {
        "os": "memfd_create eventfd pidfd_open sched_getaffinity sched_setaffinity posix_fallocate "
        "MFD_CLOEXEC MFD_ALLOW_SEALING O_DIRECT O_TMPFILE P_PIDFD EFD_CLOEXEC EFD_NONBLOCK",
        "signal": "pthread_getcpuclockid sigtimedwait sigwaitinfo",
        "socket": "SO_PEERCRED SOCK_CLOEXEC SOCK_NONBLOCK MSG_CMSG_CLOEXEC SO_DOMAIN AF_VSOCK",
        "select": "epoll EPOLLIN EPOLLOUT EPOLLHUP EPOLLET",
        "fcntl": "F_ADD_SEALS F_GET_SEALS F_SEAL_SHRINK F_SEAL_GROW F_SEAL_WRITE",
        "mmap": "MAP_POPULATE MADV_HUGEPAGE MADV_REMOVE",
        "time": "pthread_getcpuclockid",
    },
}
"""Names that a module does not have there."""


class NoModules(importlib.abc.MetaPathFinder):
    """A finder that comes first, and does not find those."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def find_spec(self, name, path=None, target=None):
        """Refuse the modules of `names`."""
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def pretend(platform: str) -> None:
    """Make this process one of `platform`, as far as `virtlab` looks."""
    import asyncio  # noqa: F401  (others' modules, before they are misled)
    import ctypes
    import multiprocessing.connection  # noqa: F401
    import subprocess  # noqa: F401
    import urllib.request  # noqa: F401
    import zoneinfo  # noqa: F401

    import ipywidgets  # noqa: F401
    import matplotlib.pyplot  # noqa: F401

    for module, names in NO_NAMES[platform].items():
        found = importlib.import_module(module)
        for name in names.split():
            if hasattr(found, name):
                delattr(found, name)
    for name in NO_MODULES[platform]:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, NoModules(NO_MODULES[platform]))
    if platform == "win32":
        ctypes.CDLL = _no_library  # there CDLL(None) is an error
    sys.platform = platform


class _no_library(__import__("ctypes").CDLL):
    """The C library's own names cannot be had by `CDLL(None)` on Windows."""

    def __init__(self, name, *rest, **options):
        if name is None:
            raise TypeError("bad argument type for built-in operation")
        super().__init__(name, *rest, **options)


def imports(path: Path) -> str:
    """The import statements of a lesson, as one source text."""
    code = [
        cell.partition("\n")[2]
        for cell in path.read_text(encoding="utf-8").split("\n# %%")
        if not cell.startswith((" [markdown]", " [raw]"))
    ]
    lines = []
    for source in code[1:]:
        source = "\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                lines.append(ast.unparse(node))
    return "\n".join(lines)


def modules() -> list[str]:
    """Every module of the library, but those that are programs of their own."""
    root = Path(__file__).parents[1]
    names = []
    for path in sorted((root / "virtlab").rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        if not name.endswith(("__main__", ".grading.child", ".grading.boot")):
            names.append(name.removesuffix(".__init__"))
    return names


def attempt(work) -> str:
    """Do it: "", or what it ended with in one line."""
    try:
        work()
    except BaseException as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def main(platform: str, command: list[str]) -> int:
    """Pretend, then try."""
    pretend(platform)
    from virtlab.course.cli import COMMANDS
    from virtlab.course.cli import main as virtlab

    if command:
        return virtlab(command)
    said = {}
    for row in COMMANDS:
        module = importlib.import_module
        said[row.name] = attempt(
            lambda r=row, m=module: m(r.module).arguments(argparse.ArgumentParser())
        )
    for name in modules():
        said[name] = attempt(lambda n=name: importlib.import_module(n))
    for path in sorted(TEXTS.glob("*.py")):
        said[path.stem] = attempt(lambda p=path: exec(imports(p), {}))
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
