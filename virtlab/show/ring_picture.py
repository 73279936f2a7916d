"""One split ring at one moment: descriptor table, available ring, used ring, and whose what is.

    DRIVER               0  exposed  0x1400   16  NEXT        1  read 3          DEVICE
    added 1              1  exposed  0x1410   32  NEXT WRITE  2                  last_avail 0
    last_used 0          2  exposed  0x1430    1  WRITE       -

                         available ring   flags 0  idx 1  [ 0 ][ ]...
                         used ring        flags 0  idx 0  [   ][ ]...

The idea: it is drawn from a look, which is the ring's bytes decoded (`ring_look`). So a descriptor
that a hand has changed is drawn as it is now, and with an earlier look what changed stands out.

The rule that keeps it simple: a count is drawn below the entry that it points to. Two of the four
are also in memory, as the two `idx`.

Source: virtio 1.3 2.7.5, 2.7.6, 2.7.8.
"""

from __future__ import annotations

from virtlab.show.palette import INK, MUTED, SMALL, WHITE, WIDTH
from virtlab.show.ring_cells import (
    LEFT,
    LIFE,
    ROW,
    TINTS,
    Column,
    Drawn,
    cell,
    cells,
    flag_words,
    heading,
    headings,
    marker,
    owner_tag,
    readable,
    sides,
    stacked,
    told,
    traffic,
)
from virtlab.show.ring_look import Counts, Owner, SplitLook, is_table
from virtlab.show.svg import TOP, Picture, element, number, picture, write
from virtlab.virtio.layouts import NEXT
from virtlab.virtio.split_chain import Descriptor

_OWNER, _GUTTER = 80.0, 44.0
_COLUMNS: tuple[Column, ...] = (
    ("", 24),
    ("addr", 84),
    ("len", 52),
    ("flags", 126),
    ("next", 42),
)
_BYTES: Column = ("bytes there", 120)
_WORDS: tuple[Column, ...] = (("flags", 52), ("idx", 52))
_ENTRY, _EVENT = 46.0, 96.0
"""The breadths of an entry, and of the threshold behind the ring."""

DRIVERS, DEVICES = ("add", "kick", "get"), ("pop", "push")
"""Whose call each is."""


def split_ring_picture(
    look: SplitLook,
    title: str = "A split ring",
    before: SplitLook | None = None,
    call: str = "",
    signal: str = "",
    refused: str = "",
) -> Picture:
    """The ring as `look` has it. What is not as in `before` is drawn thick.

    `call` is the verb that was made last, one of `add kick pop push get edit`; `signal` is `bell`
    or `interrupt`; `refused` are the words of a refusal.
    """
    old = before or look
    table = TOP + 14
    avail = table + 24 + ROW * look.rings.size + 30
    used = avail + 24 + ROW + 3 * 19 + 26
    bottom = used + 24 + 2 * ROW + 2 * 19 + 18
    parts = [
        _table(table, look, old),
        _avail(avail, look, old),
        _used(used, look, old),
        sides(table - 12, avail - table - 28, *_kept(look.counts), call),
        traffic(avail + 44, "writes", "reads"),
        traffic(used + 54, "reads", "writes"),
        told(bottom, signal, refused),
        write(WIDTH / 2, bottom + 54, LIFE, SMALL, MUTED, "middle"),
    ]
    label = f"{title}. {in_words(look)}"
    return picture(title, bottom + 70, parts, _text(look, old, title, signal, refused), label)


def in_words(look: SplitLook) -> str:
    """Whose the descriptors are, and the two indices."""
    having = [f"{look.owners.count(owner)} {owner.value}" for owner in Owner]
    return f"Descriptors: {', '.join(having)}. avail.idx {look.avail_idx}, used.idx {look.used_idx}"


def _kept(counts: Counts) -> tuple[dict[str, str], dict[str, str]]:
    """What the driver keeps for itself, and what the device does."""
    ours = {"added": f"{counts.added}", "last_used": f"{counts.last_used}"}
    return ours, {"last_avail": f"{counts.last_avail}", "used": f"{counts.used}"}


# -- the three parts


def _table(y: float, look: SplitLook, old: SplitLook) -> str:
    left = LEFT + _OWNER
    last = left + sum(width for _, width in _COLUMNS) + _GUTTER
    parts = [
        heading(y, f"descriptor table, {look.rings.desc:#x}", "the driver"),
        headings(left, y + 20, _COLUMNS),
        headings(last, y + 20, [_BYTES]),
    ]
    drawn = []
    for slot, owner in enumerate(look.owners):
        top = y + 26 + slot * ROW
        drawn.append(owner_tag(LEFT, top, _OWNER, owner, owner != old.owners[slot]))
        new = _changed(look.descriptors[slot], old.descriptors[slot])
        drawn += cells(left, top, _COLUMNS, _row(slot, look), (False, *new))
        fresh = look.peeks[slot] != old.peeks[slot]
        drawn.append(cell(last, top, _BYTES[1], _peeked(slot, look), WHITE, fresh))
        parts.append(_link(slot, look, last - _GUTTER, y + 26))
    return stacked(drawn) + "".join(parts)


def _row(slot: int, look: SplitLook) -> tuple[str, ...]:
    """The fields of a descriptor; `next` only where it counts."""
    each = look.descriptors[slot]
    following = f"{each.next}" if each.flags & NEXT else "-"
    return f"{slot}", f"{each.addr:#x}", f"{each.len}", flag_words(each.flags), following


def _peeked(slot: int, look: SplitLook) -> str:
    each = look.descriptors[slot]
    return f"table of {each.len // 16}" if is_table(each) else readable(look.peeks[slot])


def _changed(new: Descriptor, old: Descriptor) -> tuple[bool, ...]:
    """Which of `addr`, `len`, `flags` and `next` are others."""
    return tuple(one != other for one, other in zip(new, old, strict=True))


def _link(slot: int, look: SplitLook, x: float, top: float) -> str:
    """A line from a descriptor to the one that goes on."""
    each = look.descriptors[slot]
    if look.owners[slot] is Owner.FREE or not each.flags & NEXT or each.next >= look.rings.size:
        return ""
    start, end = (top + (at + 0.5) * ROW for at in (slot, each.next))
    start, end = (start + 5, end - 5) if end > start else (start - 5, end + 5)
    lane = x + 14 + 5 * min(abs(each.next - slot), 5)
    path = f"M{number(x + 2)} {number(start)}H{number(lane)}V{number(end)}H{number(x + 10)}"
    tip = f"{number(x + 1)},{number(end)} {number(x + 11)},{number(end - 5)} "
    head = element("polygon", points=tip + f"{number(x + 11)},{number(end + 5)}", fill=INK)
    return element("path", d=path, fill="none", stroke=INK, stroke_width=2) + head


def _avail(y: float, look: SplitLook, old: SplitLook) -> str:
    size, counts = look.rings.size, look.counts
    words = (f"{look.avail_flags}", f"{look.avail_idx}")
    new = (look.avail_flags != old.avail_flags, look.avail_idx != old.avail_idx)
    tints = [WHITE] * size
    _fill(tints, Owner.ADDED, look.avail_idx, counts.added)
    _fill(tints, Owner.EXPOSED, counts.last_avail, look.avail_idx)
    drawn = cells(LEFT, y + 26, _WORDS, words, new)
    written = _written(counts.added, old.counts.added, size)
    for at, head in enumerate(look.heads):
        changed = at in written or head != old.heads[at]
        drawn.append(cell(_entry(at), y + 26, _ENTRY, f"{head}", tints[at], changed))
    drawn.append(_threshold(y, size, look.used_event, old.used_event))
    marks = (
        ("driver: added", counts.added, counts.added != old.counts.added),
        ("avail.idx", look.avail_idx, new[1]),
        ("device: last_avail", counts.last_avail, counts.last_avail != old.counts.last_avail),
    )
    title = heading(y, f"available ring, {look.rings.avail:#x}", "the driver")
    above = headings(LEFT, y + 20, _above(size, "used_event"))
    return title + above + stacked(drawn) + _marks(y + 30 + ROW, marks, size)


def _used(y: float, look: SplitLook, old: SplitLook) -> str:
    size, counts = look.rings.size, look.counts
    words = (f"{look.used_flags}", f"{look.used_idx}")
    new = (look.used_flags != old.used_flags, look.used_idx != old.used_idx)
    tints = [WHITE] * size
    _fill(tints, Owner.USED, counts.last_used, look.used_idx)
    drawn = cells(LEFT, y + 26, _WORDS, words, new)
    written = _written(counts.used, old.counts.used, size)
    for at, element_ in enumerate(look.elements):
        changed = at in written or element_ != old.elements[at]
        for row, value in enumerate(element_):
            top = y + 26 + row * ROW
            drawn.append(cell(_entry(at), top, _ENTRY, f"{value}", tints[at], changed))
    drawn.append(_threshold(y, size, look.avail_event, old.avail_event))
    marks = (
        ("used.idx", look.used_idx, new[1]),
        ("driver: last_used", counts.last_used, counts.last_used != old.counts.last_used),
    )
    title = heading(y, f"used ring, {look.rings.used:#x}: id and len", "the device")
    above = headings(LEFT, y + 20, _above(size, "avail_event"))
    return title + above + stacked(drawn) + _marks(y + 30 + 2 * ROW, marks, size)


def _above(size: int, event: str) -> list[Column]:
    """The headings of a ring: `flags`, `idx`, the numbers of the entries, the threshold."""
    return [*_WORDS, *((f"{at}", _ENTRY) for at in range(size)), (event, _EVENT)]


def _threshold(y: float, size: int, event: int, old: int) -> Drawn:
    """The other side's wish, behind the ring."""
    return cell(_entry(size), y + 26, _EVENT, f"{event}", WHITE, event != old)


def _written(end: int, start: int, size: int) -> set[int]:
    """The entries that were written between two counts, also where they hold the same again."""
    return {at % size for at in range(max(start, end - size), end)}


def _entry(position: int) -> float:
    """Where the entry at a position begins."""
    return LEFT + sum(width for _, width in _WORDS) + position * _ENTRY


def _fill(tints: list[str], owner: Owner, start: int, end: int) -> None:
    """Tint the entries from one count to another, both free-running."""
    for step in range(min((end - start) & 0xFFFF, len(tints))):
        tints[(start + step) % len(tints)] = TINTS[owner]


def _marks(y: float, marks: tuple[tuple[str, int, bool], ...], size: int) -> str:
    """Each count under the entry that it points to."""
    parts = []
    for row, (name, count, new) in enumerate(marks):
        x = _entry(count % size) + _ENTRY / 2
        parts.append(marker(x, y + 19 * row, f"{name} {count}", new))
    return "".join(parts)


def _text(look: SplitLook, old: SplitLook, title: str, signal: str, refused: str) -> str:
    lines = [title, "        owner    addr        len  flags          next  bytes"]
    for slot, owner in enumerate(look.owners):
        index, addr, length, flags, following = _row(slot, look)
        changed = any(_changed(look.descriptors[slot], old.descriptors[slot]))
        star = "*" if changed or look.peeks[slot] != old.peeks[slot] else " "
        start = f"  {star} {index}   {owner.value:<8} {addr:<10} {length:>4}  {flags:<14} "
        lines.append(f"{start} {following:>3}  {_peeked(slot, look)}".rstrip())
    heads = " ".join(map(str, look.heads))
    elements = " ".join(f"{ident}:{length}" for ident, length in look.elements)
    lines.append(f"avail   flags {look.avail_flags}  idx {look.avail_idx}  ring {heads}")
    lines.append(f"used    flags {look.used_flags}  idx {look.used_idx}  ring {elements}")
    counts = look.counts
    lines.append(f"driver  added {counts.added}, last_used {counts.last_used}")
    lines.append(f"device  last_avail {counts.last_avail}, used {counts.used}")
    return "\n".join([*lines, refused or (f"signal: {signal}" if signal else "no signal")])
