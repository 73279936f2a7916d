"""Problems about memory of a VM: a walk through EPT, and DMA to frames that are scattered.

    gpa --> level 4 --> 3 --> 2 --> 1 --> hpa, or a violation, or a misconfiguration
    [ gpa, length ]  -->  [ hpa, bytes ] [ hpa, bytes ] ...

The judge is `vmm.ept.Ept` and `SoftwareRemapper`. Left out: execute rights, memory types other
than write-back, accessed and dirty flags.
"""

from __future__ import annotations

from functools import partial

from virtlab.course.practice.board import Board, hex_of
from virtlab.errors import DmaFault
from virtlab.memory import PAGE, GuestMemory
from virtlab.show.svg import Picture
from virtlab.vmm.dma_remap import Piece, SoftwareRemapper
from virtlab.vmm.ept import Ept
from virtlab.vmm.exits import READ, WRITE, EptMisconfiguration
from virtlab.vmm.frames import Frames
from virtlab.vmm.tables import Walk
from virtlab.vmm.virtual_machine import ScatteredRam
from virtlab.vmm.walk import INDEX

BASE = 0x20_0000
"""Where the host keeps the tables (hpa)."""

RWX = 7


def ept_walk(board: Board) -> None:
    """Where a gpa leads through EPT, or which exit it is."""
    random = board.random
    memory = GuestMemory([(BASE, 32 * PAGE)])
    ept = Ept(Frames(memory, BASE, 32))
    gpa, write = random.getrandbits(46) | 1 << 45, bool(random.randrange(2))
    level = random.choice((1, 2, 3)) if board.level == 2 else 1
    size = 1 << INDEX[level].lo
    for page in (gpa & -size, gpa & -size ^ size):
        hpa = random.randrange(1, 1 << 41 - INDEX[level].lo) * size
        rights = RWX if board.level < 3 else random.choice((RWX, READ | WRITE, READ))
        ept.map(page, hpa, size, rights, large=True)
    if board.level == 3:
        _spoil(board, ept, gpa)
    walk, outcome = ept.walk(gpa), ept.translate(gpa, 1, write)
    answer = hex_of(outcome) if isinstance(outcome, int) else "violation"
    if isinstance(outcome, EptMisconfiguration):
        answer = "misconfiguration"
    _show_ept(board, ept, walk, gpa, write)
    _ept_steps(board, ept, walk, gpa, write, answer)
    board.draw = partial(_draw, ept, gpa, write)


def _draw(ept: Ept, gpa: int, write: bool) -> Picture:
    from virtlab.show.page_walk import page_walk

    return page_walk(ept, gpa, write)


def _spoil(board: Board, ept: Ept, gpa: int) -> None:
    """Take a right away, or the entry, or break a rule of its format."""
    step = board.random.choice(ept.walk(gpa).steps)
    how = board.random.randrange(5)
    changes = {0: step.entry & ~WRITE, 1: 0, 2: step.entry & ~READ, 3: step.entry | 1 << 50}
    if how in changes:
        ept.memory.store(step.entry_at, 8, changes[how])


def _show_ept(board: Board, ept: Ept, walk: Walk, gpa: int, write: bool) -> None:
    board.say(f"The top table is at hpa {hex_of(ept.root)}. Not listed means zero.")
    board.say(
        "An entry: R is bit 0, W bit 1, X bit 2; present means that one of them is set. Bits "
        "5:3 of an entry that maps a page are the memory type, 6 here. Bit 7 is set in an entry "
        "of level 3 or 2 that maps a page. Bits 51:46 are reserved. A reserved bit, or W without "
        "R, is a misconfiguration. The walk stops at the first entry that is not present or wrong."
    )
    rows = []
    for step in walk.steps:
        for at in sorted({step.entry_at, step.entry_at ^ 8}):
            entry = ept.memory.load(at, 8)
            if entry or at == step.entry_at:
                rows.append((hex_of(at), hex_of(entry, 16)))
    board.table("Host memory", ("hpa", "entry"), rows)
    board.data |= {"root": ept.root, "gpa": gpa, "write": write}
    board.data |= {"entries": [[int(at, 16), int(entry, 16)] for at, entry in rows]}
    board.words = {"violation", "misconfiguration"}
    verb = "stores to" if write else "loads from"
    board.ask(
        f"A guest {verb} gpa {hex_of(gpa)}. Where is that byte in the host?",
        "the hpa, or “violation” or “misconfiguration”",
    )


def _ept_steps(board: Board, ept: Ept, walk: Walk, gpa: int, write: bool, answer: str) -> None:
    for step in walk.steps:
        bits = INDEX[step.level]
        work = f"gpa bits {bits} = {bits.get(gpa):#x}, times 8: at {hex_of(step.entry_at)}."
        board.step(f"level {step.level} entry", work, hex_of(step.entry))
    last = f"level {walk.steps[-1].level} entry"
    if answer == hex_of(walk.hpa):
        offset = gpa & walk.page_size - 1
        page = hex_of(walk.hpa - offset)
        board.step("end", f"All entries allow it. Page {page} + offset {hex_of(offset)}.", answer)
        board.slip("end", walk.hpa - offset, "the offset in the page is not translated: add it.")
        entry = walk.steps[-1].entry
        board.slip("end", entry | offset, "the low bits of the entry are rights, not address.")
        small = walk.hpa - offset | gpa & PAGE - 1
        why = "bit 7 is set: this entry maps a large page, so its offset has more bits."
        board.slip("end", small, why)
        near = ept.walk(gpa ^ walk.page_size)
        if not near.problem:
            why = "you took the neighbour of the right entry; look at the lowest bit of the index."
            board.slip(last, near.hpa, why)
        for word in ("violation", "misconfiguration"):
            board.slip(last, word, "every entry is present, well formed and allows the access.")
    else:
        rights = "".join(c if ept.rights(walk) & b else "-" for c, b in (("r", 1), ("w", 2)))
        why = (
            walk.problem
            or f"together the entries give {rights}, and this is a {'store' if write else 'load'}"
        )
        board.step("end", f"The walk ends there: {why}.", answer)
        other = "violation" if answer == "misconfiguration" else "misconfiguration"
        why = "an entry that forbids is a violation; one that breaks the format is not."
        board.slip("end", other, why)
        if walk.hpa:
            why = "the rights of a page are what all entries on the way allow together."
            board.slip("end", walk.hpa, why)
    board.answer(answer)


# -- scattered frames


def scatter(board: Board) -> None:
    """The pieces of host memory that a guest's buffer is."""
    random = board.random
    pages = 6
    frames = _frames(board, pages)
    start = random.randrange(2, 14) * PAGE
    ram = ScatteredRam(GuestMemory([(BASE, 64 * PAGE)]), frames, [(start, pages * PAGE)])
    remapper = SoftwareRemapper(ram)
    crossed = {1: 1, 2: random.randrange(2, 4), 3: random.randrange(1, 4)}[board.level]
    first = random.randrange(pages - crossed)
    if board.level == 3 and random.randrange(3) == 0:
        first = pages - crossed
    gpa = start + first * PAGE + random.randrange(0x100, 0xF00) & ~3
    length = (crossed - 1) * PAGE + PAGE - gpa % PAGE + random.randrange(0x10, 0x800) & ~3
    rows = [(hex_of(page), hex_of(frame)) for page, frame in ram.frames.items()]
    board.table("The VM's memory, page by page", ("gpa", "hpa"), rows)
    board.say("Pages have 4096 bytes. Pieces that are neighbours in the host count as one.")
    board.data |= {"pages": [list(pair) for pair in ram.frames.items()]}
    board.data |= {"gpa": gpa, "length": length}
    board.words = {"refused"}
    board.ask(
        f"A guest gives a device a buffer of {hex_of(length)} bytes at gpa {hex_of(gpa)}. Which "
        "pieces does the VMM give the device?",
        "hpa and bytes of each piece in order, as “0x5f00 0x100 0x9000 0x40”, or “refused”",
    )
    try:
        pieces = remapper.pieces(gpa, length)
        end = " ".join(f"{hex_of(hpa)} {hex_of(n)}" for hpa, n in pieces)
    except DmaFault as fault:
        pieces, end = [], "refused"
        have = remapper.reach(gpa, length)
        board.step("pages", _cuts(gpa, length))
        work = f"The VM has {hex_of(have)} of the bytes, and no memory at {hex_of(fault.address)}. "
        work += "All of it is refused, before anything moves."
        board.step("pieces", work, end)
        inside = remapper.pieces(gpa, have)
        part = " ".join(f"{hex_of(hpa)} {hex_of(n)}" for hpa, n in inside)
        board.slip("pieces", part, "not all of it is the VM's memory: the whole is refused.")
    else:
        _scatter_steps(board, ram, gpa, length, pieces, end)
    board.answer(end)


def _frames(board: Board, pages: int) -> list[int]:
    """Frames of the pages: scattered, and from level 2 on two of them neighbours."""
    frames = [BASE + PAGE * n for n in board.random.sample(range(0, 64, 2), pages)]
    if board.level > 1:
        at = board.random.randrange(pages - 1)
        frames[at + 1] = frames[at] + PAGE
    return frames


def _cuts(gpa: int, length: int) -> str:
    """The buffer cut where pages end, in words."""
    at, end, cuts = gpa, gpa + length, []
    while at < end:
        n = min(end - at, PAGE - at % PAGE)
        cuts.append(f"{hex_of(n)} bytes in page {hex_of(at & -PAGE)}")
        at += n
    return "Cut where pages end: " + ", ".join(cuts) + "."


def _scatter_steps(
    board: Board, ram: ScatteredRam, gpa: int, length: int, pieces: list[Piece], end: str
) -> None:
    parts = list(ram.parts(gpa, length))
    board.step("pages", _cuts(gpa, length))
    each = " ".join(f"{hex_of(hpa)} {hex_of(n)}" for hpa, n in parts)
    work = "Frame of the page + offset, for each of them."
    board.step("frames", work, each if len(parts) != len(pieces) else "")
    merged = len(parts) != len(pieces)
    work = "Two of them are neighbours: one piece." if merged else "No two of them are neighbours."
    board.step("pieces", work, end)
    whole = f"{hex_of(parts[0][0])} {hex_of(length)}"
    board.slip("pages", whole, "the buffer leaves its page, and the next page has another frame.")
    board.slip("frames", f"{hex_of(gpa)} {hex_of(length)}", "this is the guest's own address.")
    starts = " ".join(f"{hex_of(hpa & -PAGE)} {hex_of(n)}" for hpa, n in parts)
    board.slip("frames", starts, "keep the offset in the first page.")
    full = [(parts[0][0], PAGE), *parts[1:]]
    text = " ".join(f"{hex_of(hpa)} {hex_of(n)}" for hpa, n in full)
    board.slip("pages", text, "the first page ends 4096 - offset bytes after the buffer's start.")
    board.parts = ("frames", "pages") * len(pieces)
    board.slip("pieces", "refused", "all of these pages are the VM's.")
