"""`docs/remote.md`, example by example: what it says comes out is what comes out."""

from __future__ import annotations

import contextlib
import io
import re
from functools import partial
from pathlib import Path

from tests.hosts.stepping_qemu import stepping_qemu
from tests.needs import needs_qemu
from virtlab.guest.pic import Pics
from virtlab.hosts.remote import QtestMachine

GUIDE = Path(__file__).parents[2] / "docs" / "remote.md"
BLOCKS = re.compile(r"^```(python|text)( stepped)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


STEPPED, NOT = " stepped", ""


def examples(mark):
    """Each piece of code, and the text that follows it; a reader goes through them in order."""
    blocks = [block for block in BLOCKS.findall(GUIDE.read_text("utf-8")) if block[1] == mark]
    assert [kind for kind, *_ in blocks] == ["python", "text"] * (len(blocks) // 2)
    bodies = [body for *_, body in blocks]
    return list(zip(bodies[::2], bodies[1::2], strict=True))


def follow(mark, world):
    """Do what the guide says, and see what comes out."""
    for code, expected in examples(mark):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, str(GUIDE), "exec"), world)
        assert said.getvalue() == expected, code


@needs_qemu
def test_what_the_guide_prints_is_what_is_printed():
    world = {}
    try:
        follow(NOT, world)
    finally:
        if "machine" in world:
            world["machine"].close()


@needs_qemu
def test_the_part_on_stepped_time():
    program = stepping_qemu()
    follow(STEPPED, {"Pics": Pics, "QtestMachine": partial(QtestMachine, qemu=program)})


def test_the_guide_has_examples_of_both_kinds():
    assert len(examples(NOT)) > 7
    assert len(examples(STEPPED)) == 1
