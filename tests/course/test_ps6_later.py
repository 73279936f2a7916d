"""Tasks 4 and 5 of problem set 6: their judges, and their solutions on the library's machines."""

from random import Random

import pytest

from tests.course.answers import right
from tests.course.refusals import refusal
from tests.pci.sriov_rig import SriovRig
from virtlab.bus import AddressSpace
from virtlab.cards import ECAM
from virtlab.clock import Clock
from virtlab.course.answers import Answer, Stopped
from virtlab.course.ps6 import functions, remapping_random, remapping_tables
from virtlab.course.ps6.functions_paper import Bytes, Paper
from virtlab.course.ps6.remapping_tables import READS, Ask, Table, entry, message, posted
from virtlab.guest.room import Room
from virtlab.guest.vtd import VtdDriver
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import Interrupt, Msi
from virtlab.iommu.registers import BASE, VtdRegisters
from virtlab.iommu.vtd import VtdUnit
from virtlab.memory import GuestMemory
from virtlab.pci.extended import SrIov
from virtlab.pci.sriov_functions import SRIOV_AT
from virtlab.pci.tlp import source_id

# -- task 4


def test_the_example_of_the_text_of_task_4_holds():
    ram = GuestMemory(0x8000)
    ram.store(0x4050, 16, 0x00000000_00040018_00000200_00410001)
    remap = right()["remap_interrupt"]
    assert remap(Table(ram), 0x4007, False, 0x18, 0xFEE000B0, 0) == ("send", 0x41, 2, 0, 0)
    assert remap(Table(ram), 0x4007, False, 0x19, 0xFEE000B0, 0) == 0x26


def test_the_answer_reads_the_entries_of_a_real_driver():
    """A driver of the library writes the table; the message that it hands out is remapped."""
    ram, memory = GuestMemory(1 << 20), AddressSpace("memory", 52)
    memory.map_ram(ram)
    unit = VtdUnit(ram)
    memory.map(BASE, VtdUnit.length, unit, "vtd", width=8)
    cpu = BareCpu(AddressSpace("port", 16, max_size=4), memory, Clock())
    vtd = VtdDriver(cpu, BASE, Room(0x4_0000, 0x4_0000))
    vtd.start()
    table = vtd.remap_interrupts()
    remap = right()["remap_interrupt"]

    def remapped(source, msi):
        return remap(Table(ram), vtd.registers.get(VtdRegisters.IRTA), False, source, *msi)

    for vector in (0x51, 0x52):
        msi = table.route(0x0320, Interrupt(vector, destination=3, level=True))
        assert remapped(0x0320, msi) == ("send", vector, 3, 0, 1)
        assert remapped(0x0321, msi) == 0x26
    msi = table.post(0x0320, 0x61, 0x1_0000_3040, urgent=True)
    assert remapped(0x0320, msi) == ("post", 0x61, 0x1_0000_3040, 1)


def test_a_read_outside_memory_gives_none():
    table = Table(GuestMemory(0x1000))
    assert table.read(0xFF0, 16) == bytes(16)
    assert table.read(0xFF8, 16) is None
    assert table.read(1 << 60, 16) is None
    for wrong in (-1, 1 << 20):
        with pytest.raises(ValueError, match="a read has"):
            table.read(0, wrong)
    for nowhere in ("0", 1.0, None):
        with pytest.raises(TypeError):
            table.read(nowhere, 16)
    table.reads = READS - 1
    assert table.read(0, 1) == b"\0"
    with pytest.raises(Stopped):
        table.read(0, 1)


def test_an_entry_that_changes_does_so_behind_the_first_read():
    ask = Ask(after=0)
    table = Table(ask.ram(), (ask.place, 0))
    assert int.from_bytes(table.read(ask.place, 16), "little") == entry()
    assert table.read(ask.place, 16) == bytes(16)


def test_every_other_entry_of_a_table_is_a_good_one():
    """So that a wrong index shows by its vector, and not by a fault that may be expected."""
    ask = Ask()
    for index in (0, 4, 6, 255):
        wrong = ask._replace(msi=message(index))
        assert wrong.right(ask.ram()) == ("send", 0x30 + index % 0xC0, index * 5 & 0xFF, 0, 0)


def asked(source, ask):
    """What is wrong with an answer to one message."""
    names = right()
    names["right"] = names["remap_interrupt"]
    exec(source, names)
    return ask.run(Answer(names))


OLD = Ask(msi=Msi(0xFEE0_1000, 0x41), old_allowed=True)
AFTER = "def remap_interrupt(*a):\n    r = right(*a)\n"


@pytest.mark.parametrize(
    ("source", "ask", "expected", "yours", "look"),
    [
        ("def remap_interrupt(*a): pass", Ask(), "('send', 'A', 2, 0, 0)", "None: is there", ""),
        (AFTER + "    return list(r)", Ask(), "('send'", "['send'", "the index"),
        (AFTER + "    return r[:2] + (9, 0, 0)", Ask(), "('send'", "9, 0, 0)", "V 23:16"),
        (AFTER + "    return ('send', 0, 0, 0, 0)", Ask(), "('send'", "0, 0, 0)", "the index"),
        (AFTER + "    return ('send', 0, 0, 0, 0)", Ask(msi=message(2, 3)), "", "", "SHV"),
        (AFTER + "    return 0x24", Ask(), "('send'", "0x24: a reserved field", "DLM 3 or 6"),
        (AFTER + "    return 0x22", Ask(entry(SVT=3)), "0x24: a reserved", "0x22: the", "SVT 3"),
        (AFTER + "    return 0x21", Ask(0), "0x22: the interrupt entry is not", "0x21", "P comes"),
        (AFTER + "    return True", Ask(), "('send'", "True", "the index"),
        (AFTER + "    return 0x99", Ask(), "('send'", "0x99", "the index"),
        (AFTER + "    return r[:3] + (1,)", Ask(posted()), "'post'", "'post'", "PDAH"),
        (AFTER + "    return 'x'", OLD, "('send', 'A', 1, 0, 0)", "'x'", "bit 4"),
        (AFTER + "    return 'x'", Ask(after=0), "('send'", "'x'", "read it once"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_interrupt_is_said(source, ask, expected, yours, look):
    found = asked(source, ask)
    assert expected.replace("'A'", "0x41") in found.expected
    assert yours in found.yours
    assert look in found.look


def test_a_report_says_the_whole_message():
    said = refusal("ps6.q4", AFTER + "    return 0x26")
    assert "FAILS a vector" in said
    assert "irta 0x4007, the old format blocked; source 0x0018 writes 0x0 to 0xfee00010" in said
    assert "entry 0x0 is 0000000000040018_0000020000410001" in said
    assert "yours 0x26: the interrupt entry is not for this source id" in said


# -- task 5


def test_the_example_of_the_text_of_task_5_holds():
    names = right()
    paper = Paper(number=2)
    given = (3, 0, 0), paper.capability, paper.sized
    assert names["virtual_functions"](*given, ECAM) == [
        (0x301, 0xB0301000, [(0xE0000000, 0x4000)]),
        (0x302, 0xB0302000, [(0xE0004000, 0x4000)]),
    ]
    assert names["room_for_all"](*given) == (3, [0x20000])


def sized(function):
    """What the VF BARs of a physical function give after all ones."""
    at = SRIOV_AT + SrIov.VF_BAR0.offset
    config = function.config
    before = [config.read(at + 4 * n, 4) for n in range(6)]
    for n in range(6):
        config.write(at + 4 * n, 4, 0xFFFF_FFFF)
    words = [config.read(at + 4 * n, 4) for n in range(6)]
    for n, word in enumerate(before):
        config.write(at + 4 * n, 4, word)
    return b"".join(word.to_bytes(4, "little") for word in words)


def capability(function):
    """The bytes of its SR-IOV capability."""
    words = [function.config.read(SRIOV_AT + 4 * n, 4) for n in range(16)]
    return b"".join(word.to_bytes(4, "little") for word in words)


@pytest.mark.parametrize("ari", [True, False])
@pytest.mark.parametrize(
    ("total", "physical", "size", "bits"),
    [(4, 1, 0x1000, 64), (20, 1, 0x8000, 32), (3, 2, 0x4000, 64)],
)
def test_the_answer_finds_what_the_driver_finds(total, physical, size, bits, ari):
    """The library's scan makes room, its driver makes the VFs; the answer reads the same device."""
    rig = SriovRig(total, physical, size, bits).start(ari)
    masks = [sized(pf) for pf in rig.pfs]
    names = right()
    for sriov, pf, mask in zip(rig.drivers, rig.pfs, masks, strict=True):
        sriov.placement(total)
        last, room = names["room_for_all"](tuple(sriov.found.place), capability(pf), mask)
        assert last == sriov.last_bus()
        assert room == [bar.size for bar in sriov.found.bars if bar.index >= 7]
        found = sriov.enable(total - 1)
        bars = [[(bar.address, bar.size) for bar in each.bars] for each in found]
        ids = [source_id(*each.place) for each in found]
        expected = [(n, ECAM + 4096 * n, part) for n, part in zip(ids, bars, strict=True)]
        given = tuple(sriov.found.place), capability(pf), mask
        assert names["virtual_functions"](*given, ECAM) == expected
        assert Bytes(*given[1:]).listed(given[0], ECAM) == expected
        sriov.disable()
        assert names["virtual_functions"](tuple(given[0]), capability(pf), mask, ECAM) == []


def test_the_configuration_page_is_that_of_the_function():
    rig = SriovRig(total=4).start()
    found = rig.sriov.enable(4)
    mask = sized(rig.pf)
    for (_, config, _), vf in zip(
        right()["virtual_functions"](tuple(rig.sriov.found.place), capability(rig.pf), mask, ECAM),
        found,
        strict=True,
    ):
        assert rig.cpu.load(config + 8, 4) >> 8 == vf.class_code


def test_a_paper_has_the_bytes_of_a_real_capability():
    """As far as both speak of the same: header, registers, the masks of BARs with their types."""
    rig = SriovRig(total=4, size=0x8000).start()
    rig.sriov.enable(3)
    found = rig.pf.config
    place = tuple(rig.sriov.found.place)
    bars = {
        bar.index - 7: (bar.address, bar.size // 4, bar.bits)
        for bar in rig.sriov.found.bars
        if bar.index >= 7
    }
    paper = Paper(place, 3, 4, bars=bars, control=found.read(SRIOV_AT + 8, 2))
    real = capability(rig.pf)
    for reg in (SrIov.CONTROL, SrIov.TOTAL_VFS, SrIov.NUM_VFS, SrIov.FIRST_VF_OFFSET,
                SrIov.VF_STRIDE, SrIov.SYSTEM_PAGE_SIZE):  # fmt: skip
        here = slice(reg.offset, reg.offset + reg.width)
        assert paper.capability[here] == real[here], reg.name
    assert Bytes(paper.capability, paper.sized).bars() == Bytes(real, sized(rig.pf)).bars()


VFS = "def virtual_functions(*a):\n    r = right_vfs(*a)\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def virtual_functions(*a): pass", "yours None: is there a return?"),
        (VFS + "    return r[1:]", "expected 1 VFs yours 0 VFs"),
        (VFS + "    return 'broken'", "look at no two functions have one routing id"),
        (VFS + "    return [(n + 1, c, b) for n, c, b in r]", "expected VF 1: (0x301, 0xb0301000"),
        (VFS + "    return [list(v) for v in r]", "yours VF 1: [0x301"),
        (VFS + "    return [(n, 0, b) for n, c, b in r]", "look at ECAM has 4096 bytes"),
        (VFS + "    return [(n, c, []) for n, c, b in r]", "look at bits 2:1 of a BAR are 2"),
        (VFS + "    return [(n, c, [(0, s) for _, s in b]) for n, c, b in r]", "sizes behind"),
        (VFS + "    return [(n, c, [(p, 1) for p, _ in b]) for n, c, b in r]", "less than a page"),
        (VFS + "    return [(n, c, [[0, 1]]) for n, c, b in r]", "no less than a page"),
        (VFS + "    return [(n, c, b or [(0, 4096)]) for n, c, b in r]", "FAILS past a bus"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_virtual_functions_is_said(source, said):
    assert said in refusal("ps6.q5", "right_vfs = virtual_functions\n" + source)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("    return r[0] + 1, r[1]", "look at the highest bus number"),
        ("    return r[0], [9]", "look at room is for TotalVFs"),
        ("    return 'broken'", "look at no two functions have one routing id"),
        ("    return r if r != 'broken' else None", "FAILS no room for what is broken"),
        ("    return None", "yours None: is there a return?"),
    ],
)
def test_what_is_wrong_with_the_room_is_said(source, said):
    assert said in refusal("ps6.q5", "def room_for_all(*a):\n    r = right(*a)\n" + source)


def test_memory_that_is_off_is_named():
    found = functions._look((0x301, ECAM, []), (0x301, ECAM, [(0, 4096)]))
    assert found == functions.LOOK_OFF


@pytest.mark.parametrize("run", [remapping_random.any_entry, remapping_random.hostile])
def test_random_asks_meet_every_reason_and_every_outcome(run):
    seen = set()

    class Watched(Answer):
        def call(self, name, *arguments):
            answer = super().call(name, *arguments)
            seen.add(answer if type(answer) is int else answer[0])
            return answer

    for seed in range(20):
        assert run(Watched(right()), Random(seed)) is None
    outcomes = {"send", "post", *range(0x20, 0x27)}
    assert seen >= (outcomes if run is remapping_random.any_entry else {"post", 0x21, 0x24, 0x26})
    assert set(remapping_tables.LOOKS) == set(range(0x20, 0x27))


HOSTILE = """
class Sly:
    def __eq__(self, other):
        raise ValueError("not to be compared")
    __hash__ = None
sly = Sly()
"""


@pytest.mark.parametrize(
    ("task", "source"),
    [
        ("ps6.q4", "def remap_interrupt(*a): return sly"),
        ("ps6.q4", "def remap_interrupt(*a): return ('send', sly, 2, 0, 0)"),
        ("ps6.q5", "def virtual_functions(*a): return sly"),
        ("ps6.q5", "def virtual_functions(*a): return [(sly, sly, sly)]"),
        ("ps6.q5", "def virtual_functions(*a): return [(0x301, 0xb0301000, [sly])]"),
        ("ps6.q5", "def room_for_all(*a): return sly"),
        ("ps6.q5", "def room_for_all(*a): return (sly, [sly])"),
        ("ps6.q6", "def iommu_groups(f): return [[sly]]"),
        ("ps6.q6", "def iommu_groups(f): return sly"),
        ("ps6.q6", "def assign(f, v): return {n: sly for n, _, _ in v}"),
        ("ps6.q6", "def assign(f, v): return {n: [sly] for n, _, _ in v}"),
    ],
)
def test_an_object_that_cannot_be_compared_is_refused(task, source):
    assert "an object of type Sly" in refusal(task, HOSTILE + source)
