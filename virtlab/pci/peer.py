"""A device's registers as another device reaches them: peer to peer, with no processor.

The idea: where a request of one function lands in a BAR of another, that BAR is the memory it
reaches. It is cut into accesses as a processor's would be.

The rule that keeps it simple: a request has at most one packet's bytes, so no guest can make the
host move more at once.

Source: PCI Express 3.0, 2.4.1 and 6.12; PCI Local Bus 3.0, 3.2.2.
"""

from __future__ import annotations

from virtlab.bus import cycles
from virtlab.errors import DmaFault
from virtlab.memory import Bytes
from virtlab.pci.bars import Bar
from virtlab.wire import all_ones

MAX_PEER = 4096
"""Bytes that one request to a peer may have: the longest packet there is."""

PATH = 8
"""Bytes that one access of such a request has at most."""


class Peer:
    """The bytes behind a BAR as a `Dma`; the iova is an offset in it."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def read(self, iova: int, length: int) -> bytes:
        """Read registers, in accesses of up to 8 bytes."""
        parts = self._parts(iova, length)
        return b"".join(self.bar.read(at, n).to_bytes(n, "little") for at, n, _ in parts)

    def write(self, iova: int, data: bytes) -> None:
        """Write registers, in accesses of up to 8 bytes."""
        word = int.from_bytes(data, "little")
        for at, n, shift in self._parts(iova, len(data)):
            self.bar.write(at, n, word >> shift & all_ones(n))

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """Registers are not bytes in memory."""
        raise DmaFault("a device's registers cannot be viewed as memory", iova, length)

    def _parts(self, iova: int, length: int) -> list[tuple[int, int, int]]:
        if length > MAX_PEER:
            raise DmaFault(f"a request to a device has at most {MAX_PEER} bytes", iova, length)
        return cycles(iova, length, PATH)
