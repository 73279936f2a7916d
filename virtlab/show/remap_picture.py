"""Where a device's write lands: guest pages, host frames, and the card's own numbers.

      guest pages              host frames                 the card
      [ A 0x105000 ] --------> [ 0x1a7000  A's 0x105000 ]  <-- 256 bytes   [ 0x1a7f00 ]
      [ B 0x007000 ] --------> [ 0x105000  B's 0x7000   ]                  [ ...      ]

The idea: a frame has the colour and the pattern of its owner, and the card's arrow ends at a frame.
So the eye sees whose memory it is before it reads a number.

The rule that keeps it simple: everything drawn is in a `Scene` (`remap_scene`). Only the pages that
matter are shown, low addresses on top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from virtlab.memory import PAGE
from virtlab.show.palette import (
    BLUE,
    GREY_TINT,
    MUTED,
    ORANGE_TINT,
    SKY_TINT,
    SMALL,
    VERMILLION,
)
from virtlab.show.remap_scene import HOST, GuestPage, HostFrame, Scene, explain, is_asked, parts
from virtlab.show.shapes import arrow, cross, dots, hatch, legend
from virtlab.show.svg import TOP, Picture, caption, fit, line, picture, rect, write
from virtlab.show.tables import Table

_TINTS = {"A": SKY_TINT, "B": ORANGE_TINT}
_ROW, _BOX = 38, 30
_GUEST, _GUEST_WIDE = 28.0, 190.0
_FRAME, _FRAME_WIDE = 350.0, 300.0
_CARD, _CARD_WIDE = 760.0, 152.0


def remap_picture(scene: Scene, title: str = "Where the card's write lands") -> Picture:
    """Guest pages left, host frames in the middle, the card right."""
    top = TOP + 60.0
    rows = max(len(scene.pages), len(scene.frames), len(scene.given), 1)
    heads = ((_GUEST, "guest pages"), (_FRAME, "host frames"), (_CARD, "the card has"))
    drawn = [
        caption(TOP + 10, "Thin: the VMM's table. Thick: the card. Other frames are left out.")
    ]
    drawn += [write(x, TOP + 44, words, bold=True) for x, words in heads]
    places = {frame.hpa: top + row * _ROW for row, frame in enumerate(scene.frames)}
    drawn += [_link(page, top + row * _ROW, places) for row, page in enumerate(scene.pages)]
    drawn += [_page(page, top + row * _ROW) for row, page in enumerate(scene.pages)]
    drawn += [_frame(frame, places[frame.hpa]) for frame in scene.frames]
    drawn += _card(scene, top, places)
    bottom = top + rows * _ROW
    keys = [(_swatch(vm), f"VM {vm}") for vm in ("A", "B")] + [(_swatch(HOST), "the host")]
    drawn.append(legend(bottom + 24, keys))
    drawn.append(caption(bottom + 52, explain(scene)))
    return picture(title, bottom + 68, drawn, _text(title, scene), f"{title}. {explain(scene)}")


def _pattern(owner: str, x: float, y: float, width: float, height: float) -> str:
    """A plain, B dotted, the host hatched."""
    if owner == "A":
        return ""
    return (dots if owner == "B" else hatch)(x, y, width, height, MUTED)


def _fill(owner: str, x: float, y: float, width: float) -> str:
    """A row's box in the owner's colour, its pattern at the right."""
    box = rect(x, y, width, _BOX, _TINTS.get(owner, GREY_TINT))
    return box + _pattern(owner, x + width - 62, y + 3, 56, _BOX - 6)


def _swatch(owner: str) -> str:
    tint = _TINTS.get(owner, GREY_TINT)
    return rect(0, 0, 30, 16, tint) + _pattern(owner, 1, 2, 28, 12)


def _page(page: GuestPage, y: float) -> str:
    words = write(_GUEST + 10, y + 20, f"{page.vm}  {page.gpa:#x}", SMALL, mono=True)
    return _fill(page.vm, _GUEST, y, _GUEST_WIDE) + words


def _frame(frame: HostFrame, y: float) -> str:
    words = f"{frame.hpa:#x}  {frame.words}"
    inside = write(_FRAME + 10, y + 20, fit(words, _FRAME_WIDE - 20, SMALL, True), SMALL, mono=True)
    return _fill(frame.owner, _FRAME, y, _FRAME_WIDE) + inside


def _link(page: GuestPage, y: float, places: Mapping[int, float]) -> str:
    """From a page to its frame."""
    middle = _BOX / 2
    return line(_GUEST + _GUEST_WIDE, y + middle, _FRAME, places[page.hpa] + middle, MUTED, 2)


def _card(scene: Scene, top: float, places: Mapping[int, float]) -> list[str]:
    """The card's numbers, and an arrow into each frame that they name."""
    drawn = []
    for row, (hpa, length) in enumerate(scene.given):
        y = top + row * _ROW
        drawn.append(rect(_CARD, y, _CARD_WIDE, _BOX))
        drawn.append(write(_CARD + 8, y + 20, f"{hpa:#x}, {length}", SMALL, mono=True))
        for frame in scene.frames:
            if hpa & -PAGE <= frame.hpa < hpa + length:
                drawn += _hit(scene, frame, y + _BOX / 2, places[frame.hpa])
    if not scene.given:
        drawn.append(write(_CARD, top + 20, "no address", SMALL, MUTED))
    return drawn


def _hit(scene: Scene, frame: HostFrame, start: float, y: float) -> list[str]:
    """From the card to a frame: dashed while nothing has moved, crossed if it is wrong."""
    colour = BLUE if is_asked(scene, frame) else VERMILLION
    dash = "" if scene.landed else "6 5"
    elbow, middle = _FRAME + _FRAME_WIDE + 50, y + _BOX / 2
    edge = rect(_FRAME, y, _FRAME_WIDE, _BOX, "none", colour, weight=4, dash=dash)
    mark = cross(elbow - 14, middle, colour) if colour == VERMILLION else ""
    return [
        edge,
        line(_CARD, start, elbow, middle, colour, 4, dash),
        arrow(elbow, middle, _FRAME + _FRAME_WIDE + 3, colour, 4, dash),
        mark,
    ]


def _text(title: str, scene: Scene) -> str:
    lines = [title]
    lines += [f"  {page.vm} {page.gpa:#x} is frame {page.hpa:#x}" for page in scene.pages]
    for frame, n in parts(scene):
        lines.append(f"  the card: {n} bytes into frame {frame.hpa:#x}, {frame.words}")
    return "\n".join([*lines, explain(scene)])


def descriptor_table(
    asked: Sequence[tuple[int, int]], given: Sequence[tuple[int, int]], caption: str = ""
) -> Table:
    """What the guest wrote beside what the card got, both pairs `(address, bytes)`, in order.

    A row for each entry that the card got; the guest's stands where it begins.
    """
    starts: dict[int, tuple[int, int]] = {}
    at = 0
    for gpa, length in asked:
        starts[at] = (gpa, length)
        at += length
    rows, at = [], 0
    for hpa, length in given:
        entry = starts.get(at)
        wrote = (f"{entry[0]:#x}", str(entry[1])) if entry else ("", "")
        rows.append((*wrote, f"{hpa:#x}", str(length)))
        at += length
    heads = ("guest wrote", "bytes", "card gets", "bytes")
    words = caption or f"Entries: {len(asked)} of the guest, {len(given)} of the VMM"
    return Table(words, heads, tuple(rows))
