"""Memory behind a remapping unit, as one device sees it: a `Dma` for one source id.

    device -- read, write at an iova -->  [ page | page | page ]  --> pieces of memory

The idea: a request covers pages, and each page is translated alone. Neighbours in the device's
addresses need not be neighbours in memory.

The rule that keeps it simple: all pages are translated before a byte moves. A request that is
refused has moved nothing, and it is a `DmaFault`, whatever the tables hold.

Source: VT-d 3.0, 3.4. Left out: the packets that a long request is cut into; hardware would move
those before the one that is refused.
"""

from __future__ import annotations

from virtlab.errors import DmaFault
from virtlab.iommu.translation import DmaTranslation
from virtlab.memory import Bytes


class RemappedDma:
    """What `source_id` reaches through `translation`."""

    def __init__(self, translation: DmaTranslation, source_id: int) -> None:
        self.translation, self.source_id = translation, source_id
        self.memory = translation.memory

    @property
    def generation(self) -> int:
        """Another number after each invalidation, and each change of what the unit does."""
        return self.translation.caches.generation

    def read(self, iova: int, length: int) -> bytes:
        """A copy of `length` bytes at `iova`."""
        pieces = self.translation.pieces(self.source_id, iova, length, write=False)
        return b"".join(self.memory.read(piece.gpa, piece.length) for piece in pieces)

    def write(self, iova: int, data: bytes) -> None:
        """Put `data` at `iova`."""
        done = 0
        for piece in self.translation.pieces(self.source_id, iova, len(data), write=True):
            self.memory.write(piece.gpa, data[done : done + piece.length])
            done += piece.length

    def view(self, iova: int, length: int) -> Bytes:
        """The bytes themselves, where they lie in one piece; else `DmaFault`, and no fault record.

        They are read-only where the device may not write them.
        """
        pieces = self.translation.pieces_to_view(self.source_id, iova, length)
        if len(pieces) > 1:
            raise DmaFault("not in one piece", iova, length)
        if not pieces:
            return self.memory.bytes[:0]
        view = self.memory.view(pieces[0].gpa, length)
        view.flags.writeable = pieces[0].writable
        return view
