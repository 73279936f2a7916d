"""The second half of task 7 of problem set 3: the table that the controller gets.

Any table is right that names the guest's bytes in their order and in their frames, keeps the rule
of 64 KiB in the host, and is marked at its end. The guest's own table must be read once, and no
further than 64 entries.
"""

from __future__ import annotations

from random import Random

import numpy as np

from virtlab.course.answers import Answer
from virtlab.course.ps2.regions import Pieces, joined, pieces_text
from virtlab.course.ps3.scattered_vm import FIXED, LOW, Vm
from virtlab.course.tasks import Difference, Run, shown
from virtlab.devices.ata import PRD
from virtlab.devices.ata.registers import BOUNDARY, PRD_EOT
from virtlab.memory import PAGE

LOOK_REFUSE = "one byte that is not the VM's RAM, and the whole request is refused"
LOOK_PINS = "each page that a device gets is pinned; what is refused leaves no pin behind"
LOOK_TABLE = "4 bytes base, 2 bytes count (0: 64 KiB), 2 bytes flags (Bus Master IDE 1.0, 1.2)"
LOOK_BORDER = "no region crosses a multiple of 64 KiB, in the host (Bus Master IDE 1.0, 1.2)"
LOOK_EOT = "bit 15 of the flags marks the last entry, and no other (Bus Master IDE 1.0, 1.2)"
LOOK_ONCE = "the guest may change an entry after it was read: read it once"

ENTRIES = 64
"""The longest table that is taken."""


def frames_text(vm: Vm, pieces: Pieces) -> str:
    """The frames of the pages that some pieces touch, as a report shows them."""
    pages = [
        page
        for gpa, length in pieces[:6]
        for page in range(gpa & -PAGE, gpa + min(length, 1 << 15), PAGE)
    ]
    told = [
        f"{page:#x} in {vm.frames[page]:#x}" if page in vm.frames else f"{page:#x} is not there"
        for page in dict.fromkeys(pages[:5])
    ]
    return "pages: " + (", ".join(told) or "none")


def pins(vm: Vm, pages: set[int]) -> Difference | None:
    """Exactly these pages are pinned."""
    pinned = {page for page, count in vm.pins.items() if count > 0}
    if vm.wrong:
        return Difference("pins taken back that were made", vm.wrong, LOOK_PINS)
    if pinned == pages:
        return None
    missing, more = sorted(pages - pinned), sorted(pinned - pages)
    if missing:
        return Difference(f"page {missing[0]:#x} is pinned", "it is not", LOOK_PINS)
    return Difference(f"page {more[0]:#x} is not pinned", f"{vm.pins[more[0]]} pins", LOOK_PINS)


def prd(pieces: Pieces, end: bool = True) -> bytes:
    """A guest's table."""
    table = b"".join(
        gpa.to_bytes(4, "little") + (length & 0xFFFF).to_bytes(2, "little") + bytes(2)
        for gpa, length in pieces
    )
    return table[:-1] + b"\x80" if end else table


def shadow(
    answer: Answer, vm: Vm, table: int, pieces: Pieces, works: bool = True
) -> Difference | None:
    """Let the student translate the table at `table`, which says `pieces`."""
    told = f"it says {pieces_text(pieces[:4])}{' ...' * (len(pieces) > 4)}"
    answer.given = f"shadow_prd(vm, {table:#x}); {told}; {frames_text(vm, pieces)}"
    expected = vm.host(pieces) if works else None
    yours = answer.call("shadow_prd", vm, table)
    twice = sorted(at for at, count in vm.reads.items() if count > 1)
    if twice:
        said = f"the byte at {twice[0]:#x} was read {vm.reads[twice[0]]} times"
        return Difference("each entry of the guest's table read once", said, LOOK_ONCE)
    if expected is None:
        found = None if yours is None else Difference("None", _table_text(yours), LOOK_REFUSE)
        return found or pins(vm, set())
    return _table(vm, expected, yours) or pins(vm, vm.touched(pieces))


def _entries(yours: object) -> list[tuple[int, int, int]] | None:
    """Base, count and flags of each entry, if it is a table at all."""
    if type(yours) is not bytes or not yours or len(yours) % PRD.itemsize:
        return None
    return [entry.item() for entry in np.frombuffer(yours, PRD)]


def _table_text(yours: object) -> str:
    """What came, as regions where it is a table."""
    entries = _entries(yours)
    if entries is None:
        return shown(yours)
    return pieces_text([(base, count or BOUNDARY) for base, count, _ in entries[:8]])


def _table(vm: Vm, expected: Pieces, yours: object) -> Difference | None:
    """The controller's table against its rules, and against the bytes that are meant."""
    entries = _entries(yours)
    if entries is None:
        return Difference("entries of 8 bytes, as bytes", shown(yours), LOOK_TABLE)
    regions = [(base, count or BOUNDARY) for base, count, _ in entries]
    if joined(regions) != expected:
        foreign = vm.foreign(regions)
        access = f"the frame at {foreign:#x} is not this VM's" if foreign is not None else ""
        said = pieces_text(expected[:8])
        return Difference(f"these bytes: {said}", _table_text(yours), LOOK_TABLE, access)
    for number, (base, count) in enumerate(regions):
        if base % BOUNDARY + count > BOUNDARY:
            said = f"entry {number}: {count:#x} bytes at {base:#x}"
            return Difference("regions that stay between two borders", said, LOOK_BORDER)
    flags = [flags for _, _, flags in entries]
    right = [0] * (len(flags) - 1) + [PRD_EOT.mask]
    if flags != right:
        return Difference(f"flags {shown(right)}", f"flags {shown(flags)}", LOOK_EOT)
    return None


def shadows(table: int, *pieces: tuple[int, int]) -> Run:
    """A table in the VM of the fixed cases."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        vm = Vm(dict(FIXED))
        vm.write(table, prd(list(pieces)))
        return shadow(answer, vm, table, list(pieces))

    return run


def in_a_row(answer: Answer, rng: Random) -> Difference | None:
    """All frames side by side from the middle of 64 KiB: one long run, cut at the borders only."""
    vm = Vm({page: 0x3_8000 + page for page in LOW})
    pieces = [(0x4000, BOUNDARY), (0x1_4000, 0x8000)]
    vm.write(0x1000, prd(pieces))
    return shadow(answer, vm, 0x1000, pieces)


def no_table(answer: Answer, rng: Random) -> Difference | None:
    """A table that is not there, begins outside, or ends outside."""
    for table in (0x8000, 0x5FFC, 0xFFF, 0xFFFF_FFF8):
        vm = Vm(dict(FIXED))
        vm.write(table, prd([(0x1000, 8)]))
        if found := shadow(answer, vm, table, [(0x1000, 8)], works=False):
            return found
    vm = Vm(dict(FIXED))
    vm.write(0x5FF8, prd([(0x1000, 8)], end=False))
    return shadow(answer, vm, 0x5FF8, [(0x1000, 8)], works=False)


def no_end(answer: Answer, rng: Random) -> Difference | None:
    """64 entries are read, and no more; the 64th may be the last."""
    for count, works in ((ENTRIES, True), (ENTRIES + 1, False), (400, False)):
        vm = Vm(dict(FIXED))
        pieces = [(0x1000 + 8 * number, 8) for number in range(count)]
        vm.write(0x2000, prd(pieces))
        if found := shadow(answer, vm, 0x2000, pieces, works):
            return found
    return None


def refused(answer: Answer, rng: Random) -> Difference | None:
    """One entry of several is not the VM's."""
    for wrong in ((0x6000, 8), (0x5FFC, 8), (0x0, 2), (0xFFFF_F000, 0x1000), (0x1000, BOUNDARY)):
        vm = Vm(dict(FIXED))
        pieces = [(0x1000, 0x100), wrong, (0x2000, 0x100)]
        vm.write(0x3000, prd(pieces))
        if found := shadow(answer, vm, 0x3000, pieces):
            return found
    return None
