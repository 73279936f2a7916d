"""Problems about a chain of descriptors: its buffers, or the rule that it breaks.

    head 3 -> [ r 16 ] -> [ r 512 ] -> [ w 1 ]        3 buffers, 528 bytes to read, 1 to write
    head 3 -> INDIRECT -> [ w 512 ] -> [ w 1 ]        the table's two, and not the table itself

The judge is `split_chain.walk`. Left out: IN_ORDER, packed rings.
"""

from __future__ import annotations

from virtlab.course.practice.board import Board, hex_of
from virtlab.errors import GuestError
from virtlab.memory import PAGE, GuestMemory
from virtlab.virtio.chain import Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings, packer
from virtlab.virtio.split_chain import walk

_pack = packer(DESC).pack


def chain_walk(board: Board) -> None:
    """The buffers of a chain; from level 2 on with an indirect table, at level 3 with mistakes."""
    random, size = board.random, 8
    memory, rings = GuestMemory(64 * PAGE), SplitRings.placed(PAGE, size)
    slots = random.sample(range(size), random.randrange(3, 6))
    lengths = [random.randrange(1, 64) * 8 for _ in slots]
    reads = random.randrange(1, len(slots))
    table = [[random.randrange(32, 64) << 12, random.randrange(1, 64), 0, 0] for _ in range(size)]
    for n, slot in enumerate(slots):
        more = n + 1 < len(slots)
        flags = (NEXT if more else 0) | (WRITE if n >= reads else 0)
        following = slots[n + 1] if more else random.randrange(size)
        table[slot] = [random.randrange(32, 64) << 12, lengths[n], flags, following]
    inside = _indirect(board, table, slots) if board.level > 1 and random.randrange(4) else []
    if board.level == 3:
        _break(board, table, slots, inside)
    for at, entries in ((rings.desc, table), (0x4000, inside)):
        memory.write(at, b"".join(_pack(*entry) for entry in entries))
    try:
        chain: Chain | None = walk(memory, rings, frozenset({Feature.RING_INDIRECT_DESC}), slots[0])
        refusal = ""
    except GuestError as error:
        chain, refusal = None, str(error)
    _show_chain(board, rings, table, inside, slots[0])
    _chain_steps(board, table, inside, slots[0], chain, refusal)


def _indirect(board: Board, table: list[list[int]], slots: list[int]) -> list[list[int]]:
    """Make the last descriptor of the chain refer to a table of its own; gives that table."""
    random = board.random
    last = table[slots[-1]]
    count = random.randrange(2, 4)
    inside = []
    for n in range(count):
        more = n + 1 < count
        flags = (NEXT if more else 0) | WRITE
        inside.append([random.randrange(32, 64) << 12, random.randrange(1, 64) * 8, flags, n + 1])
    inside[-1][3] = 0
    last[0], last[1], last[2] = 0x4000, 16 * count, INDIRECT
    return inside


def _break(board: Board, table: list[list[int]], slots: list[int], inside: list[list[int]]) -> None:
    """One mistake of a driver, or none."""
    how = board.random.randrange(5)
    if how == 0 and not inside:  # a loop
        table[slots[-1]][2] |= NEXT
        table[slots[-1]][3] = slots[0]
    elif how == 1:  # a readable buffer behind a writable one
        table[slots[0]][2] |= WRITE
        table[slots[1]][2] &= ~WRITE
    elif how == 2:  # an index beyond the table
        table[slots[0]][3] = len(table) + board.random.randrange(4)
    elif how == 3:  # a buffer of no bytes
        table[slots[1]][1] = 0


def _rows(entries: list[list[int]], raw: bool) -> list[tuple[str, ...]]:
    if raw:
        return [(str(n), _pack(*entry).hex(" ")) for n, entry in enumerate(entries)]
    return [
        (str(n), hex_of(addr), str(length), str(flags), str(following))
        for n, (addr, length, flags, following) in enumerate(entries)
    ]


def _show_chain(
    board: Board, rings: SplitRings, table: list[list[int]], inside: list[list[int]], head: int
) -> None:
    raw = board.level > 1
    headers = ("index", "bytes") if raw else ("index", "addr", "len", "flags", "next")
    if raw:
        board.say(
            "A descriptor in memory is addr (8 bytes), len (4), flags (2), next (2), all "
            "little-endian."
        )
    board.say("Flags: NEXT is 1, WRITE is 2, INDIRECT is 4.")
    if board.level == 3:
        board.say(
            "A device refuses a chain that does not end, a descriptor beyond its table, a readable "
            "buffer behind a writable one, and a buffer of 0 bytes."
        )
    board.table("Descriptor table", headers, _rows(table, raw))
    if inside:
        board.table("Memory at 0x4000", headers, _rows(inside, raw))
    board.data |= {"table": table, "inside": inside, "head": head}
    board.words = {"refused"}
    board.ask(
        f"The available ring gives head {head}. How many buffers has the chain, how many bytes are "
        "to be read by the device, and how many to be written?",
        "three numbers, as “3 16 513”, or “refused”",
    )


def _chain_steps(
    board: Board,
    table: list[list[int]],
    inside: list[list[int]],
    head: int,
    chain: Chain | None,
    refusal: str,
) -> None:
    way: list[int] = []
    at = head
    while at < len(table) and len(way) <= len(table):
        way.append(at)
        if not table[at][2] & NEXT:
            break
        at = table[at][3]
    board.step(
        "way", "From the head along next, while NEXT is set: " + " -> ".join(map(str, way)) + "."
    )
    if inside:
        board.step(
            "indirect table", f"INDIRECT: {len(inside)} descriptors at 0x4000 take its place."
        )
    if chain is None:
        board.step("buffers", f"{refusal[0].upper()}{refusal[1:]}: that breaks a rule.", "refused")
        entries = [table[n] for n in dict.fromkeys(way) if not table[n][2] & INDIRECT] + inside
        read = sum(entry[1] for entry in entries if not entry[2] & WRITE)
        written = sum(entry[1] for entry in entries if entry[2] & WRITE)
        why = "look at the rules for a chain: loops, the order of the buffers, indices, lengths."
        board.slip("buffers", (len(entries), read, written), why)
        board.answer("refused")
        return
    work = ", ".join(f"{'w' if b.write else 'r'} {b.length}" for b in chain.buffers)
    end = f"{len(chain.buffers)} {chain.readable} {chain.writable}"
    board.step("buffers", work, end)
    board.parts = ("way", "buffers", "buffers")
    _chain_slips(board, table, inside, way, chain)
    board.answer(end)


def _chain_slips(
    board: Board, table: list[list[int]], inside: list[list[int]], way: list[int], chain: Chain
) -> None:
    board.slip(
        "buffers", (len(chain.buffers), chain.writable, chain.readable), "WRITE: the device writes."
    )
    board.slip("buffers", "refused", "this chain breaks no rule.")
    if inside:
        outer = [table[n] for n in way]
        read = sum(entry[1] for entry in outer if not entry[2] & WRITE)
        written = sum(entry[1] for entry in outer if entry[2] & WRITE)
        why = "the descriptor with INDIRECT is no buffer; its table has the buffers."
        board.slip("indirect table", (len(outer), read, written), why)
    if board.level > 1:
        swapped = sum(_swap(b.length) for b in chain.buffers if not b.write)
        other = sum(_swap(b.length) for b in chain.buffers if b.write)
        why = "numbers are little-endian: the lowest byte comes first."
        board.slip("buffers", (len(chain.buffers), swapped, other), why)
    beside = table[way[-1]]
    if not beside[2] & INDIRECT and beside[3] not in way and beside[3] < len(table):
        extra = table[beside[3]]
        read = chain.readable + (0 if extra[2] & WRITE else extra[1])
        written = chain.writable + (extra[1] if extra[2] & WRITE else 0)
        why = "without NEXT the field next means nothing: the chain ends."
        board.slip("way", (len(chain.buffers) + 1, read, written), why)


def _swap(length: int) -> int:
    return int.from_bytes(length.to_bytes(4, "little"), "big")
