"""Task 5 of problem set 6: where the virtual functions are. The judge reads the same bytes.

The cases of virtual_functions go from routing ids to memory, then to devices whose numbers cannot
be. Those of room_for_all ask the same of all VFs that there can be.
"""

from __future__ import annotations

from random import Random
from typing import Any

from virtlab.cards import ECAM
from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import first
from virtlab.course.ps6.functions_paper import BARS, ON, BarKind, Bars, Bytes, Function, Paper
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same, shown
from virtlab.pci.extended import SrIov

ENABLE, MSE = SrIov.CONTROL.VF_ENABLE.mask, SrIov.CONTROL.VF_MSE.mask

LOOK_COUNT = "VF Enable is bit 0 of Control; NumVFs counts, up to TotalVFs (SR-IOV 1.1, 3.3.7)"
LOOK_IDS = "the PF's id, First VF Offset, and so many strides; a carry is lost (SR-IOV 1.1, 2.1.2)"
LOOK_BROKEN = "no two functions have one routing id, and no VF has the PF's (SR-IOV 1.1, 2.1.2)"
LOOK_ECAM = "ECAM has 4096 bytes for each routing id (PCI Express 3.0, 7.2.2)"
LOOK_OFF = "no memory: VF MSE, bit 3 of Control, is 0, or there is no BAR (SR-IOV 1.1, 3.3.3.4)"
LOOK_BARS = "bits 2:1 of a BAR are 2: the next register is its upper half (PCI 3.0, 6.2.5.1)"
LOOK_SIZE = "the lowest address bit that took a 1, and no less than a page (SR-IOV 1.1, 3.3.13)"
LOOK_PLACE = "VF n is n - 1 sizes behind the first (SR-IOV 1.1, 3.3.14)"
LOOK_ALL = "room is for TotalVFs, whatever NumVFs and Control say (SR-IOV 1.1, 3.3.6)"
LOOK_LAST = "the highest bus number that one of the functions has, the PF included"

BARS_OF_ALL_SORTS: Bars = {
    0: (0xE000_0000, 0x4000, 32),
    1: (0xE010_0000, 0x1_0000, 32),
    3: (0x8_0020_0000, 0x2_0000, 64),
    5: (0xE020_0000, 0x1000, 32),
}
WIDE: Bars = {0: (0xF000_0000, 0x4000, 64)}
HIGH: Bars = {0: (0x1F_8000_0000, 0x10_0000, 64), 2: (0xFF_FFFF_0000, 0x1000, 64)}
HUGE: Bars = {2: (0x40_0000_0000, 8 << 30, 64), 4: (0x80_0000_0000, 4 << 30, 64)}


def _list(answer: Answer, paper: Paper) -> Difference | None:
    """Ask for the VFs."""
    answer.given = str(paper)
    data = Bytes(paper.capability, paper.sized)
    expected = data.listed(paper.place, paper.ecam)
    yours = answer.call("virtual_functions", paper.place, data.capability, data.sized, paper.ecam)
    return None if same(expected, yours) else _differs(expected, yours)


def _differs(expected: list[Function] | str, yours: object) -> Difference:
    """The first VF that is not as it should be, or the lists if they have no such thing."""
    if isinstance(expected, str) or not isinstance(yours, list):
        look = LOOK_BROKEN if _broken(expected) or _broken(yours) else LOOK_COUNT
        return _shown(compare(expected, yours, look))
    if len(expected) != len(yours):
        return Difference(f"{len(expected)} VFs", f"{len(yours)} VFs", LOOK_COUNT)
    n = next(n for n, pair in enumerate(zip(expected, yours, strict=True)) if not same(*pair))
    return Difference(
        f"VF {n + 1}: {shown(expected[n])}",
        f"VF {n + 1}: {shown(yours[n])}",
        _look(expected[n], yours[n]),
    )


def _look(right: Function, yours: object) -> str:
    """Which part of a VF is wrong."""
    if not isinstance(yours, tuple) or len(yours) != 3 or not same(right[0], yours[0]):
        return LOOK_IDS
    if not same(right[1], yours[1]):
        return LOOK_ECAM
    if not right[2]:
        return LOOK_OFF
    if not isinstance(yours[2], list) or len(yours[2]) != len(right[2]):
        return LOOK_BARS
    sizes = [bar[1:] for bar in yours[2] if isinstance(bar, tuple)]
    return LOOK_PLACE if same([bar[1:] for bar in right[2]], sizes) else LOOK_SIZE


def _broken(value: object) -> bool:
    return same(value, "broken")


def _shown(found: Difference | None) -> Difference:
    assert found is not None
    return found


def _room(answer: Answer, paper: Paper) -> Difference | None:
    """Ask for the room."""
    answer.given = str(paper)
    data = Bytes(paper.capability, paper.sized)
    expected = data.reserved(paper.place)
    yours = answer.call("room_for_all", paper.place, data.capability, data.sized)
    look = LOOK_ALL
    if _broken(expected) or _broken(yours):
        look = LOOK_BROKEN
    elif isinstance(yours, tuple) and same(expected[1:], yours[1:]):
        look = LOOK_LAST
    return compare(expected, yours, look)


def _lists(*papers: Paper) -> Run:
    return lambda answer, rng: first(_list(answer, paper) for paper in papers)


def _rooms(*papers: Paper) -> Run:
    return lambda answer, rng: first(_room(answer, paper) for paper in papers)


# -- random ones


def _any_bars(rng: Random) -> Bars:
    """Some BARs, each at a multiple of its size, 32 or 64 bits wide."""
    bars: dict[int, BarKind] = {}
    index = 0
    while index < BARS:
        bits = 64 if index < BARS - 1 and rng.random() < 0.4 else 32
        if rng.random() < 0.5:
            size = 1 << rng.randrange(12, 36 if bits == 64 else 24)
            bars[index] = (rng.getrandbits(bits) & ~(size - 1), size, bits)
            index += bits // 64
        index += 1
    return bars


def _any_paper(rng: Random) -> Paper:
    total = rng.choice((1, 4, 8, 64, rng.randrange(1, 300)))
    usual: dict[str, Any] = {
        "offset": rng.choice((1, 2, 8, 256, 384)),
        "stride": rng.randrange(1, 5),
    }
    odd = {"offset": rng.getrandbits(16), "stride": rng.choice((0, 1, 0x100, 0xFFFF, 0x8000))}
    return Paper(
        place=(rng.randrange(256), rng.randrange(32), rng.randrange(8)),
        number=rng.randrange(total + 3),
        total=total,
        bars=_any_bars(rng),
        control=rng.choice((ON, ON, ON, ENABLE, MSE, 0)) | rng.choice((0, 0x10)),
        page=rng.choice((1, 1, 2, 0x10, 0x400)),
        ecam=rng.choice((ECAM, 0xE000_0000, 1 << 36)),
        **(odd if rng.random() < 0.2 else usual),
    )


def _any(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(16):
        paper = _any_paper(rng)
        if found := _list(answer, paper) or _room(answer, paper):
            return found
    return None


def _hostile(answer: Answer, rng: Random) -> Difference | None:
    """Many, at places that cannot be."""
    wild = rng.getrandbits(16)
    for offset, stride in ((0, 0), (1, 0x8000), (0xFFFF, 0xFFFF), (wild, 0x8001), (wild, 0x40)):
        place = (rng.randrange(256), rng.randrange(32), rng.randrange(8))
        number = rng.randrange(500, 1500)
        paper = Paper(place, number, number, offset, stride, _any_bars(rng), ENABLE)
        if found := _list(answer, paper) or _room(answer, paper):
            return found
    return None


FUNCTIONS = Task(
    "ps6.q5",
    "functions that no scan finds",
    ("virtual_functions", "room_for_all"),
    ("S44", "S45", "S46"),
    lines=40,
    minutes=35,
    difficulty=3,
    points=6,
    cases=(
        Case("one VF", _lists(Paper(number=1))),
        Case("four VFs", _lists(Paper())),
        Case(
            "an offset and a stride",
            _lists(
                Paper((3, 0, 1), 3, offset=2, stride=2),
                Paper((0, 2, 0), 3, offset=2, stride=2),
            ),
        ),
        Case("past eight functions", _lists(Paper(number=20, total=20), Paper((3, 4, 6)))),
        Case(
            "past a bus",
            _lists(
                Paper(number=20, total=20, offset=256),
                Paper((3, 0x1F, 7)),
                Paper((3, 0, 0), 300, 300, bars={}),
            ),
        ),
        Case("a carry out of 16 bits", _lists(Paper((0xFF, 0, 0), 4, offset=0xFE))),
        Case("another ECAM", _lists(Paper(ecam=0xE000_0000), Paper((0x80, 0, 0), ecam=1 << 36))),
        Case("VF Enable is off", _lists(Paper(control=0), Paper(control=MSE))),
        Case("NumVFs is 0", _lists(Paper(number=0), Paper(number=0, stride=0))),
        Case("more than TotalVFs", _lists(Paper(number=9), Paper(number=0xFFFF, total=3))),
        Case("other bits of Control", _lists(Paper(control=ON | 0x16), Paper(control=0x16))),
        Case("a BAR of 64 bits", _lists(Paper(bars=WIDE))),
        Case("memory above 4 GiB", _lists(Paper(bars=HIGH))),
        Case("BARs of all sorts", _lists(Paper(bars=BARS_OF_ALL_SORTS))),
        Case("BARs larger than 4 GiB", _lists(Paper(bars=HUGE))),
        Case("no BAR", _lists(Paper(bars={}))),
        Case("a BAR at address 0", _lists(Paper(bars={0: (0, 0x4000, 32), 4: (0, 0x1000, 64)}))),
        Case("VF MSE is off", _lists(Paper(control=ENABLE, bars=WIDE))),
        Case(
            "larger pages",
            _lists(
                Paper(page=0x10),
                Paper(page=0x10, bars=BARS_OF_ALL_SORTS),
                Paper(page=0x400, bars=BARS_OF_ALL_SORTS),
            ),
        ),
        Case("two VFs in one place", _lists(Paper(stride=0), Paper(stride=0x8000, number=3))),
        Case(
            "a VF in the PF's place",
            _lists(
                Paper(offset=0),
                Paper(number=1, offset=0, stride=0),
                Paper(offset=0xFFFE, stride=1),
            ),
        ),
        Case(
            "none of it yet",
            _lists(Paper(number=1, stride=0), Paper(offset=0xFFFE, number=2)),
        ),
        Case("broken, but switched off", _lists(Paper(offset=0, control=MSE))),
        Case("room for all", _rooms(Paper(), Paper(number=8))),
        Case("room before there are any", _rooms(Paper(number=0, control=0))),
        Case(
            "how many buses",
            _rooms(
                Paper((3, 0, 0), 0, 20, offset=256),
                Paper((3, 0, 0), 0, 700),
                Paper((3, 0x1F, 0), 1, 7),
                Paper((3, 0x1F, 0), 1, 8),
            ),
        ),
        Case("a carry, and the PF is the last", _rooms(Paper((0xFF, 0, 0), 0, 4, offset=0x100))),
        Case(
            "room for each BAR",
            _rooms(
                Paper(bars=BARS_OF_ALL_SORTS),
                Paper(bars=HUGE, total=5),
                Paper(bars={}),
                Paper(page=0x10, bars=BARS_OF_ALL_SORTS),
            ),
        ),
        Case("no room for what is broken", _rooms(Paper(number=1, stride=0), Paper(offset=0))),
        Case("a PF that can have none", _rooms(Paper(number=0, total=0))),
        Case("any function", _any),
        Case("hostile functions", _hostile),
    ),
    hints=(
        "Begin with a list of routing ids: one int of 16 bits for the PF, then one addition for "
        "each VF. Where each of the four numbers that you need is in the capability, the table "
        "says.",
        "Both answers need the routing ids for some count, and the BARs. Make a function of each. "
        "Walk the six registers with an index of your own, since a wide BAR takes two of them. "
        "A register whose sized word is 0 is no BAR.",
        "struct.unpack_from('<6I', capability, 0x24) gives the registers. For a wide BAR add the "
        "next one, shifted by 32, both to the address and to the mask. mask & -mask is the lowest "
        "bit. A set of all ids, the PF's with them, has one element too few if two are the same.",
    ),
)
