"""The I/O bitmaps: for each of the 65,536 ports one bit, *may the guest use it directly?*

Two pages of memory. Bitmap A has ports 0x0000-0x7FFF, bitmap B 0x8000-0xFFFF; port p is bit p mod 8
of byte (p mod 0x8000) / 8.

      byte      0x07F                 bit   7   6   5   4   3   2   1   0
      bitmap A  [ 1111 1111 ]        port  3FF 3FE 3FD 3FC 3FB 3FA 3F9 3F8      a UART, trapped

In VT-x *a bit of 1 means exit*, a bit of 0 lets the access through to the hardware. Many lectures
say it the other way round: "the bitmap is ON for the port" means there that the port is *open* to
the VM. Both describe the same machine, and who mixes them up opens every port he meant to guard.
So the methods here are named for what they do, `open` and `trap`, and all ports start trapped.

An access exits if the bit of *any* of its bytes is 1. One that runs past port 0xFFFF exits always.

Source: SDM 3C 25.6.4 (the bitmaps), 26.1.3 (when an access exits). Left out: the control "use I/O
bitmaps" is always 1 here.
"""

from __future__ import annotations

from virtlab.memory import PAGE

PORTS = 1 << 16
HALF = PORTS // 2


class IoBitmap:
    """Bitmaps A and B, 4 KiB each, bit for bit as VT-x reads them.

    `a` and `b` are the pages; a VMM for real hardware would copy them out as they are.

    >>> bitmap = IoBitmap()
    >>> bitmap.open(0x3F8, 8)
    >>> bitmap.exits(0x3F8, 1), bitmap.exits(0x3FF, 2), bitmap.a[0x3F8 // 8]
    (False, True, 0)
    """

    def __init__(self) -> None:
        self.a = bytearray(b"\xff" * PAGE)
        self.b = bytearray(b"\xff" * PAGE)

    def open(self, port: int, count: int = 1) -> None:
        """Direct assignment: `count` ports from `port` reach the hardware, with no exit."""
        self._set(port, count, trapped=False)

    def trap(self, port: int, count: int = 1) -> None:
        """Interception: any access to `count` ports from `port` exits to the VMM."""
        self._set(port, count, trapped=True)

    def exits(self, port: int, size: int) -> bool:
        """Whether `IN` or `OUT` of `size` bytes at `port` exits.

        A `port` or `size` that no instruction has counts as an access past the last port.
        """
        if size not in (1, 2, 4) or not 0 <= port <= PORTS - size:
            return True
        return any(self.bit(at) for at in range(port, port + size))

    def bit(self, port: int) -> int:
        """The bit of one port: 1 exits, 0 is open."""
        page = self.a if port < HALF else self.b
        return page[port % HALF // 8] >> port % 8 & 1

    def _set(self, port: int, count: int, trapped: bool) -> None:
        if count < 0 or not 0 <= port <= PORTS - count:
            raise ValueError(f"ports are 0 to {PORTS - 1:#x}, not {count} from {port:#x}")
        for page, first in ((self.a, 0), (self.b, HALF)):
            start, end = max(port, first) - first, min(port + count, first + HALF) - first
            if start < end:
                _set_bits(page, start, end, trapped)


def _set_bits(page: bytearray, start: int, end: int, trapped: bool) -> None:
    """Bits `start` to `end` - 1 of a page. Read as one little-endian number, bit n is bit n."""
    mask = (1 << end) - (1 << start)
    number = int.from_bytes(page, "little")
    page[:] = (number | mask if trapped else number & ~mask).to_bytes(PAGE, "little")
