"""One ring as the front-end has it: where it lies, three bells, and the messages that start it.

    SET_VRING_NUM, BASE, ADDR      how long, from where on, where: addresses of this process
    SET_VRING_CALL, ERR, KICK      eventfds: it calls us, it has failed, we call it
    SET_VRING_ENABLE               and now it may be served
    ...
    SET_VRING_ENABLE 0             not any more
    GET_VRING_BASE                 stopped: when this is answered, nobody works on it

The idea: driver and device call each other by eventfds, without a message and without us.

The rule that keeps it simple: a ring is started with all that belongs to it, or it is not started.
After a crash that is done once more, with the same bells.

Source: vhost-user.rst, "Ring states", SET_VRING_*; QEMU for the two positions in a packed base.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from virtlab.guest.virtio_transport import Areas
from virtlab.hosts.vhost_user_ram import FileRam
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.packed_layouts import PackedRings, to_word
from virtlab.virtio.vhost_user.layouts import U64, VRING_ADDR, VRING_STATE, Request
from virtlab.virtio.vhost_user.messages import Message, pack
from virtlab.vmm.service.shared import Bell


class Speaker(Protocol):
    """Whoever sends requests: see `Session`."""

    def ask(self, request: Request, payload: bytes = b"", fds: Sequence[int] = ()) -> Message:
        """A request with an answer of its own."""

    def tell(self, request: Request, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
        """One without."""


class Place(NamedTuple):
    """Where a ring lies in `ram`: its `size`, three gpas, and whether it is `packed`."""

    ram: FileRam
    size: int
    areas: Areas
    packed: bool

    @property
    def users(self) -> list[int]:
        """The areas' addresses in this process. `ValueError` if one is not RAM."""
        kind = PackedRings if self.packed else SplitRings
        parts = kind(self.size, *self.areas).parts
        return [self.ram.user_of(gpa, length) for gpa, length in parts]

    @property
    def base(self) -> int:
        """Where a back-end goes on that has nothing but this memory.

        Of a split ring the used index says what was given back. A packed ring does not tell; then
        it is the beginning, and notes on chains in flight know better.
        """
        if self.packed:
            word = to_word(0, self.size)
            return word | word << 16
        rings = SplitRings(self.size, *self.areas)
        return self.ram.load(rings.used_field("idx"), 2)


class Ring:
    """Ring `index` at `place`. Its bells are closed by `close`."""

    def __init__(self, index: int, place: Place) -> None:
        place.users  # noqa: B018 - it must be RAM
        self.index = index
        self.place = place
        self.kick, self.call, self.err = Bell.new(), Bell.new(), Bell.new()
        self._failed = False

    def start(self, speaker: Speaker, enable: bool) -> None:
        """Tell the back-end all about it. `enable` is whether rings are enabled one by one."""
        place, index = self.place, self.index
        desc, driver, device = place.users
        speaker.tell(Request.SET_VRING_NUM, pack(VRING_STATE, index, place.size))
        speaker.tell(Request.SET_VRING_BASE, pack(VRING_STATE, index, place.base))
        address = pack(VRING_ADDR, index, 0, desc, device, driver, 0)
        speaker.tell(Request.SET_VRING_ADDR, address)
        for request, bell in (
            (Request.SET_VRING_CALL, self.call),
            (Request.SET_VRING_ERR, self.err),
            (Request.SET_VRING_KICK, self.kick),
        ):
            speaker.tell(request, pack(U64, index), [bell.read_fd])
        if enable:
            speaker.tell(Request.SET_VRING_ENABLE, pack(VRING_STATE, index, 1))

    def stop(self, speaker: Speaker, enable: bool) -> None:
        """Return when the back-end works on it no more."""
        if enable:
            speaker.tell(Request.SET_VRING_ENABLE, pack(VRING_STATE, self.index, 0))
        speaker.ask(Request.GET_VRING_BASE, pack(VRING_STATE, self.index, 0)).fds.close()

    @property
    def failed(self) -> bool:
        """Whether the back-end has given this ring up, which only a reset mends."""
        self._failed = self.err.heard() or self._failed
        return self._failed

    def close(self) -> None:
        """Let the bells go."""
        for bell in (self.kick, self.call, self.err):
            bell.close()
