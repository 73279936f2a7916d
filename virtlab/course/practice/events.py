"""Problems about notifications, and about who owns a packed descriptor.

    event, old, new     --> does the step from old to new pass the event?
    flags, wrap counter --> available, used, or left over from the lap before

The judge is `need_event` and a `PackedQueue` that takes the lists. Left out: event suppression by
flags, indirect tables in a packed ring.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.course.practice.board import Board, hex_of
from virtlab.memory import PAGE, GuestMemory
from virtlab.virtio.layouts import NEXT, WRITE, need_event, packer
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import (
    AVAIL,
    PACKED_DESC,
    USED,
    PackedRings,
    avail_bits,
    is_avail,
    used_bits,
    wrap_at,
)

_pack = packer(PACKED_DESC).pack


def event_idx(board: Board) -> None:
    """Whether a notification is due, with EVENT_IDX."""
    random = board.random
    step = random.randrange(1, 12 if board.level == 1 else 40)
    old = random.randrange(0x20, 0x400)
    if board.level == 3:
        old = 0x10000 - random.randrange(1, step + 4)
    new = (old + step) & 0xFFFF
    near = {1: random.randrange(-4, step + 4), 2: random.choice((-1, 0, step - 1, step, step + 1))}
    event = (old + near.get(board.level, random.choice((-1, 0, step - 1, step)))) & 0xFFFF
    interrupt = bool(random.randrange(2))
    due = need_event(event, new, old)
    index, name = ("used.idx", "used_event") if interrupt else ("avail.idx", "avail_event")
    asks, tells = ("driver", "device") if interrupt else ("device", "driver")
    rows = [
        (name, f"the {asks} wrote", str(event)),
        (index, "at the last decision", str(old)),
        (index, "now", str(new)),
    ]
    board.table("VIRTIO_F_EVENT_IDX was negotiated", ("field", "", "value"), rows)
    board.say("The rule: (new - event - 1) mod 65536 < (new - old) mod 65536.")
    board.data |= {"event": event, "old": old, "new": new}
    board.words = {"yes", "no"}
    what = "interrupt the driver" if interrupt else "notify the device"
    board.ask(
        f"Compute both sides of the rule. Does the {tells} {what}?",
        "both sides and yes or no, as “3 5 yes”",
    )
    left, right = (new - event - 1) & 0xFFFF, (new - old) & 0xFFFF
    board.step("behind the event", f"({new} - {event} - 1) mod 65536", str(left))
    board.step("steps made", f"({new} - {old}) mod 65536", str(right))
    sign = "<" if due else "is not <"
    end = f"{left} {right} {'yes' if due else 'no'}"
    board.step("decision", f"{left} {sign} {right}.", end)
    board.parts = ("behind the event", "steps made", "decision")
    _event_slips(board, event, old, new, due)
    board.answer(end)


def _event_slips(board: Board, event: int, old: int, new: int, due: bool) -> None:
    left, right = (new - event - 1) & 0xFFFF, (new - old) & 0xFFFF
    said = "yes" if due else "no"
    other = "no" if due else "yes"
    off = (new - event) & 0xFFFF
    why = "entry `event` takes the index to event + 1: subtract 1 more."
    board.slip("decision", (left, right, other), "it is due if the left side is smaller.")
    for word in (said, other):
        board.slip("behind the event", (off, right, word), why)
        why_wrap = "indices have 16 bits: take both differences modulo 65536."
        board.slip("behind the event", (new - event - 1, new - old, word), why_wrap)
        board.slip("behind the event", (new - event - 1, right, word), why_wrap)
        board.slip("steps made", (left, new - old, word), why_wrap)


# -- the packed ring


class Ring(NamedTuple):
    """A packed ring in the making: positions from `used` are in flight, from `taken` available."""

    size: int
    used: int
    taken: int
    end: int


def packed_wrap(board: Board) -> None:
    """How far a device gets in a packed ring, and what its wrap counter is then."""
    random = board.random
    size = random.randrange(5, 13)
    used = random.randrange(size, 3 * size)
    taken = used + random.randrange(0, 3)
    if board.level > 1:
        taken = taken // size * size + size - random.randrange(1, 3)
        used = max(taken - random.randrange(0, 3), 0)
    ring = Ring(size, used, taken, taken + random.randrange(0, size - (taken - used) + 1))
    lists = _lists(board, ring)
    memory, rings = GuestMemory(8 * PAGE), PackedRings.placed(PAGE, size)
    flags = _fill(board, memory, rings, ring, lists)
    queue = PackedQueue(memory)
    queue.enable(rings, base=used)
    while queue.last_avail < taken:
        queue.pop()
    got = 0
    while queue.pop() is not None:
        got += 1
    after = queue.last_avail
    rows = [(str(n), hex_of(word, 4), *_bits(word)) for n, word in enumerate(flags)]
    headers = ("slot", "flags", "AVAIL (bit 7)", "USED (bit 15)", "NEXT (bit 0)")
    board.table(f"A packed ring of {size}", headers, rows)
    slot, wrap = taken % size, wrap_at(taken, size)
    board.say(
        f"The device looks next at slot {slot}; its wrap counter for available descriptors is "
        f"{wrap}."
    )
    board.say(
        "A descriptor is available if AVAIL equals the wrap counter and USED does not. The wrap "
        "counter changes where the ring begins again."
    )
    board.data |= {"flags": flags, "slot": slot, "wrap": wrap}
    board.ask(
        "The device takes all that is available. How many lists does it take, how many descriptors "
        "have these, and what are its next slot and its wrap counter then?",
        "four numbers, as “2 3 1 0”",
    )
    _packed_steps(board, ring, flags, got, after)


def _lists(board: Board, ring: Ring) -> list[tuple[int, int]]:
    """(first position, descriptors) of each list; at levels 1 and 2 each has one."""
    lists, at = [(n, 1) for n in range(ring.used, ring.taken)], ring.taken
    while at < ring.end:
        n = 1 if board.level < 3 else min(board.random.randrange(1, 4), ring.end - at)
        lists.append((at, n))
        at += n
    return lists


def _fill(
    board: Board, memory: GuestMemory, rings: PackedRings, ring: Ring, lists: list[tuple[int, int]]
) -> list[int]:
    """Put each slot's descriptor as whoever wrote it last left it; gives the flags by slot."""
    flags = [0] * ring.size
    for position in range(max(0, ring.end - ring.size), ring.used):
        flags[position % ring.size] = used_bits(wrap_at(position, ring.size))
    for first, count in lists:
        writes = WRITE if board.random.randrange(2) else 0
        for n in range(count):
            word = avail_bits(wrap_at(first + n, ring.size)) | writes
            flags[(first + n) % ring.size] = word | (NEXT if n + 1 < count else 0)
    idents = {
        (first + n) % ring.size: first % ring.size for first, count in lists for n in range(count)
    }
    for slot, word in enumerate(flags):
        entry = _pack(0x4000 + 0x100 * slot, 16, idents.get(slot, 0), word)
        memory.write(rings.desc_at(slot), entry)
    return flags


def _bits(word: int) -> tuple[str, str, str]:
    return (str(int(word & AVAIL > 0)), str(int(word & USED > 0)), str(word & NEXT))


def _packed_steps(board: Board, ring: Ring, flags: list[int], got: int, after: int) -> None:
    size, taken = ring.size, ring.taken
    seen = []
    for position in range(taken, min(after + 1, taken + size)):
        wrap = wrap_at(position, size)
        word = flags[position % size]
        yes = "available" if is_avail(word, wrap) else "not available"
        avail, used, _ = _bits(word)
        seen.append(f"slot {position % size}, wrap {wrap}: AVAIL {avail}, USED {used}: {yes}")
    board.step("ownership", "\n".join(seen))
    count = after - taken
    work = (
        "A list goes on while NEXT is set."
        if board.level == 3
        else "Every list has one descriptor."
    )
    board.step("lists", f"{work} {count} descriptors.", f"{got} {count}")
    end = f"{got} {count} {after % size} {wrap_at(after, size)}"
    crossed = wrap_at(after, size) != wrap_at(taken, size)
    work = "The ring began again: the counter changed." if crossed else "The end was not passed."
    board.step("wrap counter", work, end)
    board.parts = ("lists", "ownership", "wrap counter", "wrap counter")
    why = "slot 0 follows the last slot, and there the wrap counter changes."
    board.slip("wrap counter", (got, count, after % size, 1 - wrap_at(after, size)), why)
    board.slip("wrap counter", (got, count, after, wrap_at(after, size)), why)
    stop = size - taken % size
    if stop < count:
        short = (got if board.level == 3 else stop, stop, 0, 1 - wrap_at(taken, size))
        board.slip("ownership", short, "go on at slot 0, with the other wrap counter.")
        same = (stop, stop, 0, wrap_at(taken, size))
        board.slip("wrap counter", same, why)
    if got != count:
        why = "descriptors that are joined by NEXT are one list."
        board.slip("lists", (count, count, after % size, wrap_at(after, size)), why)
    board.answer(end)
