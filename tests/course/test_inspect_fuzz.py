"""``virtlab inspect vtd`` on files that are damaged, cut, or made up to do harm.

Whatever a file holds, the command ends soon. It prints an answer and gives status 0, or one line
that names the file and gives status 2. It never prints a traceback.
"""

import io
import json
import time
import zipfile
from importlib.resources import files
from random import Random

import numpy as np
import pytest

from tests.course.saved import Saved
from virtlab.course import cli, inspect_vtd
from virtlab.iommu.listing import Budget

FILE = files("virtlab") / "data" / "vtd" / "vtd48_split.npz"
ROOT, CONTEXTS, TABLE = 0x10000, 0x11000, 0x12000
ON = 1 << 31
HUGE = (1 << 64) - 1
ASKED = ("--source", "00:03.0", "--iova", "0xfffff000")
WAYS = ((), ("--json",), ("-v",), ASKED, (*ASKED, "--json"), (*ASKED, "--write"))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A smaller budget: what is tried is many files, not much of one."""
    monkeypatch.setattr(inspect_vtd, "Budget", lambda: Budget(tables=64, pages=500))


def inspect(capsys, folder, data, *ways):
    """Each of these `ways`: the statuses. Status 2 is one line, and it names the file."""
    path = folder / "fuzzed.npz"
    path.write_bytes(data)
    statuses = set()
    for words in ways or WAYS:
        status = cli.main(["inspect", "vtd", str(path), *words])
        out, err = capsys.readouterr()
        assert status in (0, 2)
        assert "Traceback" not in err
        assert err.count("\n") == (status == 2), err
        assert (status == 0) == bool(out)
        if status == 2:
            assert err.startswith(f"virtlab inspect vtd: {path}: byte "), err
        elif "--json" in words:
            json.loads(out)
        statuses.add(status)
    return statuses


def members(data):
    """The four arrays of a file, as bytes of `.npy`."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts):
    """The other way round."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return file.getvalue()


def made(source_id=0x18, levels=4, **registers):
    """One context, whose top table is `TABLE`, and registers by name: `_020=...`."""
    file = Saved()
    file.manifest["queues"] = []
    values = {"_01c": ON, "_020": ROOT, "_024": 0, **registers}
    numbers = {f"0x{name[1:]}": value for name, value in values.items()}
    file.manifest["vtd"] = {"base": 0xFED9_0000, "registers": numbers}
    file.store(ROOT + 16 * (source_id >> 8), CONTEXTS | 1)
    at = CONTEXTS + 16 * (source_id & 0xFF)
    file.store(at, TABLE | 1)
    file.store(at + 8, levels - 2 | 5 << 8)
    file.page(TABLE)
    return file


# -- damaged files


@pytest.mark.parametrize("name", ["page_addr", "pages", "zero_pages", "manifest"])
@pytest.mark.parametrize("where", ["header", "data"])
def test_bytes_of_each_array_are_turned(capsys, tmp_path, name, where):
    """The checksum is right again, so that what is damaged is looked at."""
    random, parts = Random(f"{name}{where}"), members(FILE.read_bytes())
    key = f"{name}.npy"
    span = range(128) if where == "header" else range(128, len(parts[key]))
    for _ in range(12 if name == "pages" else 25):
        part = bytearray(parts[key])
        for _ in range(random.choice((1, 1, 3, 40))):
            part[random.choice(span) if span else 0] = random.randrange(256)
        inspect(capsys, tmp_path, zipped(parts | {key: bytes(part)}), (), ASKED)


def test_bytes_of_the_archive_are_turned(capsys, tmp_path):
    random, data = Random(1), made().data()
    found = set()
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(random.choice((1, 2, 20))):
            damaged[random.randrange(len(data))] = random.randrange(256)
        found |= inspect(capsys, tmp_path, bytes(damaged), ("--json",))
    assert found == {0, 2}


def test_a_file_that_ends_too_early(capsys, tmp_path):
    data = made().data()
    for end in (0, 1, 3, 4, *range(7, len(data), max(1, len(data) // 60)), len(data) - 1):
        assert inspect(capsys, tmp_path, data[:end], ("--json",)) == {2}
    whole = FILE.read_bytes()
    for part in range(8):
        assert inspect(capsys, tmp_path, whole[: len(whole) * part // 8], ()) == {2}


# -- manifests

ODD = [None, True, -1, 1.5, HUGE, HUGE + 1, 1 << 5000, "0x10", "", [], {}, [[]], {"a": 1}]


@pytest.mark.parametrize("key", ["format", "name", "source", "queues", "vtd", "base", "registers"])
def test_a_value_of_another_kind(capsys, tmp_path, key):
    for value in ODD:
        file = made()
        inside = file.manifest["vtd"] if key in ("base", "registers") else file.manifest
        if isinstance(value, int) and value > 1 << 4000:
            text = json.dumps(file.manifest | {key: "@"}).replace('"@"', "9" * 5000)
            manifest = np.frombuffer(text.encode(), "u1")
            assert inspect(capsys, tmp_path, file.data(manifest=manifest), ()) == {2}
            continue
        inside[key] = value
        inspect(capsys, tmp_path, file.data(), (), ASKED)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0x",
        "zebra",
        "-0x8",
        "0x1_c",
        " 0x1c ",
        "1c",
        "\u0661",
        "0x" + "f" * 4000,
        "\n",
        "0x01C",
    ],
)
def test_registers_with_odd_names_and_numbers(capsys, tmp_path, name):
    for value in ODD:
        if not (isinstance(value, int) and value > HUGE + 1):
            file = made()
            file.manifest["vtd"]["registers"][name] = value
            inspect(capsys, tmp_path, file.data(), (), ASKED)


@pytest.mark.parametrize("offset", [0x00, 0x08, 0x0C, 0x10, 0x14, 0x1C, 0x20, 0x24, 0xB8, 0xBC])
def test_registers_that_hold_anything(capsys, tmp_path, offset):
    random = Random(offset)
    numbers = [0, 1, (1 << 32) - 1, 1 << 32, HUGE, 1 << 63, *(random.getrandbits(64) for _ in "12")]
    for number in numbers:
        inspect(capsys, tmp_path, made(**{f"_{offset:03x}": number}).data(), (), ASKED, ("--json",))


# -- tables


@pytest.mark.parametrize("levels", [3, 4, 5])
@pytest.mark.parametrize("back", [TABLE, CONTEXTS, ROOT])
def test_tables_that_lead_in_a_circle(capsys, tmp_path, levels, back):
    """Each of 512 entries leads to the same page: 512 to the power of `levels` ways."""
    file = made(levels=levels)
    for number in range(512):
        file.store(TABLE + 8 * number, back | 3)
    assert inspect(capsys, tmp_path, file.data()) == {0}


@pytest.mark.parametrize("levels", [0, 1, 2, 6, 7, 8, 9])
def test_depths_that_there_are_not(capsys, tmp_path, levels):
    assert inspect(capsys, tmp_path, made(levels=levels % 8 + 2).data()) <= {0, 2}


def test_entries_of_every_kind(capsys, tmp_path):
    random = Random(9)
    for _ in range(40):
        file = made(levels=random.choice((3, 4, 5)))
        for _ in range(60):
            page = random.choice((ROOT, CONTEXTS, TABLE, TABLE))
            target = random.choice((0, ROOT, CONTEXTS, TABLE, 0x5000_0000, 0xFEE0_0000, 1 << 51))
            low = random.choice((0, 1, 2, 3, 3, 0x83, 0x7FF, 0xFFF))
            bits = random.choice((target | low, target | low, random.getrandbits(64)))
            file.store(page + 8 * random.randrange(512), bits)
        inspect(capsys, tmp_path, file.data(), (), ("--json",), ASKED)


def test_an_interrupt_table_of_65536_entries_that_is_all_of_memory(capsys, tmp_path):
    file = made(_0b8=TABLE | 15, _01c=ON | 1 << 25)
    random = Random(3)
    for number in range(512):
        file.store(TABLE + 8 * number, random.getrandbits(64) | 1)
    file.zero_pages += [TABLE + 4096 * number for number in range(1, 257)]
    assert inspect(capsys, tmp_path, file.data()) <= {0, 2}
    assert inspect(capsys, tmp_path, made(_0b8=HUGE).data()) == {0}


@pytest.mark.slow
def test_the_largest_maze_ends(capsys, tmp_path, monkeypatch):
    """65,536 contexts, each with 512 ** 5 ways, and the budget as it is: seconds, not years."""
    monkeypatch.undo()
    file = made(levels=5)
    for bus in range(256):
        file.store(ROOT + 16 * bus, CONTEXTS | 1)
    for number in range(256):
        file.store(CONTEXTS + 16 * number, TABLE | 1)
        file.store(CONTEXTS + 16 * number + 8, 3)
    for number in range(512):
        file.store(TABLE + 8 * number, TABLE | 3)
    before = time.process_time()
    path = file.write(tmp_path)
    assert cli.main(["inspect", "vtd", path, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert len(data["contexts"]) == 1 << 16
    assert not any(each["whole"] for each in data["contexts"])
    assert sum(len(each["mappings"]) for each in data["contexts"]) <= Budget().pages
    assert time.process_time() - before < 100
