"""One packed ring at one moment: descriptors in their order, and four counts walking round them.

    added 3 w1 ->       0  exposed  0x1400  16  id 0  AVAIL 1 USED 0  NEXT      <- last_avail, used
                        1  exposed  0x1410  32  id 0        1      0  NEXT WRITE
                        2  exposed  0x1430   1  id 0        1      0  WRITE
    driver event        3  free

The idea: the same parts as of the split ring (`ring_cells`), and one ring instead of three. Each
side's counts stand beside the slots that they point to, the driver's left and the device's right,
with the wrap counter that belongs to each.

The rule that keeps it simple: AVAIL and USED are drawn as two columns of bits. A slot is available
if they are the wrap counter and its opposite, and used if both are the wrap counter.

Source: virtio 1.3 2.8.1 (wrap counters), 2.8.10 (events), 2.8.13, 2.8.14.
"""

from __future__ import annotations

from virtlab.show.palette import INK, MUTED, SMALL, WHITE, WIDTH
from virtlab.show.ring_cells import (
    LEFT,
    LIFE,
    ROW,
    WIDE,
    Column,
    cell,
    cells,
    flag_words,
    heading,
    headings,
    owner_tag,
    readable,
    sides,
    stacked,
    told,
)
from virtlab.show.ring_look import Counts, Owner, PackedLook, is_table
from virtlab.show.shapes import arrow
from virtlab.show.svg import TOP, Picture, picture, write
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE
from virtlab.virtio.packed_layouts import (
    AVAIL,
    DISABLE,
    ENABLE,
    EVENT_DESC,
    EVENT_FLAGS,
    OFFSET,
    USED,
    WRAP,
    wrap_at,
)

_OWNER = 80.0
_COLUMNS: tuple[Column, ...] = (
    ("", 24),
    ("addr", 80),
    ("len", 48),
    ("id", 40),
    ("AVAIL", 52),
    ("USED", 48),
    ("other flags", 94),
    ("bytes there", 106),
)
_EVENTS: tuple[Column, ...] = (("OFFSET, WRAP", 130), ("flags", 100))
_SHOWN = 11
"""Bytes of a buffer for which there is room."""

_MODES = {ENABLE: "ENABLE", DISABLE: "DISABLE", EVENT_DESC: "DESC"}


def packed_ring_picture(
    look: PackedLook,
    title: str = "A packed ring",
    before: PackedLook | None = None,
    call: str = "",
    signal: str = "",
    refused: str = "",
) -> Picture:
    """The ring as `look` has it. What is not as in `before` is drawn thick.

    `call`, `signal` and `refused` are as in `split_ring_picture`.
    """
    old = before or look
    ring = TOP + 14
    below = ring + 26 + ROW * look.rings.size + 34
    bottom = below + 164
    parts = [
        _ring(ring, look, old),
        _places(ring + 26, look.counts, look.rings.size),
        sides(below - 14, 152, *_kept(look.counts, look.rings.size), call),
        _events(below + 4, look, old),
        told(bottom, signal, refused),
        write(WIDTH / 2, bottom + 54, LIFE, SMALL, MUTED, "middle"),
    ]
    label = f"{title}. {in_words(look)}"
    return picture(title, bottom + 70, parts, _text(look, old, title, signal, refused), label)


def in_words(look: PackedLook) -> str:
    """Whose the descriptors are, and where both sides stand, with their wrap counters."""
    having = [f"{look.owners.count(owner)} {owner.value}" for owner in Owner]
    size, counts = look.rings.size, look.counts
    places = f"the driver adds at {place(counts.added, size)}"
    places += f", the device takes at {place(counts.last_avail, size)}"
    return f"Descriptors: {', '.join(having)}; {places}"


def place(position: int, size: int) -> str:
    """A position as a slot and a wrap counter.

    >>> place(4, 5), place(5, 5)
    ('slot 4, wrap 1', 'slot 0, wrap 0')
    """
    return f"slot {position % size}, wrap {wrap_at(position, size)}"


# -- the ring


def _ring(y: float, look: PackedLook, old: PackedLook) -> str:
    left = LEFT + _OWNER
    drawn = []
    for slot, owner in enumerate(look.owners):
        top = y + 26 + slot * ROW
        drawn.append(owner_tag(LEFT, top, _OWNER, owner, owner != old.owners[slot]))
        new = _changed(slot, look, old)
        drawn += cells(left, top, _COLUMNS, _row(slot, look), new)
    title = heading(y, f"descriptor ring, {look.rings.desc:#x}", "both sides")
    return title + headings(left, y + 20, _COLUMNS) + stacked(drawn)


def _row(slot: int, look: PackedLook) -> tuple[str, ...]:
    each = look.descriptors[slot]
    bits = (f"{int(bool(each.flags & bit))}" for bit in (AVAIL, USED))
    others = flag_words(each.flags & ~(AVAIL | USED))
    shown = f"table of {each.len // 16}" if is_table(each) else readable(look.peeks[slot][:_SHOWN])
    return (f"{slot}", f"{each.addr:#x}", f"{each.len}", f"{each.id}", *bits, others, shown)


def _changed(slot: int, look: PackedLook, old: PackedLook) -> tuple[bool, ...]:
    """Which of the columns are others."""
    one, other = look.descriptors[slot], old.descriptors[slot]
    turned = one.flags ^ other.flags
    return (
        False,
        one.addr != other.addr,
        one.len != other.len,
        one.id != other.id,
        bool(turned & AVAIL),
        bool(turned & USED),
        bool(turned & (NEXT | WRITE | INDIRECT)),
        look.peeks[slot] != old.peeks[slot],
    )


def _places(y: float, counts: Counts, size: int) -> str:
    """The counts beside their slots: the driver's from the left, the device's from the right."""
    driver = (("adds", counts.added), ("gets", counts.last_used))
    device = (("takes", counts.last_avail), ("gives", counts.used))
    parts = []
    for slot in range(size):
        middle = y + (slot + 0.5) * ROW
        here, there = _here(driver, slot, size), _here(device, slot, size)
        if here:
            parts.append(arrow(LEFT - 30, middle, LEFT - 4, INK))
            parts.append(write(LEFT - 36, middle + 5, here, SMALL, anchor="end", bold=True))
        if there:
            right = LEFT + WIDE
            parts.append(arrow(right + 30, middle, right + 4, INK))
            parts.append(write(right + 36, middle + 5, there, SMALL, bold=True))
    return "".join(parts)


def _here(counts: tuple[tuple[str, int], ...], slot: int, size: int) -> str:
    """The names of the counts that point to `slot`."""
    return ", ".join(name for name, count in counts if count % size == slot)


# -- below the ring


def _kept(counts: Counts, size: int) -> tuple[dict[str, str], dict[str, str]]:
    """What the driver keeps for itself, and what the device does: slots and wrap counters."""

    def spot(position: int) -> str:
        return f"{position % size}, wrap {wrap_at(position, size)}"

    ours = {"adds": spot(counts.added), "gets": spot(counts.last_used)}
    return ours, {"takes": spot(counts.last_avail), "gives": spot(counts.used)}


def _events(y: float, look: PackedLook, old: PackedLook) -> str:
    """The two event suppression structures: what each side wants to hear of."""
    whose = (
        ("driver event suppression", look.rings.driver, look.driver_event, old.driver_event),
        ("device event suppression", look.rings.device, look.device_event, old.device_event),
    )
    parts, drawn = [], []
    for row, (name, at, event, was) in enumerate(whose):
        top = y + row * 76
        parts.append(heading(top, f"{name}, {at:#x}", f"the {name.split()[0]}"))
        parts.append(headings(LEFT, top + 20, _EVENTS))
        x = LEFT
        for (_, width), words, new in zip(
            _EVENTS, event_words(event), _differ(event, was), strict=True
        ):
            drawn.append(cell(x, top + 26, width, words, WHITE, new))
            x += width
        parts.append(write(x + 14, top + 45, wish(event), SMALL, MUTED))
    return "".join(parts) + stacked(drawn)


def _differ(event: tuple[int, int], was: tuple[int, int]) -> tuple[bool, bool]:
    return event[0] != was[0], event[1] != was[1]


def event_words(event: tuple[int, int]) -> tuple[str, str]:
    """The fields of an event suppression structure, `desc` as its two parts."""
    desc, flags = event
    mode = _MODES.get(EVENT_FLAGS.get(flags), "reserved")
    return f"{OFFSET.get(desc)}, {WRAP.get(desc)}", mode


def wish(event: tuple[int, int]) -> str:
    """What it asks for, in words.

    >>> wish((0x8002, EVENT_DESC)), wish((0, DISABLE))
    ('tell me of slot 2 in a lap of wrap 1', 'tell me of none')
    """
    desc, flags = event
    mode = EVENT_FLAGS.get(flags)
    if mode == EVENT_DESC:
        return f"tell me of slot {OFFSET.get(desc)} in a lap of wrap {WRAP.get(desc)}"
    return "tell me of none" if mode == DISABLE else "tell me of every one"


def _text(look: PackedLook, old: PackedLook, title: str, signal: str, refused: str) -> str:
    lines = [title, "        owner    addr        len  id  AVAIL USED  other flags     bytes"]
    for slot, owner in enumerate(look.owners):
        index, addr, length, ident, avail, used, others, shown = _row(slot, look)
        star = "*" if any(_changed(slot, look, old)) else " "
        start = f"  {star} {index}   {owner.value:<8} {addr:<10} {length:>4}  {ident:>2}  "
        lines.append(f"{start}    {avail}    {used}  {others:<14}  {shown}".rstrip())
    size, counts = look.rings.size, look.counts
    adds, gets = place(counts.added, size), place(counts.last_used, size)
    takes, gives = place(counts.last_avail, size), place(counts.used, size)
    lines.append(f"driver  adds at {adds}; gets at {gets}; {wish(look.driver_event)}")
    lines.append(f"device  takes at {takes}; gives at {gives}; {wish(look.device_event)}")
    return "\n".join([*lines, refused or (f"signal: {signal}" if signal else "no signal")])
