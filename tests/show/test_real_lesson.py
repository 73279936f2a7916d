"""Lesson 22 where there is neither QEMU nor a Linux: every cell runs, with the same asserts.

So it does on a host that is no Linux: without descriptors to pass, memfds, eventfds, `fcntl`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.show.looks import check_picture
from virtlab.hosts import qemu
from virtlab.show.real_measured import figures, figures_table
from virtlab.show.real_world import LINES, world_picture

TEXT = Path(__file__).parents[2] / "notebooks" / "text" / "22_real_linux.py"
CODE = re.compile(r"^# %%(?! \[markdown\]).*?\n(.*?)(?=^# %%|\Z)", re.MULTILINE | re.DOTALL)


def run_cells():
    """Run the code of the lesson: the names that it has at the end, and what it printed."""
    cells = CODE.findall(TEXT.read_text("utf-8"))
    assert len(cells) > 15
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for number, cell in enumerate(cells):
            exec(compile(cell, f"cell {number}", "exec"), names)
    return names, printed.getvalue()


def test_all_cells_run_in_the_recorded_tier(monkeypatch):
    monkeypatch.setenv("VIRTLAB_TIER", "recorded")

    def no_qemu(*_args, **_more):
        raise AssertionError("QEMU is started")

    monkeypatch.setattr(qemu.Qemu, "__init__", no_qemu)
    names, printed = run_cells()
    assert "from a driver in Python" in printed
    assert names["real"].tier.name == "recorded"
    assert not names["end"].recorded


ELSEWHERE = """
import os, select, signal, socket, sys
import ipywidgets, numpy
for module, names in (
    (os, "memfd_create eventfd pidfd_open fork pread pwrite posix_fallocate getuid killpg"),
    (select, "epoll poll"),
    (signal, "SIGKILL SIGHUP SIGUSR1"),
    (socket, "AF_UNIX socketpair send_fds recv_fds SCM_RIGHTS CMSG_LEN CMSG_SPACE"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
sys.modules |= dict.fromkeys(("fcntl", "resource", "termios", "pwd", "grp"))
sys.platform = "win32"
from tests.show.test_real_lesson import run_cells
names, printed = run_cells()
assert names["real"].tier.why == "a recording is played: vhost-user needs a Linux as the host"
assert names["end"].recorded and all(told.recorded for told in names["lies"].values())
print(printed)
"""
"""The lesson with all of these names hidden, as on Windows; macOS has some of them."""


def test_all_cells_run_on_a_host_that_is_no_linux():
    environment = {key: value for key, value in os.environ.items() if key != "VIRTLAB_TIER"}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        cwd=TEXT.parents[2],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "from a driver in Python" in done.stdout


def test_the_four_ways_are_drawn():
    drawn = world_picture()
    check_picture(drawn)
    for number, each in enumerate(LINES, 1):
        assert f"{number}. {each.name}" in drawn.text


def test_the_measured_figures_are_consistent():
    """The ratios are medians of neighbouring rounds, so they only come near to the quotients."""
    for each in figures():
        assert each.event_ratio == pytest.approx(each.event / each.qemu, rel=0.6)
        assert each.polling_ratio == pytest.approx(each.polling / each.qemu, rel=0.6)
    assert len(figures_table().rows) == len({each.name for each in figures()}) == 8
