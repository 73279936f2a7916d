"""What `docs/real-systems.md` tells people to type is what our commands and scripts take."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.oracles.test_vhost_user_foreign import GET as DPDK
from virtlab.course import doctor
from virtlab.course.serve_options import part_of, parts_of
from virtlab.hosts import linux_find

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "real-systems.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S)
SHELL = [text for kind, text in BLOCKS if kind == ""]
TYPED = [
    line.removeprefix("$ ")
    for kind, text in BLOCKS
    for line in text.splitlines()
    if kind == "" or line.startswith("$ ")
]
"""Each line that a reader types."""

OURS = [part for line in TYPED for part in line.split(" | ") if part.startswith("virtlab ")]


def parsed(words):
    """The options of a command; `SystemExit` for a wrong line."""
    module = importlib.import_module(f"virtlab.course.{words[0]}_command")
    parser = argparse.ArgumentParser(prog=f"virtlab {words[0]}")
    module.arguments(parser)
    options = parser.parse_args(words[1:])
    return [part_of(part) for part in parts_of(options.words)] if words[0] == "serve" else options


@pytest.mark.parametrize("line", OURS)
def test_our_commands_take_it(line):
    words = shlex.split(line)[1:]
    if words == ["doctor"]:
        return
    assert parsed(words)


def test_there_are_lines_of_each_command():
    assert {shlex.split(line)[1] for line in OURS} == {"doctor", "serve", "linux"}
    with pytest.raises(SystemExit):
        parsed(["serve", "blk", "disk.img", "--sockets", "/tmp/disk.sock"])


@pytest.mark.parametrize("block", SHELL, ids=lambda text: text.split("\n")[0][:30])
def test_each_block_is_a_shell_script(block):
    subprocess.run(["bash", "-n"], input=block, text=True, check=True, timeout=20)


def test_scripts_that_are_run_are_there():
    found = set(re.findall(r"python3 (scripts/\S+)", PAGE))
    assert found == {"scripts/linux.py"}
    assert all((ROOT / path).is_file() for path in found)


def test_the_variables_are_those_that_are_read():
    assert set(re.findall(r"VIRTLAB_\w+", PAGE)) == {
        linux_find.ROOT,
        "VIRTLAB_TESTPMD",
        "VIRTLAB_QEMU",
    }
    for name, reader in {
        "VIRTLAB_TESTPMD": "tests/oracles/test_vhost_user_foreign.py",
        "VIRTLAB_QEMU": "tests/oracles/vfio_user_qemu.py",
    }.items():
        assert f'"{name}"' in (ROOT / reader).read_text("utf-8")


@pytest.mark.parametrize("check", doctor.CHECKS, ids=lambda check: check.name)
def test_the_packages_are_those_that_doctor_names(check):
    """Of the programs that are systems of others; and DPDK's, which no check looks for."""
    if check.name in ("QEMU", "storage daemon", "Linux", "lspci", "iasl", "C compiler"):
        packages = check.get.removeprefix("sudo apt install ").split()
        assert packages
        assert all(f"`{package}`" in PAGE for package in packages)
    assert DPDK in PAGE


def test_where_a_linux_is_looked_for():
    (text,) = [text for kind, text in BLOCKS if kind == "text"]
    for place in (*linux_find.MODULES, *linux_find.PROGRAMS):
        assert place in text
    assert linux_find.KERNELS[0].removesuffix("-*") in text


def test_the_page_says_what_doctor_says():
    """The lines of its output begin as the real ones do."""
    (text,) = [text for kind, text in BLOCKS if "$ virtlab doctor" in text]
    for line in text.splitlines()[1:]:
        name = line[:15].strip()
        finding = doctor.Finding(name, True, False, line[20:], "", "")
        assert doctor.lines([finding]) == [line]
        assert name in {check.name for check in doctor.CHECKS}
