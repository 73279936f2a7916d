"""`virtlab lab`: it starts, says where it is, and ends at once without leaving anything behind."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.course.ended_server import EndedServer
from virtlab.course import cli, lab

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/lab/tree/(\S+)\?token=(\w+)")


@pytest.fixture
def course(tmp_path):
    """A folder with two lessons in it."""
    folder = tmp_path / "course"
    (folder / "notebooks").mkdir(parents=True)
    for name in ("00_tour", "01_ports"):
        (folder / "notebooks" / f"{name}.ipynb").write_text(
            '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
        )
    return folder


@contextlib.contextmanager
def started(folder, *words):
    """The command as a child, in a session of its own, ended whatever happens."""
    env = {**os.environ, "JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "HOME": str(folder)}
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "JUPYTER_TOKEN"):
        env.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "virtlab.course.cli", "lab", "--folder", str(folder), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        process.stdout.close()
        process.stderr.close()


def request(port, path, token, method="GET"):
    """One request to the server."""
    question = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", method=method, headers={"Authorization": f"token {token}"}
    )
    with urllib.request.urlopen(question, timeout=30) as answer:
        return answer.read().decode()


def children(pid):
    """Every process below this one, by its id."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found += [int(entry.parent.name), *children(int(entry.parent.name))]
    return found


def alive(pid):
    """Whether a process runs: one that has ended and only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_it_answers_and_ctrl_c_ends_it_with_its_kernels(course, number):
    with started(course, "--port", "0", "--lesson", "1") as process:
        said = process.stdout.readline()
        port, path, token = ADDRESS.search(said).groups()
        assert path == "notebooks/01_ports.ipynb"
        assert "<title>JupyterLab</title>" in request(port, f"/lab/tree/{path}", token)
        request(port, "/api/kernels", token, "POST")
        family = children(process.pid)
        assert len(family) >= 2  # the server and the kernel
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(30) == 0
        assert time.monotonic() - begin < 8
        assert process.stderr.read() == ""
        deadline = time.monotonic() + 10
        while any(map(alive, family)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(alive, family))


def test_a_busy_port_is_one_line_and_what_to_do(course, capsys):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert cli.main(["lab", "--folder", str(course), "--port", str(port)]) == 1
    assert capsys.readouterr().err == (
        f"virtlab lab: port {port} cannot be used (is something listening there?): "
        "choose another, or leave --port out to get a free one\n"
    )


def test_without_a_port_the_next_free_one_is_taken(monkeypatch):
    monkeypatch.setattr(lab, "is_free", lambda port: port >= lab.FIRST_PORT + 3)
    assert lab.choose_port(None) == lab.FIRST_PORT + 3
    monkeypatch.setattr(lab, "is_free", lambda port: False)
    with pytest.raises(cli.CommandError, match="no free port"):
        lab.choose_port(None)


def test_a_server_that_does_not_start_is_one_line(course, capsys):
    words = ["lab", "--folder", str(course), "--port", "0", "--no-browser"]
    assert cli.main([*words, "--", "--ServerApp.ip=no.such.host.invalid"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("virtlab lab: JupyterLab did not start: ")
    assert err.count("\n") == 1


def test_no_lessons_is_one_line(tmp_path, capsys):
    assert cli.main(["lab", "--folder", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"virtlab lab: no lessons in {tmp_path}: --folder names one that has a folder `notebooks`\n"
    )


def test_no_such_lesson_names_those_there_are(course, capsys):
    assert cli.main(["lab", "--folder", str(course), "--lesson", "77"]) == 1
    assert "there are: 00_tour, 01_ports" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["1", "01", "01_ports", "01_ports.ipynb"])
def test_a_lesson_is_named_in_several_ways(course, number):
    assert lab.find_lesson(course, number).name == "01_ports.ipynb"


def test_the_checkout_is_found_without_being_named():
    folder = lab.course_folder(None)
    assert lab.find_lesson(folder, "00").exists()


@pytest.mark.parametrize(
    ("display", "works", "expected"), [("", True, False), (":0", True, True), (":0", False, False)]
)
def test_a_browser_needs_a_screen(monkeypatch, display, works, expected):
    def get():
        if not works:
            raise lab.webbrowser.Error

    for name in ("WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr(lab.webbrowser, "get", get)
    assert lab.has_browser() is expected


def test_a_server_that_ignores_the_request_is_killed(monkeypatch):
    monkeypatch.setattr(lab, "SECONDS_TO_STOP", 0.5)
    code = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); input()"
    server = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    server.stdout.readline()
    lab.stop(server)
    assert server.returncode == -signal.SIGKILL
    server.stdin.close()
    server.stdout.close()


def test_in_process_it_prints_the_address_and_opens_a_browser(course, monkeypatch, capsys):
    opened = []

    monkeypatch.setattr(lab, "start", lambda *_: EndedServer())
    monkeypatch.setattr(lab, "wait_until_up", lambda *_: None)
    monkeypatch.setattr(lab, "has_browser", lambda: True)
    monkeypatch.setattr(lab.webbrowser, "open", opened.append)
    assert cli.main(["lab", "--folder", str(course), "--port", "0"]) == 0
    address = ADDRESS.search(capsys.readouterr().out)
    assert opened == [address[0]]
    assert address[2] == "notebooks/00_tour.ipynb"
