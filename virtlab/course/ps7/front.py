"""Task 5 of problem set 7: the front-end, which says what QEMU says, and how each request must end.

    front.say(Request.SET_VRING_NUM, ...)      one request, and what `handle` must give
    front.start()                              all with which a driver starts a ring
    front.stop()                               GET_VRING_BASE: where it stands

The idea: a case is a conversation, written down in the order in which it goes. Each step gives the
first `Difference`, so steps are put together with `or`.

The rule that keeps it simple: whatever is sent is what QEMU sends, in its order, unless a case says
otherwise.

Source: vhost-user.rst, "Ring states", "Front-end message types".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from virtlab.backends.disk import Disk
from virtlab.course.answers import Answer
from virtlab.course.given.world import FEATURES, PROTOCOL, Region, disk_config
from virtlab.course.ps7.front_chains import BUFFERS, LOOK_CALL, RINGS, ROOM, Driver, small_disk
from virtlab.course.ps7.requests import Asked
from virtlab.course.ps7.table_asks import payload_of
from virtlab.course.tasks import Difference, compare, same, shown
from virtlab.virtio.chain import Buffer
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.vhost_user.layouts import U64, VRING_ADDR, VRING_STATE, Request
from virtlab.virtio.vhost_user.messages import pack

LOOK_REQUEST = "the table of requests: what it carries, what it does, what goes back"
LOOK_MORE = "a chain may lie in a region that came later: ask the table that there is now"
LOOK_ACKED = "self.acked is True once SET_PROTOCOL_FEATURES has bit 3"

LOW, USER = 0xA_0000, 0x7F10_0000_0000
"""Bytes below the hole of a PC; where the front-end has the first of them."""

ROWS: list[Region] = [
    (0, LOW, USER, 0),
    (0x10_0000, ROOM - 0x10_0000, USER + 0x10_0000, 0x10_0000),
]
"""A PC's memory: one file, and two regions of it."""


class FrontEnd(Driver):
    """A machine with a driver, whose disk is the student's `BackEnd`."""

    def __init__(self, answer: Answer, make: Callable[[], Disk] = small_disk) -> None:
        super().__init__(answer, make)
        self.config = disk_config(self.twin)
        self.rows = list(ROWS)
        self.files: list[bytearray] = [self.file, self.file]

    def say(
        self,
        request: Request,
        payload: bytes = b"",
        right: bytes | str | None = None,
        files: Sequence[bytearray] = (),
        told: str = "",
    ) -> Difference | None:
        """One request; `right` is what `handle` must give."""
        beside = f"{len(files)} files" if files else "[]"
        self.answer.given = f"handle({request:d}, {_hex(payload)}, {beside}): {request.name}"
        self.answer.given += f"; {told}" if told else ""
        yours = self.built.call("handle", int(request), payload, list(files))
        if same(right, yours):
            return None
        return Difference(_said(right), _said(yours), LOOK_REQUEST)

    # -- what comes first

    def hello(self, features: int = FEATURES) -> Difference | None:
        """Features of both kinds, and the owner."""
        return (
            self.say(Request.GET_FEATURES, right=pack(U64, FEATURES))
            or self.say(Request.GET_PROTOCOL_FEATURES, right=pack(U64, PROTOCOL))
            or self.say(Request.SET_PROTOCOL_FEATURES, pack(U64, PROTOCOL))
            or self.say(Request.SET_OWNER)
            or self.agree(features)
        )

    def agree(self, features: int) -> Difference | None:
        """The driver accepts these."""
        self.features = features
        return self.say(Request.SET_FEATURES, pack(U64, features))

    def acked(self, right: bool = True) -> Difference | None:
        """Whether the back-end says that REPLY_ACK is agreed on."""
        told = "after SET_PROTOCOL_FEATURES with bit 3" if right else "bit 3 is not agreed on"
        self.answer.given = f"self.acked; {told}"
        return compare(right, self.built.call("__getattribute__", "acked"), LOOK_ACKED)

    def table(
        self, right: str | None = None, rows: list[Region] | None = None
    ) -> Difference | None:
        """The memory table."""
        rows = self.rows if rows is None else rows
        files = self.files[: len(rows)]
        told = f"{len(rows)} regions"
        return self.say(Request.SET_MEM_TABLE, payload_of(rows), right, files, told)

    # -- a ring

    def place(self, rings: SplitRings, base: int = 0) -> Difference | None:
        """Where an empty ring lies, and where it goes on."""
        self.empty(rings, base)
        parts = [self.user(gpa) for gpa in (rings.desc, rings.used, rings.avail)]
        return (
            self.say(Request.SET_VRING_NUM, pack(VRING_STATE, 0, rings.size))
            or self.say(Request.SET_VRING_BASE, pack(VRING_STATE, 0, base))
            or self.say(Request.SET_VRING_ADDR, pack(VRING_ADDR, 0, 0, *parts, 0))
            or self.say(Request.SET_VRING_KICK, pack(U64, 0))
            or self.say(Request.SET_VRING_CALL, pack(U64, 0))
            or self.say(Request.SET_VRING_ERR, pack(U64, 0))
        )

    def user(self, gpa: int) -> int:
        """Where the front-end has a byte of memory; another address that it has not."""
        for guest, size, user, _ in self.rows:
            if guest <= gpa < guest + size:
                return user + gpa - guest
        return gpa

    def enable(self, on: int = 1) -> Difference | None:
        """Whether the ring is served."""
        return self.say(Request.SET_VRING_ENABLE, pack(VRING_STATE, 0, on))

    def start(self, features: int = FEATURES, size: int = 16, base: int = 0) -> Difference | None:
        """All of it, as QEMU does: then a disk is there."""
        rings = SplitRings.placed(RINGS, size)
        return self.hello(features) or self.table() or self.place(rings, base) or self.enable()

    def stop(self, base: int | None = None) -> Difference | None:
        """The ring is stopped; the base that is due is where it stands."""
        due = self.base & 0xFFFF if base is None else base
        state = pack(VRING_STATE, 0, due)
        return self.say(Request.GET_VRING_BASE, pack(VRING_STATE, 0, 0), state)

    # -- more memory

    def plug(self, guest: int, size: int) -> None:
        """A region more, in a file of its own."""
        self.rows.append((guest, size, USER + 0x1000_0000, 0))
        self.files.append(bytearray(size))

    def plugged(self, one: Asked) -> Difference | None:
        """A read whose data goes to the first bytes of the region that came last."""
        room = one.writable - 1
        self.file[BUFFERS : BUFFERS + len(one.data)] = one.data
        head = Buffer(BUFFERS, len(one.data), False)
        status = Buffer(BUFFERS + 0x1000, 1, True)
        self._set(self.rings.avail_field("used_event"), self.base - 1)
        self.expose([head, Buffer(self.rows[-1][0], room, True), status])
        call = self.kick("sleep", f"{one.told}, into the region that came last")
        if isinstance(call, Difference):
            return call
        if call:
            told = "call False: the driver asked to hear of an earlier chain"
            return Difference(told, "call True", LOOK_CALL)
        self.base += 1
        right, mine = self.twin.read(3, room // 512), bytes(self.files[-1][:room])
        return compare(right, mine, LOOK_MORE)


def _hex(data: bytes) -> str:
    text = data[:24].hex(" ", 4) or "b''"
    return text + (f" ... ({len(data)} bytes)" if len(data) > 24 else "")


def _said(value: object) -> str:
    if type(value) is bytes:
        return f"{_hex(value)} goes back"
    return "None: done" if value is None else shown(value)
