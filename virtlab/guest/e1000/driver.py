"""The whole driver: a card, a ring for each direction, and memory for both.

    memory   transmit ring      16 bytes each
             receive ring
             transmit buffers   2048 bytes each
             receive buffers

The rule that keeps it simple: the caller gives one piece of memory, aligned to 16 bytes, of
`memory_needed(descriptors)` bytes. The driver never looks outside of it, but for pieces that it is
asked to send from where they are.

Source: 8254x SDM 14.3 to 14.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.cpu import Cpu
from virtlab.devices.e1000.rings import DESCRIPTOR
from virtlab.guest.e1000.card import NAP, Card
from virtlab.guest.e1000.offload import checksums, segmentation
from virtlab.guest.e1000.rings import BUFFER, Piece, Received, ReceiveQueue, TransmitQueue

DESCRIPTORS = 64
"""Descriptors of each ring, unless told otherwise."""


def memory_needed(descriptors: int = DESCRIPTORS) -> int:
    """Bytes of memory for both rings and their buffers.

    >>> memory_needed(64)
    264192
    """
    return 2 * descriptors * (DESCRIPTOR + BUFFER)


class E1000Driver(Card):
    """The card at `base` (gpa); its rings and buffers lie from `memory` (gpa) on."""

    def __init__(self, cpu: Cpu, base: int, memory: int, descriptors: int = DESCRIPTORS) -> None:
        super().__init__(cpu, base)
        ring, buffers = DESCRIPTOR * descriptors, BUFFER * descriptors
        first = memory + 2 * ring
        self.transmit = TransmitQueue(self, memory, descriptors, first)
        self.receiving = ReceiveQueue(self, memory + ring, descriptors, first + buffers)
        self.address = b""

    def start(self, **rctl: int) -> None:
        """Everything, in the order of 14.3: reset, address, link, filters, both rings.

        `rctl` are more fields of RCTL to set: `UPE=1` lets frames to all stations in.
        """
        self.reset()
        self.address = self.mac()
        self.link_up()
        self.clear_tables()
        self.set_address(0, self.address)
        self.transmit.start()
        self.receiving.start(**rctl)

    # -- sending

    def send(self, *frames: bytes) -> None:
        """Send `frames`, in order; return when the card has taken them all."""
        self.transmit.send(*frames)

    def send_pieces(self, *packets: Sequence[Piece]) -> None:
        """Send packets that lie in memory, each in pieces `(gpa, length)`; no byte is copied."""
        for pieces in packets:
            self.transmit.post(pieces)
        self._finish()

    def send_with_checksums(self, frame: bytes) -> None:
        """Send a TCP or UDP packet over IPv4; the card inserts both checksums."""
        offload = checksums(frame)
        self.transmit.queue(offload.frame, offload)
        self._finish()

    def send_segmented(self, frame: bytes, mss: int) -> None:
        """Send one long TCP or UDP packet; the card cuts it into pieces of `mss` bytes (3.5)."""
        offload = segmentation(frame, mss)
        self.transmit.queue(offload.frame, offload)
        self._finish()

    def _finish(self) -> None:
        self.transmit.ring_doorbell()
        self.transmit.flush()

    # -- receiving

    def receive(self, timeout: int = 0) -> Received | None:
        """The next frame; None if none came within `timeout` ns, looking again and again."""
        for _ in range(timeout // NAP + 1):
            got = self.receiving.receive()
            if got is not None:
                return got
            if timeout:
                self.cpu.wait(NAP)
        return None

    def receive_asleep(self, timeout: int = 1_000_000_000) -> Received | None:
        """The same, asleep until the card interrupts for a frame; RXT0 must be unmasked."""
        got = self.receiving.receive()
        if got is None:
            self.cpu.wait(timeout)
            self.causes()
            got = self.receiving.receive()
        return got
