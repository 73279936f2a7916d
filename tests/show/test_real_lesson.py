"""Lesson 22 where there is neither QEMU nor a Linux: every cell runs, with the same asserts."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from tests.show.looks import check_picture
from virtlab.hosts import qemu
from virtlab.show.real_measured import figures, figures_table
from virtlab.show.real_world import LINES, world_picture

TEXT = Path(__file__).parents[2] / "notebooks" / "text" / "22_real_linux.py"
CODE = re.compile(r"^# %%(?! \[markdown\]).*?\n(.*?)(?=^# %%|\Z)", re.MULTILINE | re.DOTALL)


def test_all_cells_run_in_the_recorded_tier(monkeypatch):
    monkeypatch.setenv("VIRTLAB_TIER", "recorded")

    def no_qemu(*_args, **_more):
        raise AssertionError("QEMU is started")

    monkeypatch.setattr(qemu.Qemu, "__init__", no_qemu)
    cells = CODE.findall(TEXT.read_text("utf-8"))
    assert len(cells) > 15
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for number, cell in enumerate(cells):
            exec(compile(cell, f"cell {number}", "exec"), names)
    assert "from a driver in Python" in printed.getvalue()
    assert names["real"].tier.name == "recorded"


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
