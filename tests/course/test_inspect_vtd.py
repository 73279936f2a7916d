"""``virtlab inspect vtd``: what QEMU itself said of a running Linux's tables, and what is none."""

import gzip
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from random import Random

import pytest

from tests.course.saved import Saved
from virtlab.course import cli, inspect_vtd
from virtlab.course.inspect_irtes import irtes
from virtlab.course.inspect_vtd import load, way
from virtlab.course.saved_iommu import ANY, capabilities_of, root_table, saved
from virtlab.course.snapshots import load_snapshot
from virtlab.iommu.layouts import IRTE, IRTE_POSTED
from virtlab.iommu.listing import Budget
from virtlab.iommu.registers import VtdRegisters

DATA = Path(__file__).parent.parent / "data" / "virtio"
FILE = str(files("virtlab") / "data" / "vtd" / "vtd48_split.npz")
SID = 0x18
RW, LARGE = 3, 1 << 7

with gzip.open(DATA / "vtd48_split.expected.json.gz") as file:
    QEMU = json.load(file)


def said(capsys, *words, status=0):
    """What the command prints on stdout, and on stderr."""
    assert cli.main(["inspect", "vtd", *words]) == status
    return capsys.readouterr()


def data(capsys, *words):
    return json.loads(said(capsys, *words, "--json").out)


def lines(capsys, *words):
    return said(capsys, *words).out.splitlines()


# -- the real thing


def test_every_translation_is_qemus_own():
    unit = load(FILE)
    assert len(QEMU["translations"]) == 73
    for qemu in QEMU["translations"]:
        context, walk = way(unit, qemu["source_id"], qemu["iova"], write=False)
        assert walk.reason is None
        assert (walk.gpa, walk.read, walk.write) == (qemu["gpa"], qemu["read"], qemu["write"])
        assert context.domain == qemu["domain"]
        assert way(unit, qemu["source_id"], qemu["iova"], write=True)[1].reason == (
            None if qemu["write"] else 5
        )


def test_a_translation_as_data(capsys):
    qemu = QEMU["translations"][0]
    words = "--source", "00:03.0", "--iova", hex(qemu["iova"] + 0x123)
    told = data(capsys, FILE, *words)
    assert told["source_id"] == SID
    assert told["iova"] == qemu["iova"] + 0x123
    assert told["gpa"] == qemu["gpa"] + 0x123
    assert (told["read"], told["write"], told["domain"]) == (True, True, 5)
    assert [step["level"] for step in told["levels"]] == [4, 3, 2, 1]
    memory = load_snapshot(FILE).memory
    for step in told["levels"]:
        assert memory.load(step["entry_gpa"], 8) == step["entry"]
    qemus = QEMU["contexts"]["0x18"]
    assert told["tables"][1]["halves"] == [qemus["ctx_lo"], qemus["ctx_hi"]]
    assert told["levels"][0]["entry_gpa"] & ~0xFFF == qemus["slptptr"]


def test_the_contexts_are_qemus(capsys):
    told = data(capsys, FILE)["contexts"]
    assert [each["source_id"] for each in told] == [int(name, 16) for name in QEMU["contexts"]]
    for ours, qemu in zip(told, QEMU["contexts"].values(), strict=True):
        assert (ours["domain"], ours["levels"]) == (qemu["did"], qemu["aw"] + 2)
        assert (ours["table"], len(ours["mappings"])) == (qemu["slptptr"], qemu["nmaps"])
        assert ours["type"] == "translated"
        assert ours["whole"]
        assert ours["wrong"] == []


def test_each_mapping_is_what_its_walk_gives():
    unit = load(FILE)
    listed = {each["source_id"]: each for each in json.loads(run_json(FILE))["contexts"]}
    for source in (0x18, 0x20, 0x100):
        for page in listed[source]["mappings"][::7]:
            _, walk = way(unit, source, page["iova"], write=False)
            assert (walk.gpa, walk.size, walk.read, walk.write) == (
                page["gpa"],
                page["size"],
                page["read"],
                page["write"],
            )


def run_json(file):
    command = [sys.executable, "-m", "virtlab.course.cli", "inspect", "vtd", "-", "--json"]
    with open(file, "rb") as stdin:
        return subprocess.run(
            command, stdin=stdin, capture_output=True, timeout=60, check=True
        ).stdout


def test_the_interrupt_entries_are_qemus(capsys):
    told = data(capsys, FILE)
    assert told["interrupt_remapping"] == {
        "enabled": True,
        "table": 0x1200000,
        "size": 65536,
        "extended": False,
    }
    entries = {entry["index"]: entry for entry in told["irtes"]}
    assert {str(index): entry["entry"] for index, entry in entries.items()} == QEMU["irte"]
    for line in QEMU["interrupt_remapping"]:
        # vtd_ir_remap index 0 trigger 0 vector 39 deliver 0 dest 0x1 mode 1
        words = line.split()
        entry = entries[int(words[2])]
        assert (entry["level"], entry["delivery_mode"]) == (bool(int(words[4])), int(words[8]))
        assert (entry["destination"], entry["logical"]) == (
            int(words[10], 16),
            bool(int(words[12])),
        )
    # A vector moves with its processor: the trace has the old ones too.
    told = {(int(line.split()[2]), int(line.split()[6])) for line in QEMU["interrupt_remapping"]}
    assert len(told) == 11
    assert {(index, entries[index]["vector"]) for index, _ in told} <= told


# -- in words


def test_one_address_in_words(capsys):
    assert lines(capsys, FILE, "--source", "00:03.0", "--iova", "0xfffe0123") == [
        "00:03.0 asks for 0xfffe0123",
        "  root     at 0x000297b000: 0x00000000029e4001",
        "  context  at 0x00029e4180: 0x5020000000002a1b001",
        "  level 4  at 0x0002a1b000: 0x0000000002b5e003",
        "  level 3  at 0x0002b5e018: 0x0000000002b5f003",
        "  level 2  at 0x0002b5fff8: 0x0000000002b60003",
        "  level 1  at 0x0002b60f00: 0x0000000002b7e003",
        "  gpa 0x2b7e123, rw, a page of 4 KiB, domain 5",
    ]


def test_one_context_in_words(capsys):
    told = lines(capsys, FILE, "--source", "0x18")
    assert told[0].startswith("vtd48_split: live guest memory of Debian")
    assert told[1:6] == [
        "translation is on, root table 0x297b000",
        "addresses of 48 bits, tables of 3 or 4 levels, pages of 4 KiB, 2 MiB or 1 GiB",
        "",
        "00:03.0: domain 5, translated, 4 levels from 0x2a1b000, 25 pages",
        "  0x0000fffdf000 -> 0x0003785000  rw  4 KiB",
    ]
    assert "  0x0000fffe0000 -> 0x0002b7e000  rw  64 KiB" in told


def test_all_in_words_is_cut_unless_all_is_asked_for(capsys):
    short, whole = lines(capsys, FILE), lines(capsys, FILE, "-v")
    assert "  and 255 more lines (-v shows all)" in short
    assert not any("more lines" in line for line in whole)
    assert "  0x000000000000 -> 0x0000000000  rw  16 MiB" in short
    head = "interrupt remapping is on, table 0x1200000 of 65536, xAPIC ids"
    assert short[short.index(head) + 1] == (
        "      0  from ff:00.0        vector 0x27, fixed, edge, to logical 0x1"
    )


# -- faults, and what was not saved

ROOT, CONTEXTS, TABLES = 0x10000, 0x11000, 0x12000
IOVA = 0x40201000
GSTS, RTADDR, CAP, IRTA = (
    getattr(VtdRegisters, name).offset for name in ("GSTS", "RTADDR", "CAP", "IRTA")
)


def made(levels=4, kind=0, status=1 << 31, **registers):
    """A snapshot in which 00:03.0 has the page of IOVA at 0x9000, and one of 2 MiB behind it."""
    file = Saved()
    known = {GSTS: status, RTADDR: ROOT} | {int(key[1:], 16): registers[key] for key in registers}
    file.manifest["vtd"] = {
        "base": 0xFED90000,
        "registers": {f"0x{offset:03x}": value for offset, value in known.items()},
    }
    file.store(ROOT, CONTEXTS | 1)
    file.store(CONTEXTS + 16 * SID, TABLES | kind << 2 | 1)
    file.store(CONTEXTS + 16 * SID + 8, levels - 2 | 9 << 8)
    table = TABLES
    for level in range(levels, 1, -1):
        file.store(table + 8 * (IOVA >> 12 + 9 * (level - 1) & 511), table + 0x1000 | RW)
        table += 0x1000
    file.store(table + 8 * (IOVA >> 12 & 511), 0x9000 | RW)
    file.store(table - 0x1000 + 8 * 2, 0x40000000 | LARGE | 1)
    return file


def asked(capsys, folder, file, *words, iova=IOVA):
    return data(capsys, file.write(folder), "--source", "00:03.0", "--iova", hex(iova), *words)


@pytest.mark.parametrize("levels", [3, 4, 5])
def test_tables_of_3_4_and_5_levels(capsys, tmp_path, levels):
    file = made(levels)
    told = asked(capsys, tmp_path, file, iova=IOVA + 5)
    assert (told["gpa"], told["domain"], len(told["levels"])) == (0x9005, 9, levels)
    (context,) = data(capsys, file.write(tmp_path))["contexts"]
    assert context["levels"] == levels
    assert context["mappings"] == [
        {"iova": IOVA, "gpa": 0x9000, "size": 4096, "read": True, "write": True},
        {"iova": 0x40400000, "gpa": 0x40000000, "size": 1 << 21, "read": True, "write": False},
    ]


def test_a_page_that_may_only_be_written_is_found_too(capsys, tmp_path):
    file = made()
    file.store(0x15000 + 8, 0x9000 | 2)
    told = asked(capsys, tmp_path, file)
    assert (told["read"], told["write"]) == (False, True)
    rights = [line.split()[3] for line in lines(capsys, file.write(tmp_path)) if " -> " in line]
    assert rights == ["-w", "r-"]


@pytest.mark.parametrize(
    ("change", "words", "code", "name"),
    [
        ((0x15008, 0), (), 6, "READ"),
        ((0x15008, 0x9001), ("--write",), 5, "WRITE"),
        ((0x15008, 0x9003 | 1 << 11), (), 12, "PAGING_RESERVED"),
        ((CONTEXTS + 16 * SID, 0), (), 2, "CONTEXT_NOT_PRESENT"),
        ((CONTEXTS + 16 * SID + 8, 7), (), 3, "CONTEXT_INVALID"),
        ((ROOT, 0), (), 1, "ROOT_NOT_PRESENT"),
        ((ROOT, CONTEXTS | 5), (), 10, "ROOT_RESERVED"),
    ],
)
def test_a_fault_has_its_code(capsys, tmp_path, change, words, code, name):
    file = made(_008=0x3C_2000_0000 | 0x2F0000 | 0x600, _010=0)
    file.store(*change)
    told = asked(capsys, tmp_path, file, *words)
    assert told["fault"]["code"] == code
    assert told["fault"]["name"] == name
    assert "gpa" not in told
    assert told["domain"] == (9 if code in (5, 6, 12) else None)
    text = lines(capsys, file.write(tmp_path), "--source", "00:03.0", "--iova", hex(IOVA), *words)
    assert text[-1] == f"  fault {code:#x}, {name}: {told['fault']['meaning']}"


def test_an_address_beyond_the_width(capsys, tmp_path):
    assert asked(capsys, tmp_path, made(3), iova=1 << 39)["fault"]["code"] == 4


def test_a_page_that_was_not_saved_is_named(capsys, tmp_path):
    file = made()
    file.store(0x13000 + 8, 0x77000 | RW)
    words = file.write(tmp_path), "--source", "00:03.0", "--iova", hex(IOVA)
    assert (
        "needs 0x77008: page 0x77000 is not in the snapshot" in said(capsys, *words, status=2).err
    )
    (context,) = data(capsys, words[0])["contexts"]
    assert context["mappings"] == []
    assert context["wrong"][0]["fault"]["name"] == "PAGING_ACCESS"
    assert "level 3: a page table is not in memory" in said(capsys, words[0]).out


def test_a_context_that_is_wrong_is_listed_with_its_fault(capsys, tmp_path):
    path = made(kind=3).write(tmp_path)
    (context,) = data(capsys, path)["contexts"]
    assert context["fault"]["code"] == 3
    assert "00:03.0: the context entry asks for what" in said(capsys, path).out


def test_pass_through(capsys, tmp_path):
    file = made(kind=2)
    told = asked(capsys, tmp_path, file)
    assert (told["gpa"], told["levels"]) == (IOVA, [])
    (context,) = data(capsys, file.write(tmp_path))["contexts"]
    assert (context["type"], context["mappings"]) == ("passed through", [])


def test_translation_that_is_off(capsys, tmp_path):
    file = made(status=0)
    told = asked(capsys, tmp_path, file)
    assert (told["gpa"], told["domain"], told["levels"]) == (IOVA, None, [])
    path = file.write(tmp_path)
    assert data(capsys, path)["contexts"] == []
    assert "translation is off" in lines(capsys, path)
    assert "no table of interrupts" in lines(capsys, path)
    text = lines(capsys, path, "--source", "00:03.0", "--iova", "0x5")
    assert text[1:] == ["  translation is off", "  gpa 0x5, rw, a page of 4 KiB"]


def test_tables_without_end_are_cut(capsys, tmp_path, monkeypatch):
    """Each entry of the top table leads to that table: 2**36 ways, and only so many are told."""
    monkeypatch.setattr(inspect_vtd, "Budget", lambda: Budget(tables=50, pages=2000))
    file = made()
    for number in range(512):
        file.store(TABLES + 8 * number, TABLES | RW)
    path = file.write(tmp_path)
    (context,) = data(capsys, path)["contexts"]
    assert not context["whole"]
    assert "  and more: the tables hold too many ways to list" in lines(capsys, path)


# -- interrupt entries


def entries(*pairs, irta=0x20000 | 3, **registers):
    file = made()
    for number, bits in pairs:
        file.store(0x20000 + 16 * number, bits & (1 << 64) - 1)
        file.store(0x20000 + 16 * number + 8, bits >> 64)
    file.page(0x20000)
    known = {getattr(VtdRegisters, name).offset: value for name, value in registers.items()}
    return irtes(file.snapshot().memory, {IRTA: irta, **known})


@pytest.mark.parametrize(("pi", "wrong"), [(0, True), (1, False)])
def test_an_entry_that_posts_is_wrong_for_a_unit_that_cannot(pi, wrong):
    """CAP.PI is 0, as QEMU's is: then IM is a reserved bit (VT-d 9.10, 10.4.2)."""
    posted = IRTE_POSTED.pack(P=1, IM=1, VV=0x42, SVT=1, SID=0x0203)
    cap = VtdRegisters.CAP.ND.put(VtdRegisters.CAP.PI.put(0, pi), 6)
    (entry,) = entries((0, posted), CAP=cap).entries
    assert ("fault" in entry.as_data()) == wrong


def test_an_entry_in_each_form():
    remapped = IRTE.pack(P=1, V=0x31, DST=0x500, DLM=1, TM=1, SID=0x0118, SVT=1, SQ=1)
    posted = IRTE_POSTED.pack(P=1, IM=1, VV=0x42, PDAL=0x1234, PDAH=5, URG=1, SVT=2, SID=0x0203)
    broken = IRTE.pack(P=1, DLM=3)
    found = entries((0, remapped), (1, 0), (2, posted), (5, broken), (15, remapped), (16, remapped))
    assert [entry.number for entry in found.entries] == [0, 2, 5, 15]
    assert list(found.words())[1:4] == [
        "      0  from 01:03.0 & 0xfffb vector 0x31, lowest priority, level, to physical 0x5",
        "      2  from bus 02 to 03   vector 0x42, posted to the descriptor at 0x500048d00, urgent",
        "      5  from anybody        vector 0x00, reserved mode 3, edge, to physical 0x0: "
        "a reserved field is set in an interrupt entry that is present",
    ]
    first, second, third, _ = (entry.as_data() for entry in found.entries)
    assert (first["destination"], first["level"], first["source_check"]) == (5, True, 1)
    assert (second["posted"], second["descriptor"], second["urgent"]) == (True, 0x500048D00, True)
    assert third["fault"]["code"] == 0x24
    assert "fault" not in first


def test_x2apic_ids_are_whole():
    found = entries((0, IRTE.pack(P=1, DST=0x12345)), irta=0x20000 | 1 << 11)
    assert found.entries[0].destination == 0x12345
    assert found.size == 2
    assert "x2APIC ids" in next(found.words())


def test_a_table_of_which_nothing_was_saved_has_no_entries():
    found = irtes(made().snapshot().memory, {IRTA: 0x5000_000F})
    assert (found.size, found.entries, found.enabled) == (65536, [], False)


# -- registers


def test_a_register_is_named_whole_or_in_halves():
    registers = {8: 0x222F0606, 0xC: 0xD2008C, 0x20: 0x1_2345_6000, 0x24: 0xFFFF}
    assert saved(registers, VtdRegisters.CAP) == 0xD2008C_222F0606
    assert saved(registers, VtdRegisters.RTADDR) == 0x1_2345_6000
    assert saved({}, VtdRegisters.CAP) == 0
    assert root_table(registers) is None


def test_a_unit_that_says_nothing_can_do_all():
    assert capabilities_of({}) is ANY
    can = capabilities_of(load_snapshot(FILE).vtd)
    assert (can.levels, can.guest_width, can.snoop) == ((3, 4), 48, False)


# -- whatever a file holds


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_tables_and_registers_hold_it_is_told(capsys, tmp_path, monkeypatch, seed):
    monkeypatch.setattr(inspect_vtd, "Budget", lambda: Budget(tables=200, pages=2000))
    random = Random(seed)
    file = made(**{f"_{offset:03x}": random.getrandbits(32) for offset in (8, 12, 16, 20)})
    file.manifest["vtd"]["registers"] |= {
        "0x0b8": 0x20000 | random.getrandbits(12),
        "0x01c": random.getrandbits(31) | 1 << 31,
    }
    for table in (ROOT, CONTEXTS, 0x12000, 0x13000, 0x14000, 0x15000, 0x20000):
        for _ in range(20):
            bits = random.choice([random.getrandbits(64), 0x12003 + (random.randrange(9) << 12)])
            file.store(table + 8 * random.randrange(512), bits)
    path = file.write(tmp_path)
    for words in ([path], [path, "-v"], [path, "--json"], [path, "--source", "0:3.0"]):
        assert cli.main(["inspect", "vtd", *words]) in (0, 2)
        assert "Traceback" not in capsys.readouterr().err
    for iova in (IOVA, 0, 1 << 39, (1 << 64) - 1):
        assert cli.main(
            ["inspect", "vtd", path, "--source", "0:3.0", "--iova", hex(iova), "--json"]
        ) in (0, 2)


def test_a_unit_that_can_walk_nothing(capsys, tmp_path):
    path = made(_008=7, _010=0).write(tmp_path)
    assert "tables of no levels" in said(capsys, path).out


# -- what goes wrong


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--iova", "0x1000"), "--iova needs --source"),
        (("--source", "9:99.1"), "argument --source: invalid source value: '9:99.1'"),
        (("--source", "0x10000"), "argument --source: invalid source value"),
        (("--source", "00:03.0", "--iova", "zebra"), "argument --iova: invalid address value"),
        (("--source", "00:03.0", "--iova", "-1"), "argument --iova: "),
        (("--source", "00:03.0", "--iova", hex(1 << 64)), "argument --iova: invalid address value"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(capsys, words, why):
    err = said(capsys, FILE, *words, status=2).err
    assert why in err
    assert err.count("\n") == 1


def test_a_snapshot_without_a_unit(capsys):
    path = str(DATA / "vq_split.npz")
    assert said(capsys, path, status=2).err == (
        f"virtlab inspect vtd: {path}: byte 0: no VT-d unit in this snapshot\n"
    )


def test_scalable_mode_is_not_read(capsys, tmp_path):
    path = made(_020=ROOT | 1 << 10).write(tmp_path)
    assert said(capsys, path, status=2).err.endswith("scalable mode, which is not read\n")


def test_a_source_may_have_a_domain_number_before_it(capsys):
    assert data(capsys, FILE, "--source", "0000:00:03.0")["contexts"][0]["source_id"] == SID
