"""Task 1 of problem set 2: the address of a configuration register. The judge is the hardware.

The student's word goes to a `ConfigPorts`, the offset to an `Ecam`, each in front of a root that
only notes what is asked. So a report can say which register of which function the number means.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same
from virtlab.guest.pci import Place
from virtlab.pci.access import (
    CONFIG_DATA,
    ECAM_SIZE,
    ConfigPorts,
    Ecam,
    config_address,
    ecam_offset,
)

LOOK_WORD = "enable 31, bus 23:16, device 15:11, function 10:8, register 7:2 (PCI 3.0, 3.2.2.3.2)"
LOOK_ECAM = "bus 27:20, device 19:15, function 14:12, byte 11:0 (PCI Express 3.0, 7.2.2)"

Asked = tuple[Place, int]


class _Notes:
    """Stands where the root complex stands, and notes the last question."""

    def __init__(self) -> None:
        self.asked: Asked | None = None

    def config_read(self, bus: int, device: int, number: int, offset: int, size: int) -> int:
        """A read, noted."""
        self.asked = Place(bus, device, number), offset
        return 0

    def config_write(
        self, bus: int, device: int, number: int, offset: int, size: int, value: int
    ) -> None:
        """Nobody writes here."""


def meant(way: str, number: object) -> str:
    """What the hardware makes of a number: which register of which function it is, in words."""
    notes = _Notes()
    if type(number) is not int or not 0 <= number < (ECAM_SIZE if way == "ecam" else 1 << 32):
        return ""
    if way == "ecam":
        Ecam(notes).read(number, 1)
    else:
        ports = ConfigPorts(notes)
        ports.write(0, 4, number)
        ports.read(CONFIG_DATA.offset + number % 4, 1)
    if notes.asked is None:
        return "bit 31 is 0: no configuration access at all"
    return f"register {notes.asked[1]:#x} of {notes.asked[0]}"


def _ask(answer: Answer, way: str, questions: Iterable[tuple[Place, int]]) -> Difference | None:
    name, right, look = {
        "word": ("config_address", config_address, LOOK_WORD),
        "ecam": ("ecam_offset", ecam_offset, LOOK_ECAM),
    }[way]
    for place, offset in questions:
        bus, device, function = place
        answer.given = (
            f"{name}(bus={bus:#x}, device={device}, function={function}, offset={offset:#x})"
        )
        expected = right(*place, offset)
        yours = answer.call(name, *place, offset)
        if not same(expected, yours):
            found = compare(expected, yours, look)
            said = meant(way, yours)
            return found and found._replace(
                access=f"the hardware takes yours as: {said}" if said else ""
            )
    return None


def _asks(way: str, *questions: tuple[int, int, int, int]) -> Run:
    asked = [(Place(*question[:3]), question[3]) for question in questions]
    return lambda answer, rng: _ask(answer, way, asked)


def _any_register(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(40):
        place = Place(rng.randrange(256), rng.randrange(32), rng.randrange(8))
        found = _ask(answer, "word", [(place, rng.randrange(0x100))])
        if found := found or _ask(answer, "ecam", [(place, rng.randrange(0x1000))]):
            return found
    return None


ADDRESS = Task(
    "ps2.q1",
    "the address of a register",
    ("config_address", "ecam_offset"),
    ("S05",),
    lines=4,
    minutes=10,
    difficulty=1,
    points=2,
    cases=(
        Case("the word for 00:00.0", _asks("word", (0, 0, 0, 0))),
        Case("its register", _asks("word", (0, 0, 0, 0x10), (0, 0, 0, 0xFC))),
        Case("its function", _asks("word", (0, 0, 3, 0), (0, 0, 7, 0))),
        Case("its device", _asks("word", (0, 4, 0, 0), (0, 31, 0, 0))),
        Case("its bus", _asks("word", (1, 0, 0, 0), (0xFF, 0, 0, 0))),
        Case("all of them", _asks("word", (2, 3, 1, 0x10), (0x80, 0x1F, 7, 0x3C))),
        Case("bits 1 and 0 are 0", _asks("word", (0, 0, 0, 0x3D), (0, 2, 0, 0x0E), (0, 2, 0, 7))),
        Case("the offset in ECAM", _asks("ecam", (0, 0, 0, 0), (0, 0, 0, 0x10), (0, 0, 1, 0))),
        Case("far out in ECAM", _asks("ecam", (0, 31, 0, 0), (1, 0, 0, 0), (0xFF, 0x1F, 7, 0xFFC))),
        Case("every byte of 4096", _asks("ecam", (2, 3, 1, 0x3D), (0, 2, 0, 0x102))),
        Case("any register", _any_register),
    ),
    hints=(
        "Both numbers are five fields side by side. Write the example down in binary and mark "
        "where each field begins.",
        "A field goes to its place by a shift to its lowest bit, and the fields are joined with |. "
        "The word counts registers of 4 bytes: the two lowest bits of the offset have no place in "
        "it.",
        "The word is bit 31, then bus from bit 16, device from bit 11, function from bit 8, and "
        "the offset without its bits 1:0. In ECAM the fields stand further left (20, 15, 12), bit "
        "31 is not set, and the offset comes in whole.",
    ),
)
