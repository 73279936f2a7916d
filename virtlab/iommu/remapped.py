"""Memory behind a remapping unit, as one device sees it: a `Dma` for one source id.

    device -- read, write at an iova -->  [ page | page | page ]  --> pieces of memory

The idea: a request covers pages, and each page is translated alone. Neighbours in the device's
addresses need not be neighbours in memory.

The rule that keeps it simple: all pages are translated before a byte moves. A request that is
refused has moved nothing, and it is a `DmaFault`, whatever the tables hold. A view is asked for as
a request is: to read, or to write.

Source: VT-d 3.0, 3.4. Left out: the packets that a long request is cut into; hardware would move
those before the one that is refused.
"""

from __future__ import annotations

from virtlab.iommu.translation import DmaTranslation, Piece
from virtlab.memory import Bytes, InPieces


class RemappedDma:
    """What `source_id` reaches through `translation`."""

    def __init__(self, translation: DmaTranslation, source_id: int) -> None:
        self.translation, self.source_id = translation, source_id
        self.memory = translation.memory

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

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """The bytes themselves, where they lie in one piece; else `InPieces`, and no fault record.

        The array is read-only without `write`.
        """
        piece = self._piece(iova, length, write)
        if piece is None:
            return self.memory.bytes[:0]
        view = self.memory.view(*piece)
        view.flags.writeable = write
        return view

    def _piece(self, iova: int, length: int, write: bool) -> Piece | None:
        """Where `length` bytes lie in one piece, else `InPieces`; None for no bytes at all."""
        pieces = self.translation.pieces(self.source_id, iova, length, write)
        if len(pieces) > 1:
            raise InPieces("not in one piece", iova, length)
        return pieces[0] if pieces else None
