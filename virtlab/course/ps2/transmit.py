"""Task 7 of problem set 2: send through a network card. The judge is who listens to the cable.

The frames that come out count, each once and in order. Some cards here hear the doorbell late, so
that a buffer that is used again too early is seen on the cable. At the end main memory counts too:
nothing but the ring and the buffer may have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps2.machines import CARD, DOORBELL_TIME, HIGH_RAM, CardMachine
from virtlab.course.tasks import Case, Difference, Run, Task
from virtlab.devices.e1000 import E1000
from virtlab.devices.e1000.rings import DESCRIPTOR, TX_LEGACY

LOOK_OPEN = "TDBAL, TDBAH, TDLEN, TDH, TDT, then TCTL.EN (8254x SDM, 14.5)"
LOOK_DESCRIPTOR = "address, length and command, status 0; the tail last (8254x SDM, 3.3.3, 3.4)"
LOOK_DONE = "the buffer is yours again when DD, bit 0 of byte 12, is 1 (8254x SDM, 3.3.3.2)"
LOOK_TAIL = "one descriptor a frame, round the ring (8254x SDM, 3.4, 13.4.40)"
LOOK_IFCS = "the card adds the frame's checksum where IFCS asks for it (8254x SDM, 3.3.3.1)"
LOOK_TWICE = "switch the transmitter off before head and tail are set (8254x SDM, 13.4.39)"

SHORTEST = 60
"""Bytes to which the card pads a frame."""

REGISTERS = range(CARD, CARD + E1000.length)
OPENING = 7
"""Stores that open a ring. A frame takes a load of the tail, and a store of it."""

RING, BUFFER, COUNT = 0x1_0000, 0x2_0000, 8

Frames = Sequence[bytes]


class _Sender:
    """A machine with a card; `ring` has `count` descriptors, `buffer` room for a frame."""

    def __init__(self, answer: Answer, ring: int = RING, count: int = COUNT, delay: int = 0):
        self.answer = answer
        self.buffer = BUFFER
        self.machine = CardMachine(delay)
        self.ring, self.count = ring, count
        self.before = self.machine.ram.bytes.copy()
        self.sent: list[bytes] = []
        self.tail = 0
        self.told = f"the card hears a new tail after {delay} ns; " if delay else ""

    def open(self) -> Difference | None:
        """Open the ring, and look at the registers."""
        self.answer.given = f"{self.told}open_ring(cpu, {CARD:#x}, {self.ring:#x}, {self.count})"
        self.answer.call("open_ring", self.machine.cpu, CARD, self.ring, self.count)
        self.tail = 0
        card = self.machine.card
        for name, right in (
            ("TDBAL", self.ring & 0xFFFF_FFFF),
            ("TDBAH", self.ring >> 32),
            ("TDLEN", DESCRIPTOR * self.count),
            ("TDH", 0),
            ("TDT", 0),
        ):
            if card.values[name] != right:
                said = f"{name} {right:#x}", f"{name} {card.values[name]:#x}"
                return Difference(*said, LOOK_OPEN, self._last(name))
        if not E1000.TCTL.EN.get(card.TCTL) or not E1000.TCTL.PSP.get(card.TCTL):
            return Difference("TCTL EN and PSP, bits 1 and 3, are 1", f"{card.TCTL:#x}", LOOK_OPEN)
        return self._compare(LOOK_TWICE)

    def send(self, frames: Frames) -> Difference | None:
        """Send frames, one call each; look at the cable after each call, and after a while."""
        for frame in frames:
            call = f"send(cpu, {CARD:#x}, {self.ring:#x}, {self.count}, {self.buffer:#x}, frame)"
            number = len(self.sent)
            self.answer.given = f"{self.told}frame {number}, {len(frame)} bytes: {call}"
            self.sent.append(frame)
            self.tail = (self.tail + 1) % self.count
            arguments = CARD, self.ring, self.count, self.buffer, frame
            self.answer.call("send", self.machine.cpu, *arguments)
            if found := self._compare(LOOK_DESCRIPTOR) or self._moved() or self._checksum():
                return found
        self.machine.clock.advance(2 * DOORBELL_TIME)
        registers = [one for one in self.machine.cpu.accesses if one.address in REGISTERS]
        self.answer.note_cost("register accesses", len(registers), OPENING + 2 * len(frames))
        return self._compare(LOOK_DESCRIPTOR) or self._memory()

    def _compare(self, look: str) -> Difference | None:
        """The first frame that is not on the cable as it should be."""
        right = [frame.ljust(SHORTEST, b"\0") for frame in self.sent]
        came = self.machine.frames
        for number, frame in enumerate(right):
            if number >= len(came):
                said = _said(number, frame), f"{len(came)} frames came"
                return Difference(*said, LOOK_DONE, self._last("TDT"))
            if came[number] != frame:
                said = _said(number, frame), _said(number, came[number])
                return Difference(*said, look, self._last("TDT"))
        if len(came) > len(right):
            said = f"{len(right)} frames", f"one more: {_said(len(right), came[len(right)])}"
            return Difference(*said, look, self._last("TDT"))
        return None

    def _last(self, name: str) -> str:
        """The last store to a register, in words."""
        gpa = CARD + getattr(E1000, name).offset
        stores = [a for a in self.machine.cpu.accesses if a.write and a.address == gpa]
        if not stores:
            return f"nothing was stored in {name}, {gpa:#x}"
        access = stores[-1]
        return f"{name}, access {access.seq}: store {gpa:#x}/{access.size} <- {access.value:#x}"

    def _moved(self) -> Difference | None:
        """The tail moves by one descriptor for a frame."""
        tail = self.machine.card.TDT
        if tail == self.tail:
            return None
        return Difference(f"TDT {self.tail}", f"TDT {tail}", LOOK_TAIL, self._last("TDT"))

    def _checksum(self) -> Difference | None:
        """Whether the card was asked for the frame's checksum, which no cable of ours shows."""
        card = self.machine.card
        gpa = self.ring + DESCRIPTOR * ((card.TDT - 1) % self.count) + TX_LEGACY.offset
        command = self.machine.ram.load(gpa, TX_LEGACY.width)
        if TX_LEGACY.IFCS.get(command):
            return None
        return Difference("IFCS, bit 25 of the dword at 8, is 1", f"{command:#010x}", LOOK_IFCS)

    def _memory(self) -> Difference | None:
        """All but the ring and the buffer is as it was."""
        ram, expected = self.machine.ram, self.before.copy()
        for gpa, length in ((self.ring, DESCRIPTOR * self.count), (self.buffer, 2048)):
            at = ram.offset(gpa, length)
            expected[at : at + length] = ram.bytes[at : at + length]
        wrong = self.machine.changed(expected)
        if wrong is None:
            return None
        return Difference("only ring and buffer change", f"the byte at {wrong:#x}", LOOK_DESCRIPTOR)


def _said(number: int, frame: bytes) -> str:
    """A frame in words: its number, its length, its first bytes and its last."""
    return f"frame {number}, {len(frame)} bytes: {frame[:6].hex(' ')} ... {frame[-6:].hex(' ')}"


def any_frame(rng: Random, length: int = 60) -> bytes:
    """An Ethernet frame to somebody, with `length` bytes in all, none like another."""
    return b"\x52\x54\x00" + rng.randbytes(length - 3)


def _sends(*lengths: int, ring: int = RING, count: int = COUNT, delay: int = 0) -> Run:
    """Open a ring and send frames of these lengths."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        sender = _Sender(answer, ring, count, delay)
        return sender.open() or sender.send([any_frame(rng, length) for length in lengths])

    return run


def _opened_again(answer: Answer, rng: Random) -> Difference | None:
    """A driver that is started a second time: the ring is empty again, and nothing is sent."""
    sender = _Sender(answer)
    found = sender.open() or sender.send([any_frame(rng) for _ in range(11)])
    sender.told = "the ring was open before; "
    return found or sender.open() or sender.send([any_frame(rng) for _ in range(3)])


def _any_ring(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(2):
        count, delay = 8 * rng.randrange(1, 5), rng.choice((0, DOORBELL_TIME))
        ring = rng.choice((0, HIGH_RAM[0])) + 16 * rng.randrange(1, 0x800)
        sender = _Sender(answer, ring, count, delay)
        frames = [any_frame(rng, rng.randrange(14, 1515)) for _ in range(count + 5)]
        if found := sender.open() or sender.send(frames):
            return found
    return None


TRANSMIT = Task(
    "ps2.q7",
    "send through a network card",
    ("open_ring", "send"),
    ("S03", "S04"),
    lines=17,
    minutes=25,
    difficulty=4,
    points=6,
    cases=(
        Case("the registers of a ring", _sends()),
        Case("a ring above 4 GiB", _sends(ring=HIGH_RAM[0] + 0x100)),
        Case("one frame", _sends(60)),
        Case("a long frame", _sends(1514)),
        Case("a short frame", _sends(20)),
        Case("several frames", _sends(60, 200, 61), costs=True),
        Case("round the ring", _sends(*[64] * 19)),
        Case("a longer ring", _sends(*[64] * 29, count=24)),
        Case("a ring and frames above 4 GiB", _sends(60, 70, ring=HIGH_RAM[0] + 0x40)),
        Case("a card that takes its time", _sends(60, 300, 60, delay=DOORBELL_TIME)),
        Case("the second time round", _sends(*[64] * 12, delay=DOORBELL_TIME)),
        Case("opened again", _opened_again),
        Case("any ring", _any_ring),
    ),
    hints=(
        "open_ring is seven stores. For send, draw the ring with head and tail before and after "
        "one frame: which descriptor is yours, and what tells the card that it is now the card's?",
        "The tail register itself says which descriptor is free. Fill the buffer, then the whole "
        "descriptor (its old status too), and only then move the tail, modulo the ring's length. "
        "The card sets DD when it has sent the frame, if the descriptor has RS.",
        "The 16 bytes are the buffer's address in 8, a dword with the length in bits 15:0 and EOP, "
        "IFCS and RS in bits 24, 25 and 27, and a dword 0. cpu.write stores all of it at once. "
        "Poll byte 12 of the descriptor with cpu.load(gpa, 1).",
    ),
)
