"""``virtlab serve``: sockets, images and words that are refused, in one line each."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

import pytest

from tests.course.serve_command import (
    COMMAND,
    IMAGE,
    disk_at,
    fails,
    run,
    run_with,
)
from virtlab.course import cli, serve_command

SECTORS = len(IMAGE) // 512

NOBODY = 65534
"""A user who may open nothing of ours; root may open everything."""


# -- the socket


def test_only_its_owner_can_connect(image, path, monkeypatch):
    umask = os.umask(0)
    try:
        mode = run_with(monkeypatch, path.stat, "blk", image, "--socket", path)[1].st_mode
        assert os.umask(0) == 0
    finally:
        os.umask(umask)
    assert stat.S_IMODE(mode) == 0o600


def test_a_socket_where_somebody_listens_is_left_alone(image, path, capfd):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert run("blk", image, "--socket", path) == 1
        assert path.exists()
    said = f"{path}: somebody listens there already: end that, or name another path"
    assert capfd.readouterr() == ("", f"virtlab serve: {said}\n")


def test_a_socket_where_many_wait_is_left_alone(image, path, capfd):
    with socket.socket(socket.AF_UNIX) as other, contextlib.ExitStack() as stack:
        other.bind(str(path))
        other.listen(0)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(path))
        assert run("blk", image, "--socket", path) == 1
        assert path.exists()
    assert "somebody listens there already" in capfd.readouterr().err


def test_a_socket_that_was_left_over_is_replaced(image, path, monkeypatch):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()

    def client():
        with disk_at(path) as disk:
            return disk.capacity

    status, capacity, _ = run_with(monkeypatch, client, "blk", image, "--socket", path)
    assert (status, capacity) == (0, SECTORS)


def test_a_file_that_is_no_socket_is_left_alone(image, path, capfd):
    path.write_text("mine")
    assert run("blk", image, "--socket", path) == 1
    assert capfd.readouterr().err.count("\n") == 1
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["missing/disk.sock", "x" * 200])
def test_a_socket_that_cannot_be_made_is_one_line(image, tmp_path, name, capfd):
    assert run("blk", image, "--socket", tmp_path / name) == 1
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"virtlab serve: {tmp_path / name}: ")


def test_a_socket_of_somebody_else_is_not_removed(image, path, monkeypatch):
    def client():
        path.unlink()
        path.write_text("mine")

    assert run_with(monkeypatch, client, "blk", image, "--socket", path)[0] == 0
    assert path.read_text() == "mine"


def test_two_devices_need_two_sockets(image, thin, path, capfd):
    assert run("blk", image, "--socket", path, "+", "blk", thin, "--socket", path) == 1
    assert capfd.readouterr().err == f"virtlab serve: {path}: two devices at one socket\n"
    assert not path.exists()


# -- the image


def test_an_image_that_is_none_is_named(tmp_path, path, capfd):
    odd = tmp_path / "odd.img"
    odd.write_bytes(bytes(1000))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    empty = tmp_path / "empty"
    empty.touch()
    for file, options, why in (
        (tmp_path / "missing", (), "No such file or directory"),
        (tmp_path, (), "Is a directory"),
        (tmp_path, ("--read-only",), "Is a directory"),
        (odd, (), "byte 512: a disk ends with a whole sector of 512 bytes, not after 1000"),
        (empty, (), "byte 0: a disk ends with a whole sector of 512 bytes, not after 0"),
        (pipe, (), "byte 0: a disk image is a file with bytes of its own"),
    ):
        assert fails(capfd, "blk", file, "--socket", path, *options) == f"{file}: {why}"
        assert not path.exists()


def test_an_image_without_rights_is_named(image, path, capfd):
    image.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        assert fails(capfd, "blk", image, "--socket", path) == f"{image}: Permission denied"
    finally:
        if root:
            os.seteuid(0)


def test_an_image_is_written_by_one_disk_only(image, tmp_path, capfd):
    one, two = ("--socket", tmp_path / "one.sock"), ("--socket", tmp_path / "two.sock")
    why = f"{image}: byte 0: it is in use as another disk"
    assert fails(capfd, "blk", image, *one, "+", "blk", image, *two) == why
    assert fails(capfd, "blk", image, *one, "+", "blk", image, *two, "--read-only") == why
    assert not list(tmp_path.glob("*.sock"))


def test_an_image_is_read_by_as_many_as_like(image, tmp_path, monkeypatch):
    words = ("blk", image, "--read-only", "--socket")
    one, two = tmp_path / "one.sock", tmp_path / "two.sock"

    def client():
        with disk_at(one) as disk, disk_at(two) as other:
            return disk.read(0) == other.read(0)

    assert run_with(monkeypatch, client, *words, one, "+", *words, two)[:2] == (0, True)


# -- the command line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no device given"),
        (["cdrom"], "no device 'cdrom'"),
        (["--poll", "1"], "--poll"),
        (["blk"], "IMAGE"),
        (["blk", "a.img"], "--socket"),
        (["blk", "--socket", "s"], "IMAGE"),
        (["blk", "a.img", "--socket", "s", "+"], "no device given"),
        (["blk", "a.img", "b.img", "--socket", "s"], "b.img"),
        (["blk", "a.img", "--socket", "s", "--queues", "0"], "'0' is no number from 1 to 64"),
        (["blk", "a.img", "--socket", "s", "--queues", "65"], "'65' is no number"),
        (["blk", "a.img", "--socket", "s", "--queues", "9" * 5000], "no number"),
        (["blk", "a.img", "--socket", "s", "--poll", "-1"], "--poll"),
        (["blk", "a.img", "--socket", "s", "--poll", "1000001"], "'1000001' is no number"),
        (["blk", "a.img", "--socket", "s", "--statistics", "0"], "'0' is no number of seconds"),
        (["blk", "a.img", "--socket", "s", "--statistics", "x"], "'x' is no number of seconds"),
        (["blk", "a.img", "--socket", "s", "--statistics", "nan"], "'nan' is no number"),
        (["blk", "a.img", "--socket", "s", "--serial", "x" * 21], "20 letters"),
        (["blk", "a.img", "--socket", "s", "--serial", "ä"], "20 letters"),
        (["blk", "a.img", "--socket", "s", "--serial", "\n"], "20 letters"),
        (["blk", "a.img", "--socket", "s", "--trace", "b.img"], "'b.img' does not end in .jsonl"),
        (["blk", "a.img", "--socket", "s", "--peer", "p"], "--peer"),
        (["net"], "--socket"),
        (["net", "--socket", "s", "--mac", "52:54:00"], "'52:54:00' is no address"),
        (["net", "--socket", "s", "--mac", "5254:00:12:3:456:"], "is no address"),
        (["net", "--socket", "s", "--mac", "01:00:5e:00:00:01"], "is no address of one station"),
        (["net", "--socket", "s", "--mac", "zz:00:5e:00:00:01"], "is no address"),
        (["net", "--socket", "s", "--read-only"], "--read-only"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(words, said, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("virtlab serve")
    assert said in err


@pytest.mark.parametrize("words", [["--help"], ["blk", "--help"], ["net", "--help"]])
def test_each_has_help(words, capfd):
    assert run(*words) == 0
    assert "usage: virtlab serve" in capfd.readouterr().out


def test_the_example_in_the_help_is_right(capfd):
    assert run("--help") == 0
    assert f"example: {COMMAND.example}" in capfd.readouterr().out
    options = cli.parser_for(COMMAND).parse_args(COMMAND.example.split()[2:])
    assert serve_command.part_of(options.words).image == "disk.img"
