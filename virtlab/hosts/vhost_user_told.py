"""What a back-end must know to serve a device, and how it is told: now, or once more.

    FEATURES_OK   SET_FEATURES
    DRIVER_OK     GET_INFLIGHT_FD, SET_INFLIGHT_FD     notes on chains in flight
                  SET_MEM_TABLE                        the guest's RAM
                  each ring
    every step    SET_STATUS                           STATUS
    a reset       each ring is stopped, RESET_DEVICE

The idea: a back-end that is killed forgets everything. So all that it was told is kept here. The
one that comes next is told the same, in the same order, and goes on.

The rule that keeps it simple: the notes on chains in flight belong to the front-end. They are made
once, by the first back-end, and handed to each.

Source: vhost-user.rst, "Inflight I/O tracking", "Memory regions description"; QEMU for the order.
"""

from __future__ import annotations

import os

from virtlab.hosts.vhost_user_link import Refused
from virtlab.hosts.vhost_user_ram import FileRam
from virtlab.hosts.vhost_user_rings import Ring
from virtlab.hosts.vhost_user_session import Session
from virtlab.virtio.features import Features, names, to_bits
from virtlab.virtio.status import Status
from virtlab.virtio.vhost_user.layouts import (
    INFLIGHT,
    MEMORY,
    PROTOCOL_FEATURES,
    REGION,
    U64,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.messages import pack


class Told:
    """What is told over `session` of a device whose driver has `ram`.

    `status` is what the driver wrote, `accepted` its features, `rings` its queues.
    """

    def __init__(self, session: Session, ram: FileRam) -> None:
        self.session = session
        self.ram = ram
        self.status = 0
        self.accepted: Features = frozenset()
        self.rings: dict[int, Ring] = {}
        self._inflight: tuple[int, bytes] | None = None  # its file, and how it is described

    @property
    def live(self) -> bool:
        """Whether the device may use the rings."""
        return bool(self.status & Status.DRIVER_OK)

    @property
    def survives(self) -> bool:
        """Whether another back-end could go on: nothing was taken, or there are notes on it."""
        return not self.live or self._inflight is not None

    # -- step by step

    def features(self) -> None:
        """Tell it which features were accepted. `Refused` if it does not agree, and can say so."""
        ours = {PROTOCOL_FEATURES} & self.session.offered
        self.session.tell(Request.SET_FEATURES, pack(U64, to_bits(self.accepted | ours)))

    def how_far(self) -> None:
        """Tell it the status, if it wants to know."""
        if ProtocolFeature.STATUS in self.session.protocol:
            self.session.tell(Request.SET_STATUS, pack(U64, self.status))

    def go(self) -> None:
        """Tell it of memory, then of rings: from here on it may use them."""
        if self._notes and self.rings:
            if self._inflight is None:
                self._inflight = self._new_inflight()
            fd, description = self._inflight
            self.session.tell(Request.SET_INFLIGHT_FD, description, [fd])
        shapes = self.ram.shapes
        table = pack(MEMORY, len(shapes), 0) + b"".join(pack(REGION, *shape) for shape in shapes)
        self.session.tell(Request.SET_MEM_TABLE, table, [self.ram.fd] * len(shapes))
        for ring in self.rings.values():
            ring.start(self.session, self._enables)

    def _new_inflight(self) -> tuple[int, bytes]:
        """A buffer for the notes, made by the back-end, and ours from now on."""
        count = max(self.rings) + 1
        size = max(ring.place.size for ring in self.rings.values())
        request = Request.GET_INFLIGHT_FD
        with self.session.ask(request, pack(INFLIGHT, 0, 0, count, size, 0)) as answer:
            if not len(answer.fds):
                raise ConnectionError(f"{request.name}: an answer without a buffer")
            return answer.fds.take(), pack(INFLIGHT, *answer.fields(INFLIGHT))

    @property
    def _notes(self) -> bool:
        """Whether the back-end notes which chains are in flight."""
        return ProtocolFeature.INFLIGHT_SHMFD in self.session.protocol

    @property
    def _enables(self) -> bool:
        """Whether rings are enabled one by one: each then begins disabled."""
        return PROTOCOL_FEATURES in self.session.offered

    # -- all at once

    def again(self) -> None:
        """Tell a new back-end all that the one before knew. `Refused` if it offers less."""
        gone = names(self.accepted - self.session.offered)
        if self._inflight is not None and not self._notes:
            gone.append(ProtocolFeature.INFLIGHT_SHMFD.name)
        if gone:
            raise Refused(f"GET_FEATURES: the back-end came back without {', '.join(gone)}")
        if self.status & Status.FEATURES_OK:
            self.features()
        if self.live:
            self.go()
            for ring in self.rings.values():
                # A doorbell may have been lost with the one before, and so may a call.
                ring.kick.ring()
                ring.call.ring()
        self.how_far()

    def stop(self) -> None:
        """Return when the back-end uses nothing any more. Nothing is live, whatever happens."""
        live, self.status = self.live, 0
        if live:
            for ring in self.rings.values():
                ring.stop(self.session, self._enables)
        if ProtocolFeature.RESET_DEVICE in self.session.protocol:
            self.session.tell(Request.RESET_DEVICE)
        self.how_far()

    def forget(self) -> None:
        """As at first. Bells and notes are closed."""
        for ring in self.rings.values():
            ring.close()
        self.rings = {}
        if self._inflight is not None:
            os.close(self._inflight[0])
            self._inflight = None
        self.accepted = frozenset()
        self.status = 0
