"""The I/O bitmap, byte by byte: which port a bit belongs to, and what the bit means.

      A[0x07F]   3FF  3FE  3FD  3FC  3FB  3FA  3F9  3F8
                  1    1    1    1    1    1    1    0       0xfe

The idea: a byte of the bitmap has the bits of eight ports, the lowest port on the right, as one
writes a binary number. The picture is drawn from the two pages themselves.

The rule that keeps it simple: the same bit has two readings, and both are written down. VT-x calls
a bit of 1 "exit". Many lectures call the bitmap ON where a port is open. So a 1 is hatched: shut.

Source: SDM 3C 25.6.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from virtlab.show.palette import (
    FAINT,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SMALL,
    TITLE,
    YELLOW_TINT,
)
from virtlab.show.shapes import hatch, legend
from virtlab.show.svg import TOP, Picture, picture, rect, write
from virtlab.vmm.io_bitmap import HALF, IoBitmap

EXIT = "VT-x: a bit of 1 exits to the VMM.   Lecture: the bitmap is OFF for this port."
OPEN = "VT-x: a bit of 0 is open, no exit.   Lecture: the bitmap is ON for this port."
"""The two readings of a bit."""

_CELL, _ROW, _LEFT = 60, 62, 306


def page_and_index(port: int) -> tuple[str, int]:
    """The page and the byte in it that has the bit of `port`.

    >>> page_and_index(0x3F8), page_and_index(0x8009)
    (('A', 127), ('B', 1))
    """
    return ("A" if port < HALF else "B"), port % HALF // 8


def byte_of(bitmap: IoBitmap, port: int) -> int:
    """The byte of the bitmap that has the bit of `port`."""
    page, index = page_and_index(port)
    return (bitmap.a if page == "A" else bitmap.b)[index]


def bitmap_picture(
    bitmap: IoBitmap,
    ports: Mapping[int, str],
    title: str = "The I/O bitmap",
    chosen: int | None = None,
    used: Sequence[int] = (),
) -> Picture:
    """One row for each of `ports`: the byte that has its bit. The value names who is there.

    `chosen` is the port whose row is lit; `used` are ports that a guest uses, drawn bolder.
    """
    parts = []
    for row, (port, name) in enumerate(ports.items()):
        y = TOP + 4 + row * _ROW
        parts.append(_row(bitmap, port & ~7, name, y, chosen == port, used))
    bottom = TOP + len(ports) * _ROW + 18
    parts.append(legend(bottom, [(_shade(0, 0, 1, 30, 18), EXIT)]))
    parts.append(legend(bottom + 26, [(_shade(0, 0, 0, 30, 18), OPEN)]))
    label = f"{title}: {', '.join(_words(bitmap, port, ports[port]) for port in ports)}"
    return picture(title, bottom + 44, parts, _text(bitmap, ports, title), label)


def _row(bitmap: IoBitmap, first: int, name: str, y: float, lit: bool, used: Sequence[int]) -> str:
    page, index = page_and_index(first)
    parts = []
    if lit:
        parts.append(rect(MARGIN - 10, y - 2, 904, _ROW - 6, YELLOW_TINT, INK, 6, 2.5))
    parts.append(write(MARGIN, y + 20, name, bold=True))
    ports = f"{page}[{index:#05x}]  ports {first:#x}-{first + 7:#x}"
    parts.append(write(MARGIN, y + 42, ports, SMALL, MUTED, mono=True))
    for bit in range(8):
        x = _LEFT + (7 - bit) * _CELL
        bold = first + bit in used
        parts.append(write(x + 27, y + 14, f"{first + bit:X}", SMALL, MUTED, "middle", bold, True))
        parts.append(_cell(x, y + 20, bitmap.bit(first + bit), 54, 30, bold))
    value = f"{byte_of(bitmap, first):#04x}"
    parts.append(write(_LEFT + 8 * _CELL + 20, y + 42, value, TITLE, mono=True))
    return "".join(parts)


def _cell(x: float, y: float, bit: int, width: float, height: float, bold: bool) -> str:
    number = write(x + width / 2, y + height / 2 + 7, f"{bit}", TITLE, INK, "middle", True)
    return _shade(x, y, bit, width, height, bold) + number


def _shade(x: float, y: float, bit: int, width: float, height: float, bold: bool = False) -> str:
    """The box of a bit: 1 is shut and hatched, 0 is open and plain."""
    box = rect(x, y, width, height, ORANGE_TINT if bit else GREEN_TINT, "none", 3)
    pattern = hatch(x, y, width, height, FAINT, 9) if bit else ""
    return box + pattern + rect(x, y, width, height, "none", INK, 3, 3 if bold else 1)


def _words(bitmap: IoBitmap, port: int, name: str) -> str:
    return f"{name} {byte_of(bitmap, port):08b}"


def _text(bitmap: IoBitmap, ports: Mapping[int, str], title: str) -> str:
    width = max(map(len, ports.values()))
    lines = [title]
    for port, name in ports.items():
        page, index = page_and_index(port)
        first, value = port & ~7, byte_of(bitmap, port)
        where = f"{page}[{index:#05x}]  ports {first:#x}-{first + 7:#x}".ljust(30)
        lines.append(f"{name.ljust(width)}  {where}  {value:08b}  {value:#04x}")
    return "\n".join([*lines, EXIT, OPEN])
