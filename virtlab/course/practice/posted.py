"""Problems about posted interrupts: which bit is set, and who is told.

    post a vector       set its bit of PIR; ON = 0, and SN = 0 or urgent: ON = 1, notify
    the VMM takes them  ON = 0, PIR = 0

The judge is `iommu.posted`, on a descriptor in memory. Left out: the processor's side, virtual IRR.
"""

from __future__ import annotations

from virtlab.course.practice.board import Board
from virtlab.iommu.posted import PostedDescriptor, post
from virtlab.memory import PAGE, GuestMemory

GPA = 0x1000
"""Where the descriptor lies."""

Event = tuple[str, int]
"""What happens: post or urgent with its vector; take, suppress or allow with 0."""


def posted_interrupt(board: Board) -> None:
    """Where one vector's bit is, how many notifications a row of events brings, what is left."""
    random = board.random
    events = _events(board)
    memory = GuestMemory(2 * PAGE)
    descriptor = PostedDescriptor(memory, GPA)
    descriptor.start(0xF2, 3)
    lines, sent = [], 0
    for what, vector in events:
        told = _do(memory, descriptor, what, vector)
        sent += told
        after = f"ON {int(descriptor.outstanding)}, {descriptor.pending.bit_count()} pending"
        lines.append(f"{_words(what, vector)}: {'a notification; ' if told else ''}{after}")
    last = random.choice([vector for what, vector in events if what in ("post", "urgent")])
    board.say(
        "A posted-interrupt descriptor: PIR is bits 255:0, ON bit 256, SN bit 257. All are 0 at "
        "first. Entries are not urgent (URG = 0) unless it says so."
    )
    rows = [(str(n), _words(*event)) for n, event in enumerate(events, 1)]
    board.table("What happens, in this order", ("", "event"), rows)
    board.data |= {"events": [list(event) for event in events], "vector": last}
    board.ask(
        f"In which byte of the descriptor, and in which bit of it, is vector {last:#x}? How many "
        "notifications are sent in all, and how many vectors are pending at the end?",
        "four numbers, as “6 1 2 3”",
    )
    pending = descriptor.pending.bit_count()
    board.step("byte", f"{last:#x} / 8, rounded down", str(last // 8))
    board.step("bit", f"{last:#x} mod 8", str(last % 8))
    board.step("notifications", "\n".join(lines), str(sent))
    end = f"{last // 8} {last % 8} {sent} {pending}"
    board.step("pending", "Bits of PIR; a vector that is posted twice is one bit.", end)
    board.parts = ("byte", "bit", "notifications", "pending")
    posts = [vector for what, vector in events if what in ("post", "urgent")]
    why = "while ON is 1 a notification is under way, and no other is sent."
    board.slip("notifications", (last // 8, last % 8, len(posts), pending), why)
    why = "bit 0 is the lowest bit of a byte."
    board.slip("bit", (last // 8, 7 - last % 8, sent, pending), why)
    why = "whoever takes the vectors clears PIR; and a bit is set only once."
    board.slip("pending", (last // 8, last % 8, sent, len(posts)), why)
    board.answer(end)


def _events(board: Board) -> list[Event]:
    """Level 1: posts alone. 2: they are taken in between. 3: SN, and urgent ones."""
    random = board.random
    vectors = random.sample(range(0x30, 0x100), 4)
    events: list[Event] = [("post", vector) for vector in vectors[: random.randrange(2, 4)]]
    if board.level == 1:
        return events
    events.append(("take", 0))
    events += [("post", random.choice(vectors)) for _ in range(random.randrange(1, 3))]
    if board.level == 3:
        at = random.randrange(len(events))
        events.insert(at, ("suppress", 0))
        events.append(("urgent" if random.randrange(2) else "post", random.choice(vectors)))
        events.append(("take", 0))
        if random.randrange(2):
            events.append(("allow", 0))
        events.append(("post", random.choice(vectors)))
    return events


def _do(memory: GuestMemory, descriptor: PostedDescriptor, what: str, vector: int) -> bool:
    """Let it happen; whether a notification is sent."""
    if what in ("post", "urgent"):
        return post(memory, GPA, vector, urgent=what == "urgent") is not None
    if what == "take":
        descriptor.sync()
    else:
        descriptor.suppress(what == "suppress")
    return False


def _words(what: str, vector: int) -> str:
    said = {
        "post": f"vector {vector:#x} is posted",
        "urgent": f"vector {vector:#x} is posted, its entry has URG = 1",
        "take": "the VMM clears ON and takes all of PIR",
        "suppress": "the VMM sets SN",
        "allow": "the VMM clears SN",
    }
    return said[what]
