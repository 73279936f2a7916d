"""``virtlab lab``: JupyterLab on one lesson, on this machine only, until Ctrl-C.

JupyterLab runs as a child in a session of its own, so that Ctrl-C reaches only us. We then ask it
to stop as a service is asked (SIGTERM): it ends its kernels and goes at once, without a question.
Nothing is fetched: the server listens on the loopback address, its extension manager is off.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from functools import partial
from pathlib import Path
from typing import IO

from virtlab.course.cli import CommandError
from virtlab.course.signals import interruptible

HOST = "127.0.0.1"
FIRST_PORT = 8888
PORTS_TRIED = 100
SECONDS_TO_START = 90
SECONDS_TO_STOP = 10

Spare = partial(tempfile.TemporaryDirectory, ignore_cleanup_errors=True)
"""A folder for as long as JupyterLab runs."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--lesson", default="00", metavar="NN", help="the lesson to open (00)")
    parser.add_argument(
        "--port",
        type=port_number,
        metavar="N",
        help=f"port to listen on (the first free one from {FIRST_PORT}); 0: any",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="a folder with a copy of notebooks/ (the project's own)",
    )
    parser.add_argument(
        "--present",
        action="store_true",
        help="for a projector: a copy with large type and hidden prose (F8 brings it back)",
    )
    parser.add_argument(
        "--notes", action="store_true", help="with --present: show the instructor's cells too"
    )
    parser.add_argument(
        "jupyter", nargs="*", metavar="-- OPTION", help="after --, options for JupyterLab itself"
    )


def port_number(text: str) -> int:
    """A TCP port from the command line."""
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 0 to 65535")
    return port


def run(options: argparse.Namespace) -> int:
    """Start JupyterLab, say where it is, and wait for Ctrl-C or for its end."""
    if options.notes and not options.present:
        raise CommandError("--notes belongs to --present: the lessons themselves have the notes")
    folder = course_folder(options.folder)
    lesson = find_lesson(folder, options.lesson).relative_to(folder)
    port = choose_port(options.port)
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(16)
    place = "doc/tree" if options.present else "lab/tree"
    address = f"http://{HOST}:{port}/{place}/{lesson.as_posix()}?token={token}"
    with interruptible(), tempfile.TemporaryFile() as log, Spare() as copy:
        more: list[str] = options.jupyter
        env: dict[str, str] = {}
        if options.present:
            folder, more, env = presented(folder, Path(copy), options.notes, more)
        server = start(folder, port, token, more, log, env)
        try:
            wait_until_up(server, port, log)
            print(f"JupyterLab runs. Open {address}\nCtrl-C here ends it.", flush=True)
            if not options.no_browser and has_browser():
                webbrowser.open(address)
            status = server.wait()
        except KeyboardInterrupt:
            print("\nJupyterLab ends.", flush=True)
            return 0
        finally:
            stop(server)
        if status:
            raise CommandError(f"JupyterLab ended with status {status}: {last_line(log)}")
    return 0


def presented(
    folder: Path, copy: Path, notes: bool, more: list[str]
) -> tuple[Path, list[str], dict[str, str]]:
    """For a projector: the folder to serve, JupyterLab's options, and its variables."""
    from virtlab.course import present

    present.prepare(folder, copy, notes)
    return copy / "course", [*present.options(copy), *more], present.environment(copy)


def course_folder(given: Path | None) -> Path:
    """The folder that holds notebooks/: the one given, or the checkout this package lies in."""
    folder = (given or Path(__file__).parents[2]).resolve()
    if not (folder / "notebooks").is_dir():
        advice = (
            "--folder names one that has"
            if given
            else "clone the project and run `make lab` there, or name a copy with --folder DIR:"
        )
        raise CommandError(f"no lessons in {folder}: {advice} a folder `notebooks`")
    return folder


def find_lesson(folder: Path, number: str) -> Path:
    """The notebook of a lesson: ``1``, ``01`` and ``01_port_io`` all name one."""
    lessons = sorted((folder / "notebooks").glob("*.ipynb"))
    for lesson in lessons:
        if number in (lesson.stem, lesson.name) or lesson.name.startswith(f"{number:0>2}_"):
            return lesson
    known = ", ".join(lesson.stem for lesson in lessons) or "none"
    raise CommandError(f"no lesson {number!r} in {folder / 'notebooks'}; there are: {known}")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def choose_port(wanted: int | None) -> int:
    """The port asked for, or the first free one of a range; 0 asks the system for one."""
    if wanted == 0:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            return int(probe.getsockname()[1])
    if wanted is not None:
        if is_free(wanted):
            return wanted
        raise CommandError(
            f"port {wanted} cannot be used (is something listening there?): "
            "choose another, or leave --port out to get a free one"
        )
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        if is_free(port):
            return port
    raise CommandError(f"no free port from {FIRST_PORT} on: name one with --port N")


def start(
    folder: Path, port: int, token: str, more: list[str], log: IO[bytes], env: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start JupyterLab on a folder, with more variables ``env``; its messages go to ``log``."""
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        f"--ServerApp.ip={HOST}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=None",
        "--log-level=WARN",
        *more,
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    # The token is not put on the command line, where other users of the machine could read it.
    return subprocess.Popen(
        command,
        env={**os.environ, **env, "JUPYTER_TOKEN": token},
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_until_up(server: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    """Return once the server answers; give up when it has ended or takes too long."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise CommandError(f"JupyterLab did not start: {last_line(log)}")
        with contextlib.suppress(OSError, ValueError):
            with direct.open(f"http://{HOST}:{port}/api", timeout=5) as answer:
                json.load(answer)
            return
        time.sleep(0.1)
    raise CommandError(f"JupyterLab did not answer within {SECONDS_TO_START} seconds")


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and its kernels: politely first, then for certain."""
    if server.poll() is None:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            server.wait(SECONDS_TO_STOP)
    if server.poll() is None:
        server.kill()
        server.wait()


def last_line(log: IO[bytes]) -> str:
    """The last line of the server's messages."""
    log.seek(0)
    said = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
    return next((line for line in reversed(said) if line), "it said nothing")


def has_browser() -> bool:
    """Whether a browser with windows can be opened here."""
    screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if not screen:
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
