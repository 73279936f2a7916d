"""Task 5 of problem set 5: a request in memory, a disk behind it, and all that one answer may do.

    readable   [ type, reserved, sector ][ data of a write ]       cut into pieces anywhere
    writable                 [ data of a read ][ status ]          the same

The idea: the judge is the library's own block device. It serves the same request first, on copies
of memory and disk. What the answer then leaves behind must be the same, byte by byte.

The rule that keeps it simple: what is compared is what a guest can see. The status comes first, as
it says most; then the disk, the data, all other memory, and the bytes that were written.

Source: virtio 1.3 5.2.6, 5.2.6.2, 2.7.4.1, 2.7.8.2.
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.course.answers import Answer
from virtlab.course.given.rings import Written
from virtlab.course.ps3.machines import PATTERN
from virtlab.course.ps4.machines import RAM, Flipping, Span, pieces_text
from virtlab.course.ps5.block_request import HEAD, Medium, Request
from virtlab.course.tasks import Difference, returned, same, shown
from virtlab.errors import GuestError
from virtlab.memory import GuestMemory
from virtlab.virtio.blk import Agreed, VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR, BlkFeature, BlkStatus
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.features import Feature

LOOK_HEAD = "type 4 bytes, reserved 4, sector 8: the first 16 readable bytes (virtio 1.3 5.2.6)"
LOOK_GOOD = "this request can be done: which sector does it name, and which bytes are data?"
LOOK_STATUS = "the status is the last of the writable bytes (virtio 1.3 5.2.6)"
LOOK_DATA = "data is what is readable behind the head, or writable before the status"
LOOK_DISK = "OUT puts the data on the disk, and nothing else does (virtio 1.3 5.2.6)"
LOOK_FLUSH = "after FLUSH all that was written is on the medium (virtio 1.3 5.2.6.2)"
LOOK_OUTSIDE = "a device writes what is in writable buffers, and nothing else"
LOOK_LEN = "bytes written without a gap from the first writable one on (virtio 1.3 2.7.8.2)"
LOOK_NONE = "no request without 16 readable bytes and 1 writable one (virtio 1.3 5.2.6)"
LOOK_ONCE = "the guest may change the head at any moment: read it once"
LOOK_FIRST = "a guest may name the same page a thousand times: ask for lengths before you move data"

LOOKS = {
    int(BlkStatus.OK): LOOK_HEAD,
    int(BlkStatus.IOERR): "whole sectors, all on a disk that may be written and works (virtio 1.3 "
    "5.2.6.2)",
    int(BlkStatus.UNSUPP): "UNSUPP is for a type that the device does not know (virtio 1.3 5.2.6)",
}

AGREED = frozenset({int(Feature.VERSION_1), int(BlkFeature.FLUSH)})


class Backend:
    """A student's back-end, its disk and its memory."""

    def __init__(
        self,
        answer: Answer,
        sectors: int = 16,
        read_only: bool = False,
        fails: Iterable[str] = (),
        name: bytes = b"virtlab",
    ) -> None:
        self.answer, self.name, self.fails = answer, name, tuple(fails)
        contents = b"".join(bytes([number % 251 + 1]) * SECTOR for number in range(sectors))
        self.disk = Medium(contents, read_only, self.fails)
        self.twin = Medium(contents, read_only, self.fails)
        self.device = VirtioBlk(self.twin, name.decode("ascii"))

    def ask(self, request: Request, strike: bool = False) -> Difference | None:
        """Have one request answered. With `strike` the guest changes the head once it is read."""
        ram = GuestMemory(RAM)
        ram.bytes[:] = PATTERN
        return self.ask_for(str(request), ram, request.lay(ram), strike)

    def ask_for(
        self, told: str, ram: GuestMemory, buffers: list[Written], strike: bool = False
    ) -> Difference | None:
        """Have the request in these `buffers` answered."""
        disk = f"a disk of {self.disk.sectors} sectors" + ", read only" * self.disk.read_only
        disk += f", where {' and '.join(self.fails)} fails" if self.fails else ""
        self.answer.given = (
            f"answer(buffers, memory, disk, {self.name!r}): {told}; "
            f"buffers {pieces_text(buffers)}; {disk}"
        )
        chain = Chain(0, tuple(Buffer(*one) for one in buffers), 1)
        expected = GuestMemory(ram.size)
        expected.bytes[:] = ram.bytes
        right = self._right(chain, expected)
        head = list(chain.pieces(False, 0, HEAD)) if strike else []
        memory = Flipping(ram, head)
        yours = self.answer.call("answer", list(buffers), memory, self.disk, self.name)
        for addr, size in head:
            ram.bytes[addr : addr + size] = expected.bytes[addr : addr + size]
        found = _word(right, yours) or self._left(chain, ram, expected, right)
        if found and strike:
            found = found._replace(look=LOOK_ONCE)
        return found or _length(right, yours) or _moved(memory)

    def _right(self, chain: Chain, ram: GuestMemory) -> int | str:
        """What the library's device answers, on the copies."""
        try:
            return self.device.answer(chain, Agreed(ram, AGREED))
        except GuestError:
            return "broken"

    def _left(
        self, chain: Chain, ram: GuestMemory, expected: GuestMemory, right: int | str
    ) -> Difference | None:
        """What is not as it should be in memory and on the disk: the status before all else."""
        spans = list(chain.pieces(True))
        if right != "broken":
            at = spans[-1][0] + spans[-1][1] - 1
            said, due = ram.load(at, 1), expected.load(at, 1)
            if said != due:
                look = LOOK_STATUS if said == PATTERN else LOOKS[due]
                if (due, said) == (BlkStatus.OK, BlkStatus.IOERR):
                    look = LOOK_GOOD
                return Difference(f"status {_status(due)}", f"status {_status(said)}", look)
        return (
            _disks(self.twin.contents, self.disk.contents)
            or _memories(expected, ram, spans)
            or self._settled()
        )

    def _settled(self) -> Difference | None:
        if self.twin.settled and not self.disk.settled:
            said = "what was written before is still in a cache"
            return Difference("the disk is flushed", said, LOOK_FLUSH)
        return None


# -- words for a report


def _status(value: int) -> str:
    names = {int(status): status.name for status in BlkStatus}
    unwritten = ", as it was" if value == PATTERN else ""
    return f"{value:#x}{unwritten}" if value not in names else f"{value} ({names[value]})"


def _word(right: int | str, yours: object) -> Difference | None:
    """Whether one says that this is a request, and the other not."""
    if same(right, yours) or (type(right) is int and type(yours) in (int, bool)):
        return None
    said = returned(yours)
    return Difference(_written(right), said, LOOK_LEN if type(right) is int else LOOK_NONE)


def _length(right: int | str, yours: object) -> Difference | None:
    if same(right, yours):
        return None
    said = f"{yours} written" if type(yours) is int else shown(yours)
    return Difference(_written(right), said, LOOK_LEN)


def _written(right: int | str) -> str:
    return shown(right) if isinstance(right, str) else f"{right} written"


def _disks(expected: bytes, yours: bytes) -> Difference | None:
    for sector in range(len(expected) // SECTOR):
        span = slice(sector * SECTOR, (sector + 1) * SECTOR)
        if expected[span] != yours[span]:
            at = next(i for i in range(SECTOR) if expected[span][i] != yours[span][i])
            right, said = expected[span][at], yours[span][at]
            where = f"in byte {at} of sector {sector}"
            return Difference(f"{right:#04x} {where}", f"{said:#04x}", LOOK_DISK)
    return None


def _memories(expected: GuestMemory, yours: GuestMemory, spans: list[Span]) -> Difference | None:
    """The first byte that differs, by its number among the writable ones if it is one of them."""
    number = 0
    for addr, size in spans:
        differ = (expected.bytes[addr : addr + size] != yours.bytes[addr : addr + size]).nonzero()
        for at in differ[0][:1].tolist():
            right, said = expected.load(addr + at, 1), yours.load(addr + at, 1)
            where = f"in writable byte {number + at}"
            mine = f"{said:#04x}" + (", as it was" if said == PATTERN else "")
            return Difference(f"{right:#04x} {where}", mine, LOOK_DATA)
        number += size
    for at in (expected.bytes != yours.bytes).nonzero()[0][:1].tolist():
        mine = f"{yours.load(at, 1):#04x} at {at:#x}"
        return Difference("nothing else is written", mine, LOOK_OUTSIDE)
    return None


def _moved(memory: Flipping) -> Difference | None:
    """Whether more was read than there is memory: only a guest that repeats itself makes one do."""
    moved = sum(access.length for access in memory.accesses if access.verb == "read")
    if moved <= RAM:
        return None
    return Difference("no data is read", f"{moved:,} bytes are read", LOOK_FIRST)
