"""A block device that believes the ring. It is wrong on purpose, and lives in a sandbox.

    host = ram + addr            no bounds: any addr is somewhere in the process
    index = next                 no range, no count: a chain ends when it says so
    while last != avail idx      no distance: as many chains as the guest claims
    look, then look again        with `looks_first`: it checks each buffer, and then reads it anew

The idea: each line here is one that a real device had, or nearly. It serves an honest guest as
well as the library's own device does. Only a hostile one shows the difference.

The rule that keeps it simple: it never refuses. What stops it is `Process`: its memory ends, its
heap is full, or its steps are used up.

Never use it for anything: compare `virtlab.virtio.blk`, `split_chain` and `chain`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from virtlab.show.attack_memory import DISK, HANDLER, HANDLERS, RAM, SETTINGS, Crash, Process
from virtlab.virtio.blk_layouts import REQUEST, SECTOR
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, USED_ELEM, SplitRings, packer
from virtlab.virtio.split_chain import Descriptor

_descriptor = packer(DESC).unpack
_request = packer(REQUEST)
_element = packer(USED_ELEM)


class NaiveBlk:
    """A block device in `process`, whose queue is at `rings`.

    `seen(gpa)` is called after each read of the guest's memory: what else runs, runs then.
    """

    def __init__(
        self,
        process: Process,
        rings: SplitRings,
        looks_first: bool = False,
        seen: Callable[[int], None] = lambda gpa: None,
    ) -> None:
        self.process = process
        self.rings = rings
        self.looks_first = looks_first
        self.seen = seen
        self.last_avail = self.used = 0
        self.refused = 0

    def reset(self) -> None:
        """Forget the queue, at once, whatever is going on."""
        self.last_avail = self.used = 0

    def config(self, offset: int, size: int) -> int:
        """`size` bytes of the configuration, or of whatever lies behind it."""
        return int.from_bytes(self.process.read(SETTINGS.start + offset, size), "little")

    def notify(self, index: int) -> None:
        """Call the handler of queue `index`: the pointer in a table."""
        raw = self.process.read(HANDLERS.start + 8 * index, 8, own=True)
        pointer = int.from_bytes(raw, "little")
        if pointer != HANDLER:
            raise Crash(f"it jumps to {pointer:#x}, which the guest has chosen")
        self.handle()

    # -- the guest's memory

    def _read(self, gpa: int, length: int) -> bytes:
        data = self.process.read(RAM.start + gpa, length)
        self.seen(gpa)
        return data

    def _write(self, gpa: int, data: bytes) -> None:
        self.process.write(RAM.start + gpa, data)

    def _word(self, gpa: int) -> int:
        return int.from_bytes(self._read(gpa, 2), "little")

    # -- the queue

    def handle(self) -> None:
        """Serve until the two indices are equal."""
        rings = self.rings
        while self.last_avail != self._word(rings.avail_field("idx")):
            head = self._word(rings.avail_at(self.last_avail))
            self.last_avail = (self.last_avail + 1) & 0xFFFF
            if self.looks_first and not self._looks_right(head):
                self.refused += 1
                return
            written = self._serve(list(self._follow(head)))
            self._write(rings.used_at(self.used), _element.pack(head, written))
            self.used = (self.used + 1) & 0xFFFF
            self._write(rings.used_field("idx"), self.used.to_bytes(2, "little"))

    def _follow(self, index: int) -> Iterator[Descriptor]:
        """Wherever `next` leads."""
        table = self.rings.desc
        while True:
            self.process.step()
            descriptor = Descriptor(*_descriptor(self._read(table + index * 16, 16)))
            if descriptor.flags & INDIRECT:
                self.process.allocate(descriptor.len)
                table, index = descriptor.addr, 0
                continue
            yield descriptor
            if not descriptor.flags & NEXT:
                return
            index = descriptor.next

    def _looks_right(self, head: int) -> bool:
        """A check of every buffer. It is a good one: what it looked at is in the guest's memory."""
        return all(each.addr + each.len <= RAM.size for each in self._follow(head))

    # -- a request

    def _serve(self, chain: list[Descriptor]) -> int:
        """Do what the chain says: the first piece is the head, the last one is for the status."""
        kind, _, sector = _request.unpack(self._read(chain[0].addr, _request.size))
        written = 1
        for piece in chain[1:-1]:
            self.process.allocate(piece.len)
            at = DISK.start + sector * SECTOR
            if kind & 1:  # a write is an odd type
                self.process.write(at, self._read(piece.addr, piece.len))
            else:  # a disk gives whole sectors
                whole = -(-piece.len // SECTOR) * SECTOR
                self._write(piece.addr, self.process.read(at, whole))
                written += piece.len
            sector += -(-piece.len // SECTOR)
        self._write(chain[-1].addr, b"\0")
        return written
