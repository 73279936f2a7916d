"""The rows that need a Linux: what they ask for, what they make of the answers, when they run."""

import re
import subprocess

import pytest

from benchmarks import __main__ as command
from benchmarks import compiler, linux_rows
from benchmarks.harness import measure
from benchmarks.linux_rows import BLOCK, GOAL, LinuxDuel, Machine, numbered, rows_of

US = 1000
"""Nanoseconds."""


class Paper:
    """A machine on paper, whose disks take so many nanoseconds a request."""

    def __init__(self, own, ours):
        self.times = {"vda": own, "vdb": ours, "vdc": ours}
        self.asked = []

    def load(self, device, kind, size, depth, count, seed):
        self.asked.append((device, kind, size, depth, count, seed))
        return self.times[device] * count


@pytest.fixture(autouse=True)
def notes(monkeypatch):
    monkeypatch.setattr(linux_rows, "NOTES", [])
    return linux_rows.NOTES


def test_all_sixteen_rows_have_the_goal():
    rows = rows_of(Paper(1, 1))
    assert len({(row.name, row.batch) for row in rows}) == len(rows) == 16
    assert all((row.goal, row.least, row.gate) == (GOAL, True, False) for row in rows)
    assert {row.batch for row in rows} == {1, 32}


@pytest.mark.parametrize("row", rows_of(Paper(200 * US, 250 * US)), ids=lambda row: row.name)
def test_the_ratio_is_ours_in_units_of_qemus(row):
    """A request that takes 250 us where QEMU takes 200 is 0.8 of it, at any depth."""
    result = measure(row, rounds=3)
    assert result.ratio == pytest.approx(0.8, rel=1e-3)
    assert result.met
    assert result.python == pytest.approx(250 * US * row.batch, rel=1e-3)


def test_both_sides_are_asked_for_the_same(notes):
    machine = Paper(200 * US, 400 * US)
    duel = LinuxDuel(machine, "vdc", "w", 65536, 32)
    duel.check()
    assert {words[4] for words in machine.asked} == {256}
    machine.asked.clear()
    duel.prepare()
    assert duel.python() == 2 * duel.twin()
    ours, qemus = machine.asked
    assert (ours[0], qemus[0]) == ("vdc", "vda")
    assert ours[1:] == qemus[1:] == ("w", 65536, 32, 750, 1)
    duel.check()
    assert notes == [
        "linux polled, 64 KiB writes, 32 at a time: "
        "2500 IOPS, 163.8 MB/s; QEMU's: 5000 IOPS, 327.7 MB/s"
    ]


def test_each_block_of_an_image_has_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(linux_rows, "MIB", 1)
    data = numbered(tmp_path / "image").read_bytes()
    assert len(data) == 1 << 20
    assert [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), BLOCK)] == [
        *range(256)
    ]


# -- the program that runs in the guest


@pytest.fixture(scope="module")
def blk_load(tmp_path_factory):
    path = tmp_path_factory.mktemp("load") / "blk_load"
    path.write_bytes(compiler.program("blk_load.c"))
    path.chmod(0o755)
    return path


def run(program, *words):
    done = subprocess.run(
        [program, *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("kind", ["r", "w"])
@pytest.mark.parametrize("depth", [1, 32])
def test_it_reads_and_writes_numbered_blocks(blk_load, tmp_path, monkeypatch, kind, depth):
    monkeypatch.setattr(linux_rows, "MIB", 1)
    image = numbered(tmp_path / "image")
    before = image.read_bytes()
    status, out, err = run(blk_load, image, kind, 8192, depth, 100, 7)
    if "Invalid argument" in err:
        pytest.skip("not in this machine: a file system with direct I/O")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"\d+\n", out)
    assert image.read_bytes() == before


@pytest.mark.parametrize("depth", [1, 32])
def test_a_wrong_block_is_seen(blk_load, tmp_path, monkeypatch, depth):
    """And who writes puts the right number there."""
    monkeypatch.setattr(linux_rows, "MIB", 1)
    image = numbered(tmp_path / "image")
    right = image.read_bytes()
    image.write_bytes(bytes(len(right)))
    status, out, err = run(blk_load, image, "r", 4096, depth, 100, 7)
    if "Invalid argument" in err:
        pytest.skip("not in this machine: a file system with direct I/O")
    assert (status, out) == (1, "")
    assert re.fullmatch(r"block \d+ says that it is 0\n", err)
    status, _, err = run(blk_load, image, "w", 4096, depth, 5000, 7)
    assert (status, err) == (0, "")
    assert image.read_bytes() == right


@pytest.mark.parametrize("words", [[], ["x"], ["/dev/null", "r", 4096, 0, 1, 1]])
def test_wrong_words(blk_load, words):
    assert run(blk_load, *words)[0] == 2


def test_no_such_disk(blk_load, tmp_path):
    status, _, err = run(blk_load, tmp_path / "none", "r", 4096, 1, 1, 1)
    assert status == 1
    assert err.endswith("none: No such file or directory\n")


# -- the command


def test_they_are_measured_only_where_they_are_asked_for():
    asked = [name for part in command.chosen("linux", compiler.FLAGS) for name in names(part)]
    assert len(asked) == 16
    everything = [name for part in command.chosen("", compiler.FLAGS) for name in names(part)]
    assert not set(asked) & set(everything)


def names(part):
    return [(row.name, row.batch) for row in part[0]]


def test_a_machine_without_a_linux_says_so_in_one_line(monkeypatch, capsys):
    def none():
        raise FileNotFoundError("no Linux kernel with its modules in /: get one")

    monkeypatch.setattr(linux_rows, "linux_image", none)
    monkeypatch.setattr(command, "pin", lambda: None)
    assert command.main(["--rows", "linux"]) == 2
    assert capsys.readouterr().err == "no Linux kernel with its modules in /: get one\n"


def test_a_server_that_does_not_start_ends_the_run(tmp_path):
    machine = Machine()
    with pytest.raises(ChildProcessError, match="virtlab serve ended before it was ready"):
        machine._serve(tmp_path / "none.img")
    machine.close()
    machine.close()
