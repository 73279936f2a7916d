"""Problems about split virtqueues: where the parts lie, and what waits in them.

    size, base             --> addresses of rings, entries, thresholds
    avail idx, last_avail  --> pending, in flight, free

The judge is `SplitRings` and `SplitQueue.available`. Left out: IN_ORDER, chains of several
descriptors.
"""

from __future__ import annotations

from functools import partial

from virtlab.course.practice.board import Board, hex_of
from virtlab.errors import GuestError
from virtlab.memory import PAGE, GuestMemory
from virtlab.show.svg import Picture
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue


def vring_layout(board: Board) -> None:
    """Where the parts of a split queue lie; at level 3, where one entry does."""
    random = board.random
    size = 1 << random.randrange(3, 9 if board.level == 1 else 11)
    page = random.randrange(0x10, 0x400)
    legacy = board.level == 2 or (board.level == 3 and bool(random.randrange(2)))
    align = PAGE if legacy else 4
    rings = SplitRings.legacy(page, size) if legacy else SplitRings.placed(page << 12, size, align)
    board.say(
        "A descriptor has 16 bytes. The available ring is flags (2 bytes), idx (2), size entries "
        "of 2, used_event (2). The used ring is flags (2), idx (2), size elements of 8, "
        "avail_event (2)."
    )
    where = f"A legacy device gets the page frame number {hex_of(page)}" if legacy else ""
    where = where or f"The parts lie one behind the other from {hex_of(page << 12)}"
    board.say(f"{where}. The used ring begins at the next multiple of {align}. Queue size {size}.")
    board.data |= {"size": size, "base": page << 12, "align": align}
    board.draw = partial(_picture, rings, legacy)
    if board.level < 3:
        _whole_layout(board, rings, align)
    else:
        _one_entry(board, rings, align)


def _picture(rings: SplitRings, legacy: bool) -> Picture:
    from virtlab.show.vring_map import vring_map

    return vring_map(rings, legacy)


def _layout_steps(board: Board, rings: SplitRings, align: int) -> int:
    """The steps up to the used ring; gives where the available ring ends."""
    size = rings.size
    board.step("table", f"{hex_of(rings.desc)} + 16 * {size}", hex_of(rings.avail))
    end = rings.avail + rings.parts[1][1]
    board.step("available ring", f"its bytes: 2 + 2 + 2 * {size} + 2; it ends at", hex_of(end))
    board.step("alignment", f"the next multiple of {align}", hex_of(rings.used))
    return end


def _whole_layout(board: Board, rings: SplitRings, align: int) -> None:
    board.ask(
        "Where do the available ring and the used ring begin, and which is the first address "
        "behind the queue?",
        "three numbers, as “0x10080 0x11000 0x11046”",
    )
    end = _layout_steps(board, rings, align)
    head = f"{hex_of(rings.avail)} {hex_of(rings.used)}"
    last = f"{head} {hex_of(rings.end)}"
    board.step("used ring", f"its bytes: 2 + 2 + 8 * {rings.size} + 2", last)
    board.parts = ("table", "alignment", "used ring")
    length = rings.end - rings.used
    why = "the used ring has an alignment of its own."
    board.slip("alignment", (rings.avail, end, end + length), why)
    short = -(-(end - 2) // align) * align
    why = "used_event stands at the end of the available ring, and has 2 bytes."
    board.slip("available ring", (rings.avail, short, short + length), why)
    why = "avail_event stands at the end of the used ring, and has 2 bytes."
    board.slip("used ring", f"{head} {hex_of(rings.end - 2)}", why)
    why = "an element of the used ring has 8 bytes: id and len."
    board.slip("used ring", f"{head} {hex_of(rings.used + 6 + 2 * rings.size)}", why)
    board.answer(last)


def _one_entry(board: Board, rings: SplitRings, align: int) -> None:
    size = rings.size
    position = board.random.randrange(size, 0x10000)
    board.data |= {"position": position}
    board.ask(
        f"Indices run free. Where is the available ring's entry for position {position}, where the "
        f"used ring's element for position {position}, and where is avail_event?",
        "three numbers, as “0x10080 0x11000 0x11046”",
    )
    _layout_steps(board, rings, align)
    slot = position % size
    entry, element = rings.avail_at(position), rings.used_at(position)
    event = rings.used_field("avail_event")
    board.step("slot", f"{position} mod {size}", str(slot))
    board.step("entry", f"{hex_of(rings.avail)} + 4 + 2 * {slot}", hex_of(entry))
    board.step("element", f"{hex_of(rings.used)} + 4 + 8 * {slot}", hex_of(element))
    end = f"{hex_of(entry)} {hex_of(element)} {hex_of(event)}"
    board.step("avail_event", f"{hex_of(rings.used)} + 4 + 8 * {size}, behind the used ring", end)
    board.parts = ("entry", "element", "avail_event")
    wrong = (rings.avail + 4 + 2 * position, rings.used + 4 + 8 * position, event)
    board.slip("slot", wrong, "a position runs free; reduce it modulo the size.")
    why = "flags and idx come before the ring: 4 bytes."
    board.slip("entry", (entry - 4, element - 4, event), why)
    why = "avail_event is behind the used ring, which the device writes too."
    board.slip("avail_event", (entry, element, rings.avail_field("used_event")), why)
    board.answer(end)


# -- what a ring holds


def ring_state(board: Board) -> None:
    """Chains that wait, that are in flight, and descriptors that are free."""
    random = board.random
    size = 1 << random.randrange(3, 6)
    in_flight = random.randrange(0, size // 2)
    pending = random.randrange(0, size - in_flight + 1)
    used = random.randrange(0x20, 0x200)
    if board.level > 1 and random.randrange(4):
        used = 0x10000 - random.randrange(0, in_flight + pending + 1)
    if board.level == 3 and random.randrange(3) == 0:
        pending = size - in_flight + random.randrange(1, 4)
    idx = (used + in_flight + pending) & 0xFFFF
    memory, rings = GuestMemory(16 * PAGE), SplitRings.placed(PAGE, size)
    queue = SplitQueue(memory)
    queue.enable(rings, base=used)
    queue.last_avail += in_flight
    memory.store(rings.avail_field("idx"), 2, idx)
    memory.store(rings.used_field("idx"), 2, used)
    taken = queue.last_avail & 0xFFFF
    try:
        waiting = queue.available()
        end = f"{waiting} {queue.in_flight} {size - waiting - queue.in_flight}"
    except GuestError as error:
        end, broken = "broken", str(error)
    rows = [
        ("avail.idx, in memory", str(idx)),
        ("used.idx, in memory", str(used & 0xFFFF)),
        ("last_avail, the device's own", str(taken)),
    ]
    board.table(f"A split queue of {size}", ("count", "value"), rows)
    board.say("Every chain has one descriptor. Counts have 16 bits and run free.")
    board.data |= {"size": size, "avail": idx, "used": used & 0xFFFF, "last_avail": taken}
    board.words = {"broken"}
    board.ask(
        "How many chains are available and not taken, how many are in flight in the device, and "
        "how many descriptors has the driver free?",
        "three numbers, as “3 1 4”, or “broken” if avail.idx cannot be right",
    )
    waits, flies = (idx - taken) & 0xFFFF, (taken - used) & 0xFFFF
    board.step("available", f"avail.idx - last_avail = {idx} - {taken}, modulo 65536", str(waits))
    board.step("in flight", f"last_avail - used.idx = {taken} - {used & 0xFFFF}", str(flies))
    work = f"{size} - {waits} - {flies} is not negative."
    if end == "broken":
        work = f"{waits} + {flies} is more than {size}. {broken[0].upper()}{broken[1:]}."
    board.step("free", work, end)
    if end != "broken":
        board.parts = ("available", "in flight", "free")
        board.slip("free", "broken", "all of it fits in the queue, so the index can be right.")
    _state_slips(board, size, idx, taken, used & 0xFFFF)
    board.answer(end)


def _state_slips(board: Board, size: int, idx: int, taken: int, used: int) -> None:
    waits, flies = (idx - taken) & 0xFFFF, (taken - used) & 0xFFFF
    why = "counts have 16 bits: a difference is modulo 65536."
    board.slip("available", (idx - taken, taken - used, size - (idx - used)), why)
    why = "available and in flight are two things; last_avail lies between them."
    board.slip("available", ((idx - used) & 0xFFFF, flies, size - ((idx - used) & 0xFFFF)), why)
    board.slip("free", (waits, flies, size - waits), "what is in flight is not free either.")
    board.slip("free", (waits, flies, size - waits - flies), "this is more than the queue has.")
    board.slip("available", (idx % size, flies, size - idx % size - flies), why)
