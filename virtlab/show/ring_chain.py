"""Scatter-gather: the pieces of one request, and the pages of guest memory where they lie.

    the chain, in the order of the request         guest memory, in the order of its pages
    0  r   16 @0x5010  ------------------------->  page 0x5000   0x010-0x01f
    1  w 5000 @0x8f00  ---------,  ,------------>  page 0x8000   0xf00-0xfff
                                 `--`----------->  page 0x9000   0x000-0xfff ...

The idea: to driver and device a request is one run of bytes. In memory it is many pieces, because
a buffer of more than a page is seldom in one piece of physical memory. A chain says which.

The rule that keeps it simple: it is drawn from the `Chain` that a device got by `pop`, so it shows
what the device works with. A buffer is cut where a page ends, and each part is a line.

Source: virtio 1.3 2.6 (a buffer's elements), 2.7.4.2 (order), 2.7.5.3 (indirect tables).
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.memory import PAGE, Dma
from virtlab.show.palette import INK, MUTED, ORANGE_TINT, SKY_TINT, SMALL
from virtlab.show.ring_cells import flag_words
from virtlab.show.svg import TOP, Picture, caption, line, picture, rect, write
from virtlab.show.tables import Table
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.layouts import DESC, NEXT, packer

MOST_PARTS = 12
"""Parts of pages that are drawn; a chain may have more."""

_ROW, _BOX = 42.0, 32.0
_LEFT, _WIDE, _RIGHT, _PAGES = 40.0, 330.0, 530.0, 370.0


class Part(NamedTuple):
    """`length` bytes of buffer `number` at `addr`, all of them in one page."""

    number: int
    addr: int
    length: int
    write: bool

    @property
    def page(self) -> int:
        """The page that they are in, by its address."""
        return self.addr & -PAGE

    @property
    def words(self) -> str:
        """Where in the page they lie."""
        start = self.addr - self.page
        return f"page {self.page:#x}: {start:#05x} to {start + self.length - 1:#05x}"


def parts_of(chain: Chain, most: int = MOST_PARTS + 1) -> list[Part]:
    """The first `most` parts of a chain, each buffer cut where its pages end.

    >>> from virtlab.virtio.chain import Buffer
    >>> parts_of(Chain(0, (Buffer(0x8F00, 0x200, True),), 1))[1]
    Part(number=0, addr=36864, length=256, write=True)
    """
    found: list[Part] = []
    for number, buffer in enumerate(chain.buffers):
        addr, end = buffer.addr, buffer.addr + buffer.length
        while addr < end and len(found) < most:
            length = min(end - addr, PAGE - addr % PAGE)
            found.append(Part(number, addr, length, buffer.write))
            addr += length
    return found


def described(buffer: Buffer) -> str:
    """A buffer in three words.

    >>> described(Buffer(0x6000, 512, True))
    'w 512 @0x6000'
    """
    return f"{'w' if buffer.write else 'r'} {buffer.length} @{buffer.addr:#x}"


def chain_picture(chain: Chain, title: str = "One request, many pieces") -> Picture:
    """The chain on the left, in its order; pages on the right, low addresses on top."""
    parts = parts_of(chain)
    shown = parts[:MOST_PARTS]
    order = sorted(shown, key=lambda part: part.addr)
    buffers = [n for n in range(len(chain.buffers)) if any(part.number == n for part in shown)]
    top = TOP + 58.0
    drawn = [
        caption(TOP + 6, "The chain is in the order of the request, memory in that of addresses."),
        write(_LEFT, TOP + 42, f"the chain of head {chain.head}", bold=True),
        write(_RIGHT, TOP + 42, "guest memory, by page", bold=True),
    ]
    for part in shown:
        start = top + part.number * _ROW + _BOX / 2
        end = top + order.index(part) * _ROW + _BOX / 2
        drawn.append(line(_LEFT + _WIDE, start, _RIGHT, end, INK, 2))
    drawn += [_buffer(chain, number, top + number * _ROW) for number in buffers]
    drawn += [_part(part, top + row * _ROW) for row, part in enumerate(order)]
    height = top + len(shown) * _ROW + 8
    if len(parts) > len(shown):
        drawn.append(write(_LEFT, height + 8, "and more", SMALL, MUTED))
        height += 24
    label = f"{title}: {len(chain.buffers)} buffers, {chain.readable} bytes to read, "
    label += f"{chain.writable} to write"
    return picture(title, height, drawn, _text(chain, parts, title), label)


def _buffer(chain: Chain, number: int, y: float) -> str:
    buffer = chain.buffers[number]
    does = "the device writes" if buffer.write else "the device reads"
    words = f"{number}  {does} {buffer.length}"
    box = rect(_LEFT, y, _WIDE, _BOX, ORANGE_TINT if buffer.write else SKY_TINT)
    shown = write(_LEFT + 10, y + 21, words, SMALL)
    return box + shown + write(_LEFT + _WIDE - 10, y + 21, f"{buffer.addr:#x}", SMALL, INK, "end")


def _part(part: Part, y: float) -> str:
    box = rect(_RIGHT, y, _PAGES, _BOX, ORANGE_TINT if part.write else SKY_TINT)
    shown = write(_RIGHT + 10, y + 21, part.words, SMALL, mono=True)
    size = write(_RIGHT + _PAGES - 10, y + 21, f"{part.length}", SMALL, MUTED, "end")
    return box + shown + size


def _text(chain: Chain, parts: list[Part], title: str) -> str:
    lines = [title]
    for number, buffer in enumerate(chain.buffers):
        does = "writes" if buffer.write else "reads"
        where = "; ".join(part.words for part in parts if part.number == number)
        lines.append(f"{number}  the device {does} {buffer.length} @{buffer.addr:#x}: {where}")
    return "\n".join(lines)


def descriptor_rows(dma: Dma, gpa: int, count: int, caption: str = "") -> Table:
    """`count` descriptors of a split ring or of its indirect table, from `gpa` on, one a row."""
    rows = []
    for index, raw in enumerate(packer(DESC).iter_unpack(dma.read(gpa, count * DESC.itemsize))):
        addr, length, flags, following = raw
        go_on = f"{following}" if flags & NEXT else "-"
        rows.append((f"{index}", f"{addr:#x}", f"{length}", flag_words(flags), go_on))
    headers = ("index", "addr", "len", "flags", "next")
    return Table(caption or f"{count} descriptors at {gpa:#x}", headers, tuple(rows))
