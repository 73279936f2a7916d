"""Task 5 of problem set 7: a driver with a ring in shared memory, a student's back-end behind it.

    driver.ask([one, another])     chains, a kick, and all that must have come of them
    driver.quiet("sleep")          a kick of which nothing comes
    driver.spoil(...)              a chain that breaks a rule

The idea: what a request must do is said by the library's `VirtioBlk`, with a disk of its own that
has to be the same in the end.

The rule that keeps it simple: the driver has the file that is the guest's memory, so it sees every
byte. Its buffers lie in the same place with each kick, and none is used twice at a time.

Source: virtio 1.3 2.7, 5.2.6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from virtlab.backends.disk import SECTOR, Disk
from virtlab.course.answers import Answer, Built
from virtlab.course.given.world import FEATURES
from virtlab.course.ps3.machines import PATTERN
from virtlab.course.ps7.requests import Asked
from virtlab.course.tasks import Difference, returned
from virtlab.memory import GuestMemory
from virtlab.virtio.blk import Agreed, VirtioBlk
from virtlab.virtio.blk_layouts import BlkFeature
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import (
    DESC,
    INDIRECT,
    NEXT,
    USED_ELEM,
    WRITE,
    SplitRings,
    need_event,
    packer,
)

LOOK_RING = "kicked gives (call, state), as turn does"
LOOK_WORD = "a ring that cannot start, or that broke, is not looked at until it is stopped"
LOOK_OFF = "a ring that is not enabled is not looked at"
LOOK_BROKEN = "the state is the word that turn gives, and the ring is left alone from then on"
LOOK_USED = "every chain comes back once, with the bytes that answer gave, in the order it came"
LOOK_DATA = "what the device may write: the data of a read, and the status last"
LOOK_CALL = "the driver is told as it wishes, once for all that came with a kick"
LOOK_OUTSIDE = "a device writes the used ring and writable buffers"
LOOK_DISK = "what was written is on the disk, and nothing else"
LOOK_WISH = "EVENT_IDX was not accepted: there is no threshold"

MIB = 1 << 20
ROOM, RINGS, BUFFERS = 2 * MIB, 0x11_0000, 0x12_0000
"""Bytes of the guest's memory; where its first ring lies, and the buffers of requests."""

AGREED = frozenset({int(Feature.VERSION_1), int(BlkFeature.FLUSH)})
EVENT_IDX = 1 << Feature.RING_EVENT_IDX
"""The bit of the feature, in a number."""

_desc, _element = packer(DESC), packer(USED_ELEM)


def small_disk() -> Disk:
    """64 KiB of zeros."""
    return Disk(64 << 10)


class Driver:
    """A guest whose disk is the student's `BackEnd`, whose disk is one that `make` gives."""

    def __init__(self, answer: Answer, make: Callable[[], Disk] = small_disk) -> None:
        self.answer = answer
        self.disk, self.twin = make(), make()
        self.device = VirtioBlk(self.twin, "virtlab")
        self.file = bytearray(ROOM)
        answer.given = "BackEnd(disk, b'virtlab')"
        made = answer.call("BackEnd", self.disk, b"virtlab")
        self.built = Built(answer, "BackEnd", made)
        self.rings = SplitRings.placed(RINGS, 8)
        self.features = FEATURES
        self.added = self.base = self._untouched = 0
        self.word = ""

    # -- the ring

    def empty(self, rings: SplitRings, base: int = 0) -> None:
        """Make an empty ring there, whose counts are at `base`."""
        self.rings, self.base, self.added = rings, base, base
        for gpa, length in rings.parts:
            self.file[gpa : gpa + length] = bytes(length)
        self._set(rings.avail_field("idx"), base)
        self._set(rings.used_field("idx"), base)
        self._untouched = (base - 1) & 0xFFFF
        self._set(rings.used_field("avail_event"), self._untouched)

    def lay(self, asked: Sequence[Asked]) -> list[Chain]:
        """Put these requests into memory and into the ring: their chains.

        If the ring has not enough descriptors, each request is in an indirect table.
        """
        gpa, slot, chains = BUFFERS, 0, list[Chain]()
        indirect = sum(len(one.pieces) for one in asked) > self.rings.size
        for one in asked:
            buffers, at = list[Buffer](), 0
            for size, write in one.pieces:
                data = bytes([PATTERN]) * size if write else one.data[at : at + size]
                self.file[gpa : gpa + size] = data
                at += 0 if write else size
                buffers.append(Buffer(gpa, size, write))
                gpa += size + 16
            gpa += -gpa % 16
            chains.append(self.expose(buffers, slot, table=gpa if indirect else None))
            gpa += _desc.size * len(buffers) if indirect else 0
            slot += 1 if indirect else len(buffers)
        return chains

    def expose(
        self,
        buffers: Sequence[Buffer],
        slot: int = 0,
        head: int | None = None,
        table: int | None = None,
    ) -> Chain:
        """A chain in the descriptors from `slot` on, and its entry: `head`, where it is to lie.

        With `table` the chain lies there, at a gpa, and only descriptor `slot` is used.
        """
        start = 0 if table is not None else slot
        for n, (addr, length, write) in enumerate(buffers):
            flags = (NEXT if n < len(buffers) - 1 else 0) | (WRITE if write else 0)
            at = self.rings.desc_at(slot + n) if table is None else table + n * _desc.size
            self.file[at : at + _desc.size] = _desc.pack(addr, length, flags, start + n + 1)
        if table is not None:
            at = self.rings.desc_at(slot)
            whole = _desc.pack(table, len(buffers) * _desc.size, INDIRECT, 0)
            self.file[at : at + _desc.size] = whole
        self._set(self.rings.avail_at(self.added), slot if head is None else head)
        self.added += 1
        self._set(self.rings.avail_field("idx"), self.added)
        return Chain(slot, tuple(buffers), len(buffers))

    def wish(self) -> bool:
        """Whether the back-end has written a threshold."""
        return self._get(self.rings.used_field("avail_event")) != self._untouched

    def _set(self, gpa: int, value: int) -> None:
        self.file[gpa : gpa + 2] = (value & 0xFFFF).to_bytes(2, "little")

    def _get(self, gpa: int) -> int:
        return int.from_bytes(self.file[gpa : gpa + 2], "little")

    # -- kicks

    def ask(
        self, asked: Sequence[Asked], event: int | None = None, state: str = "sleep"
    ) -> Difference | None:
        """These requests with one kick. The driver wants to hear of entry `event`: of the first.

        The turn must end in this `state`.
        """
        old = self.base
        event = old if event is None else event
        self._set(self.rings.avail_field("used_event"), event)
        chains = self.lay(asked)
        before = bytearray(self.file)
        told = "; ".join(one.told for one in asked[:3]) + " ..." * (len(asked) > 3)
        call = self.kick(state, told)
        if isinstance(call, Difference):
            return call
        for number, (one, chain) in enumerate(zip(asked, chains, strict=True)):
            if wrong := self.answered(one, chain, old + number):
                return wrong
        self.base = old + len(asked)
        self.answer.given = f"kicked(): {told}; used_event {event & 0xFFFF}"
        wanted = True
        if self.features & EVENT_IDX:
            wanted = need_event(event & 0xFFFF, self.base & 0xFFFF, old & 0xFFFF)
        if call is not wanted:
            return Difference(f"call {wanted}", f"call {call}", LOOK_CALL)
        return self._outside(chains, before)

    def kick(self, state: str, told: str = "", look: str = LOOK_RING) -> Difference | bool:
        """The doorbell; what `call` is then, if the state is this one. Any word is `"*"`."""
        self.answer.given = f"kicked(){': ' if told else ''}{told}"
        yours = self.built.call("kicked")
        if not (type(yours) is tuple and [type(one) for one in yours] == [bool, str]):
            return Difference("(a bool, a word)", returned(yours), LOOK_RING)
        call, self.word = yours
        if self.word == state or (state == "*" and self.word not in ("sleep", "more")):
            return bool(call)
        due = "a word that says what is wrong" if state == "*" else f"state {state!r}"
        return Difference(due, f"state {self.word!r}", look)

    def quiet(self, state: str, told: str = "", look: str = LOOK_WORD) -> Difference | None:
        """A kick of which nothing comes: no call, this state, no byte changed."""
        before = bytes(self.file)
        call = self.kick(state, told, look)
        if isinstance(call, Difference):
            return call
        if call or before != self.file:
            said = "the driver is called" if call else "memory has changed"
            return Difference("nothing happens", said, look)
        return None

    def spoil(self, buffers: Sequence[Buffer], idx: int | None, head: int | None) -> None:
        """A chain that breaks a rule, or an idx that does."""
        self.expose(buffers, head=head)
        if idx is not None:
            self._set(self.rings.avail_field("idx"), self.base + idx)

    # -- what must have come of it

    def answered(self, one: Asked, chain: Chain, position: int) -> Difference | None:
        """What is wrong with the answer to a request, in the used ring's entry at `position`."""
        data, written = self._right(one)
        at = self.rings.used_at(position)
        raw = bytes(self.file[at : at + _element.size])
        self.answer.given = f"kicked(): {one.told}; pieces {list(one.pieces)[:6]}"
        spans = chain.pieces(True)
        mine = b"".join(bytes(self.file[gpa : gpa + size]) for gpa, size in spans)
        if raw != _element.pack(chain.head, written):
            said = "id {}, len {}".format(*_element.unpack(raw))
            return Difference(f"id {chain.head}, len {written}", said, LOOK_USED)
        if mine[-1] != data[-1]:
            return Difference(f"status {data[-1]}", f"status {mine[-1]}", LOOK_DATA)
        if mine != data:
            n = next(n for n, (a, b) in enumerate(zip(data, mine, strict=True)) if a != b)
            right = f"{data[n]:#04x} in writable byte {n}"
            return Difference(right, f"{mine[n]:#04x}", LOOK_DATA)
        return None

    def _right(self, one: Asked) -> tuple[bytes, int]:
        """What the library's device makes of a request: the writable bytes, how many it wrote."""
        size = len(one.data)
        memory = GuestMemory(size + one.writable)
        memory.write(0, one.data)
        memory.bytes[size:] = PATTERN
        chain = Chain(0, (Buffer(0, size, False), Buffer(size, one.writable, True)), 2)
        written = self.device.answer(chain, Agreed(memory, AGREED))
        return memory.read(size, one.writable), written

    def _outside(self, chains: Sequence[Chain], before: bytearray) -> Difference | None:
        spans = [span for chain in chains for span in chain.pieces(True)]
        for gpa, size in [*spans, self.rings.parts[2]]:
            before[gpa : gpa + size] = self.file[gpa : gpa + size]
        if self.file == before:
            return None
        at = next(n for n, (a, b) in enumerate(zip(self.file, before, strict=True)) if a != b)
        return Difference("nothing else is written", f"a byte at {at:#x}", LOOK_OUTSIDE)

    def disks(self) -> Difference | None:
        """Whether both disks are the same."""
        mine, right = self.disk.array(), self.twin.array()
        if np.array_equal(mine.view(np.uint64), right.view(np.uint64)):
            return None
        at = int((mine != right).argmax())
        due = f"{right[at]:#04x} in byte {at % SECTOR} of sector {at // SECTOR}"
        return Difference(due, f"{mine[at]:#04x}", LOOK_DISK)
