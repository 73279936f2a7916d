"""Task 6 of problem set 5: its judges, held to the library's network device."""

from collections import Counter
from random import Random

import pytest

from tests.course.answers import right
from tests.course.refusals import refusal
from virtlab.backends.frames import Frames
from virtlab.course.answers import Answer
from virtlab.course.checks import check
from virtlab.course.ps5 import receive_device, receive_driver
from virtlab.errors import GuestError
from virtlab.memory import GuestMemory
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.net_layouts import NetFeature
from virtlab.virtio.net_receive import Receiver

# -- the example that the text of the task gives


def test_the_example_of_the_text_holds():
    queue = receive_device.Receiving(Answer(right()))
    queue.added = 4
    queue.add(72, 72)
    queue.waiting[0] = (4, queue.waiting[0][1])
    queue.waiting[1] = (9, queue.waiting[1][1])
    first, second = queue.waiting[0][1][0][0], queue.waiting[1][1][0][0]
    frame = bytes(range(100))
    assert queue.deliver(frame) is None
    assert queue.shown == [[(4, 72), (9, 40)]]
    assert queue.ram.read(first, 72) == bytes(10) + b"\2\0" + frame[:60]
    assert queue.ram.read(second, 40) == frame[60:]


# -- the judge of deliver, held to the library's device


class ByHand:
    """As much of a queue as a receiver needs."""

    def __init__(self, ram, buffers, merge, size):
        self.dma, self.size, self.used = ram, size, []
        self.features = frozenset(
            {Feature.VERSION_1} | ({NetFeature.MRG_RXBUF} if merge else set())
        )
        self.buffers = list(buffers)

    def pop(self):
        """The next buffer, as a chain."""
        if not self.buffers:
            return None
        head, pieces = self.buffers.pop(0)
        return Chain(head, tuple(Buffer(*piece) for piece in pieces), 1)

    def push(self, chain, written):
        """One buffer back."""
        self.used.append((chain.head, written))

    def push_many(self, heads, written):
        """Several, at once."""
        self.used += zip(heads.tolist(), written.tolist(), strict=True)


def librarys_word(receiver, queue, frame):
    """What the library's receiver does with one frame, in the task's words."""
    before = receiver.counts["received"]
    receiver.add(Frames.of([frame]))
    try:
        receiver.handle(queue)
    except GuestError:
        return "broken"
    if len(receiver):
        receiver.waiting.clear()
        return "waits"
    return "delivered" if receiver.counts["received"] > before else "too long"


def test_a_frame_goes_where_the_librarys_device_puts_it():
    rng, seen = Random(8), set()
    for _ in range(400):
        merge, size = rng.random() < 0.7, rng.choice((1, 2, 4))
        queue = receive_device.Receiving(Answer({}), merge, size)
        count = rng.randrange(size + 1)
        queue.add(*(rng.choice((11, 12, 40, 72, [(9, False), (30, True)])) for _ in range(count)))
        buffers, twin = list(queue.waiting), GuestMemory(queue.ram.size)
        twin.bytes[:] = queue.ram.bytes
        theirs, receiver = ByHand(twin, buffers, merge, size), Receiver(9, Counter())
        for _ in range(3):
            frame = rng.randbytes(rng.choice((14, 60, 61, 100)))
            theirs.used.clear()
            word, used = queue._expect(frame, buffers, queue.ram)
            assert word == librarys_word(receiver, theirs, frame)
            assert used == theirs.used
            assert (queue.ram.bytes == twin.bytes).all()
            assert [held[0] for held in queue.expected_held] == [c.head for c in receiver.held]
            seen.add(word)
            if word == "broken":
                break
    assert seen == {"delivered", "waits", "too long", "broken"}


def test_what_the_librarys_device_delivers_the_answer_receives():
    rng = Random(9)
    for _ in range(40):
        receipts = receive_driver.Receipts(Answer(right()))
        at = [(n, [(0x1000 + 0x200 * n, rng.choice((12, 64, 300)), True)]) for n in range(60)]
        queue, frames = ByHand(receipts.ram, at, True, 64), []
        for _ in range(4):
            frames.append(rng.randbytes(rng.choice((14, 60, 200))))
            assert librarys_word(Receiver(9, Counter()), queue, frames[-1]) == "delivered"
        for head, written in queue.used:
            gpa, length, _ = at[head][1][0]
            receipts.waiting.append(((gpa, length), written))
        assert [right()["receive"](receipts.q) for _ in range(5)] == [*frames, None]


# -- what is said

R = "def deliver(q, f):\n    r = right_deliver(q, f)\n"
G = "def receive(q):\n    r = right_receive(q)\n"


def names_with(source):
    """The solutions, and what `source` makes of them."""
    names = right()
    names["right_deliver"], names["right_receive"] = names["deliver"], names["receive"]
    exec(source, names)
    return names


def delivered(source, *buffers, frame=bytes(60), merge=True, size=16):
    """What is wrong with the delivery of one frame."""
    queue = receive_device.Receiving(Answer(names_with(source)), merge, size)
    queue.add(*buffers)
    return queue.deliver(frame)


@pytest.mark.parametrize(
    ("source", "expected", "yours", "look"),
    [
        ("def deliver(q, f): pass", "'delivered'", "None: is there a return?", ""),
        ("def deliver(q, f): return 'waits'", "'delivered'", "'waits'", "LOOK_WAITS"),
        (
            "def deliver(q, f): return 'delivered'",
            "head 0 with 40, head 5 with 32",
            "nothing is used",
            "LOOK_LENGTHS",
        ),
        (
            "def deliver(q, f):\n    q.put(5, 32); q.put(0, 40); q.publish(); return 'delivered'",
            "head 0 with 40, head 5 with 32",
            "head 5 with 32, head 0 with 40",
            "LOOK_HELD",
        ),
        (
            "def deliver(q, f):\n    q.put(0, 40); q.publish(); q.put(5, 32); q.publish()\n"
            "    return 'delivered'",
            "the driver sees 2 at once",
            "it sees 1, then 1",
            "LOOK_TOGETHER",
        ),
        (
            "def deliver(q, f):\n    q.put(0, 40); q.put(5, 32); return 'delivered'",
            "the driver sees 2 at once",
            "it sees none",
            "LOOK_TOGETHER",
        ),
        (
            "def deliver(q, f):\n    q.put(0, 40); q.put(5, 32); q.publish(); return 'delivered'",
            "0x00 at 0x1000",
            "0xee, as it was",
            "LOOK_HEADER",
        ),
        (
            R.replace("    r =", "    q.memory.write(16, b'!')\n    r =") + "    return r",
            "0xee at 0x10",
            "0x21",
            "LOOK_OUTSIDE",
        ),
        (
            R + "    q.memory.write(0x1000, b'!')\n    return r",
            "publish is the last",
            "memory is written behind it",
            "LOOK_LATE",
        ),
        (
            R + "    q.held.append(7)\n    return r",
            "q.held none",
            "q.held 7",
            "LOOK_HELD",
        ),
        (R + "    q.held = 7\n    return r", "q.held none", "q.held 7", "LOOK_HELD"),
        (
            R + "    q.put(3, 7)\n    return r",
            "head 0 with 40, head 5 with 32",
            "head 0 with 40, head 5 with 32, head 3 with 7",
            "LOOK_LENGTHS",
        ),
        (
            R + "    q.pop()\n    return r",
            "1 buffers wait in the queue",
            "0 wait",
            "LOOK_HELD",
        ),
    ],
)
def test_what_is_wrong_with_a_delivery_is_said(source, expected, yours, look):
    found = delivered(source, 40, 40, 40)
    assert (found.expected, found.yours) == (expected, yours)
    assert found.look == getattr(receive_device, look, "")


def test_a_refused_frame_leaves_memory_alone():
    writes = R.replace("    r =", "    q.memory.write(0x1000, bytes(12))\n    r =") + "    return r"
    for buffers, merge, look in (
        ((40,), True, "LOOK_WAITS"),
        ((40,), False, "LOOK_LONG"),
        ((40, 11), True, "LOOK_SMALL"),
    ):
        assert delivered(writes, *buffers, merge=merge).look == getattr(receive_device, look)
    assert delivered("def deliver(q, f): return 'waits'", 40, merge=False).look == (
        receive_device.LOOK_ONE
    )


def received(source, *lengths, frame=bytes(range(60)), length=0, strike=False):
    """What is wrong with the reception of one frame."""
    receipts = receive_driver.Receipts(Answer(names_with(source)))
    if lengths:
        receipts.packet(frame, *lengths)
    return receipts.receive(strike)


LATE = (
    "def receive(q):\n    b, n = q.get_buf()\n    q.give(b)\n    return q.memory.read(b[0], n)[12:]"
)


@pytest.mark.parametrize(
    ("source", "lengths", "expected", "yours", "look"),
    [
        ("def receive(q): pass", (72,), "a frame of 60 bytes", "None", "LOOK_FRAME"),
        ("def receive(q): return b''", (), "None", "a frame of 0 bytes", "LOOK_NONE"),
        (G + "    return r[:-1]", (72,), "60 bytes", "59 bytes", "LOOK_FRAME"),
        (
            G + "    return r[::-1]",
            (72,),
            "0x00 in byte 0 of a frame of 60",
            "0x3b, of 60",
            "LOOK_FRAME",
        ),
        (LATE, (72,), "0x00 in byte 0 of a frame of 60", "0xdd, of 60", "LOOK_QUICK"),
        (
            "def receive(q):\n    b, n = q.get_buf()\n    return bytes([0xEE]) * 60",
            (99,),
            "0x00 in byte 0 of a frame of 60",
            "0xee, of 60",
            "LOOK_WRITTEN",
        ),
        (G + "    q.get_buf()\n    return r", (72, 9), "1 used buffers", "0 wait", "LOOK_COUNT"),
        (G + "    q.give(7)\n    return r", (72,), "given: (0x1000, 72)", "", "LOOK_GIVE"),
        (G + "    q.give((1 << 40, 9))\n    return r", (72,), "given: (0x1", "", "LOOK_GIVE"),
        (
            G + "    q.memory.write(0x4000, b'!')\n    return r",
            (72,),
            "memory as it was",
            "",
            "LOOK_WRITE",
        ),
    ],
)
def test_what_is_wrong_with_a_reception_is_said(source, lengths, expected, yours, look):
    if look == "LOOK_COUNT":
        receipts = receive_driver.Receipts(Answer(names_with(source)))
        receipts.packet(bytes(60), 72)
        receipts.packet(bytes(60), 72)
        found = receipts.receive()
    else:
        found = received(source, *lengths)
    assert found.expected.startswith(expected)
    assert found.yours.startswith(yours)
    assert found.look == getattr(receive_driver, look)


def test_a_buffer_that_is_the_devices_again_is_named():
    assert received(LATE, 72).look == receive_driver.LOOK_QUICK
    early = "def receive(q):\n    b, n = q.get_buf()\n    d = q.memory.read(b[0], n)\n"
    assert received(early + "    q.give(b)\n    return d", 72).look == receive_driver.LOOK_FRAME
    harmless = early + "    q.give(b)\n    q.memory.read(b[0], n)\n    return d[12:]"
    assert received(harmless, 72) is None


def test_idx_that_does_not_move_shows_nothing():
    assert delivered(R + "    q.publish()\n    return r", 72) is None


def test_a_header_that_is_read_twice_is_two_headers():
    twice = (
        "def receive(q):\n    b, n = q.get_buf()\n    q.memory.read(b[0], 12)\n"
        "    d = q.memory.read(b[0], n)\n    q.give(b)\n"
        "    return d[12:] if d[10:12] == b'\\1\\0' else 'broken'"
    )
    assert received(twice, 72) is None
    assert received(twice, 72, strike=True).look == receive_driver.LOOK_ONCE


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def deliver(q, f):\n    while True: q.put(1, 1)", "stopped after 1,000 calls of put"),
        ("def receive(q):\n    while True: q.get_buf()", "stopped after 5,000 calls of get_buf"),
        ("def deliver(q, f): q.put('x', 1)", "whole numbers"),
    ],
)
def test_what_has_no_end_is_ended(source, said):
    assert said in refusal("ps5.q6", source)


# -- right answers in another style

PLANNED = """
def deliver(q, frame):
    need = 12 + len(frame)
    def room(buffer):
        return sum(n for _, n, w in buffer[1] if w)
    use = []
    while True:
        if len(use) == len(q.held):
            q.held += [b] if (b := q.pop()) else []
        if len(use) == len(q.held):
            return ("waits", "too long")[len(use) >= q.size]
        use.append(q.held[len(use)])
        if room(use[-1]) < 12:
            return "broken"
        if not q.merge or sum(map(room, use)) >= need:
            break
    if sum(map(room, use)) < need:
        return "too long"
    packet = memoryview(bytes([0] * 10 + [len(use) & 255, len(use) >> 8]) + frame)
    at = 0
    for head, pieces in use:
        before = at
        for gpa, n, w in pieces:
            if w and at < need:
                q.memory.write(gpa, bytes(packet[at:at + n]))
                at = min(need, at + n)
        q.put(head, at - before)
    q.held[:] = q.held[len(use):]
    q.publish()
    return "delivered"
"""

RECURSIVE = """
def receive(q):
    first = q.get_buf()
    if not first:
        return None
    (gpa, length), written = first
    header = q.memory.read(gpa, min(written, 12))
    frame = q.memory.read(gpa + 12, written - 12) if written > 12 else b""
    mine = [first[0]]
    missing = int.from_bytes(header[10:], "little") - 1 if written >= 12 else -1
    broken = missing < 0
    while missing > 0 and not broken:
        more = q.get_buf()
        if more is None:
            broken = True
        else:
            frame += q.memory.read(more[0][0], more[1])
            mine.append(more[0])
            missing -= 1
    for buffer in mine:
        q.give(buffer)
    return "broken" if broken else frame
"""


@pytest.mark.parametrize("source", [PLANNED, RECURSIVE, PLANNED + RECURSIVE])
def test_another_right_receive_path_passes(source):
    names = right()
    exec(source, names)
    for seed in (1, 2, 3):
        assert check("ps5.q6", seed=seed, namespace=names).ok
