"""What a driver asks the device of task 4 of problem set 5, and what must come back.

    ask       chains of buffers, one kick     the bytes, the used length, nothing beside them
    seed      the configuration is written    the numbers begin anew
    reset     and the eight steps once more   everything as at power-on
    readable  what no driver may place        DEVICE_NEEDS_RESET, and nothing written

The idea: a twin knows the state, and each request tells it how many numbers are used. What the
device has written is looked for in memory, with the bytes around it.

Source: virtio 1.3 2.5, 2.7.8.2, 5.4.6.1, 5.4.6.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.course.answers import Answer
from virtlab.course.given.random_numbers import numbers, stream
from virtlab.course.ps3.machines import PATTERN
from virtlab.course.ps5.carried import DATA, Kind, Machine
from virtlab.course.tasks import Difference, compare, returned, same, shown
from virtlab.guest.virtio_rng import RngDriver
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.guest.virtqueue import Piece
from virtlab.virtio.status import Status

MOST = 4096
"""Bytes that a request gets."""
GAP = 8
"""Bytes between two buffers, which nobody writes."""
ROOM = 0x1F000
"""Bytes that the buffers of one kick have."""
LONG = 0x4000
"""Buffers of so many bytes lie over each other."""

LOOK_ID = "device_id 4, and one queue of at most 64 entries"
LOOK_CONFIG = "config: the seed that the numbers began from, 4 bytes, little-endian"
LOOK_BYTES = "each request begins with a new number, and goes on where the one before ended"
LOOK_SEED = "a new seed: the numbers begin anew; 0 counts as 1"
LOOK_PIECE = "less than 4 bytes changes nothing (False)"
LOOK_RESET = "a reset: the seed of __init__ again, whatever was written (virtio 1.3 2.4)"
LOOK_WRITTEN = "push(chain, written): the bytes that chain.write gave (virtio 1.3 2.7.8.2)"
LOOK_PUSH = "each chain that was taken is pushed back"
LOOK_LONG = "a request gets at most 4096 bytes (virtio 1.3 5.4.6.2 allows it)"
LOOK_AROUND = "only the chain's own buffers are written"
LOOK_READABLE = "GuestError for a chain with something to read (virtio 1.3 5.4.6.1)"
LOOK_GOOD = "the chains before it are answered; this one ends it"
LOOK_OWN = "each device has a state and a seed of its own"

Lengths = tuple[int, ...]


class Requests:
    """A guest with the student's device, and a twin of the device."""

    def __init__(
        self,
        answer: Answer,
        seed: int,
        kind: Kind = "mmio",
        packed: bool = False,
        started: bool = True,
    ) -> None:
        self.answer = answer
        self.first = seed
        self.said = [f"VirtioRandom({seed:#x}) over {'a packed ring, ' * packed}{kind}"]
        self._tell("")
        self.machine = Machine(answer, seed, kind, packed)
        self._begin(seed)
        self.look = LOOK_BYTES
        if started:
            self.machine.start()

    def _begin(self, seed: int) -> None:
        self.shown_seed, self.state = seed, seed or 1

    def _take(self, length: int) -> bytes:
        """The bytes of one request."""
        data = stream(self.state, length)
        self.state = numbers(self.state, -(-length // 4))[-1]
        return data

    def _tell(self, step: str) -> None:
        self.said += [step] if step else []
        cut = ["..."] if len(self.said) > 7 else []
        self.answer.given = "; ".join([self.said[0], *cut, *self.said[1:][-6:]])

    # -- requests

    def ask(self, chains: Sequence[Lengths]) -> Difference | None:
        """Chains of buffers with these lengths, all in one kick."""
        self._tell(f"a kick with {_chains(chains)}")
        machine = self.machine
        machine.ram.bytes[DATA:] = PATTERN
        placed = self._place(chains)
        for number, pieces in enumerate(placed):
            machine.queue.add_buf([], pieces, number)
        machine.queue.kick()
        if machine.driver.needs_reset:
            return Difference("the requests are answered", "GuestError", LOOK_BYTES)
        found = [self._came(number, pieces) for number, pieces in enumerate(placed)]
        return next((one for one in found if one), None) or self._around(placed)

    def _place(self, chains: Sequence[Lengths]) -> list[list[Piece]]:
        """Where the buffers lie; long ones all in one place."""
        at, placed = DATA, []
        for lengths in chains:
            pieces = []
            for length in lengths:
                pieces.append((at, length))
                at += length + GAP if length < LONG else 0
            placed.append(pieces)
        return placed

    def _came(self, number: int, pieces: list[Piece]) -> Difference | None:
        """The next chain that comes back."""
        used = self.machine.queue.get_buf()
        if used is None:
            return Difference(f"request {number} comes back", "it does not", LOOK_PUSH)
        room = sum(length for _, length in pieces)
        right = self._take(min(room, MOST))
        if used.token != number or used.written != len(right):
            said = f"request {used.token} with {used.written} bytes written"
            look = LOOK_LONG if room > MOST else LOOK_WRITTEN
            return Difference(f"request {number} with {len(right)} bytes written", said, look)
        return _same_bytes(right, self._found(pieces, len(right)), self.look)

    def _found(self, pieces: list[Piece], length: int) -> bytes:
        """What stands in the first `length` bytes of the buffers."""
        data = b""
        for gpa, size in pieces:
            data += self.machine.ram.read(gpa, min(size, length - len(data)))
        return data

    def _around(self, placed: list[list[Piece]]) -> Difference | None:
        """Whether anything between or behind the buffers was written."""
        for gpa, length in (piece for pieces in placed for piece in pieces):
            behind = self.machine.ram.read(gpa + length, GAP)
            if length < LONG and behind != bytes([PATTERN]) * GAP:
                return Difference("nothing behind a buffer", f"a byte behind {gpa:#x}", LOOK_AROUND)
        return None

    # -- configuration and reset

    def config(self) -> Difference | None:
        """The driver reads the configuration, whole and in pieces."""
        self._tell("the driver reads the seed")
        transport, right = self.machine.transport, self.shown_seed
        got = [
            transport.config_read(0, 4),
            transport.config_read(1, 1),
            transport.config_read(2, 2),
        ]
        return compare([right, right >> 8 & 0xFF, right >> 16], got, self.config_look)

    @property
    def config_look(self) -> str:
        """What the configuration shows now."""
        return LOOK_CONFIG if self.look == LOOK_BYTES else self.look

    def seed(self, seed: int) -> Difference | None:
        """The driver writes another seed."""
        self._tell(f"the driver writes the seed {seed:#x}")
        self.machine.transport.config_write(0, 4, seed)
        self._begin(seed)
        self.look = LOOK_SEED
        return self._said(True, LOOK_SEED)

    def piece(self, offset: int, size: int, value: int) -> Difference | None:
        """The driver writes a part of it."""
        self._tell(f"it writes {size} bytes at offset {offset}")
        self.machine.transport.config_write(offset, size, value)
        self.look = LOOK_PIECE
        return self._said(False, LOOK_PIECE)

    def _said(self, right: bool, look: str) -> Difference | None:
        said = self.machine.device.said
        yours = said[-1] if said else "not asked"
        if same(right, yours):
            return None
        told = returned(yours)
        return Difference(f"write_config gives {right}", told, look)

    def reset(self) -> Difference | None:
        """The driver resets the device, and takes it over again."""
        self._tell("a reset")
        self.machine.driver.reset()
        self._begin(self.first)
        self.look = LOOK_RESET
        self.machine.start()
        return None

    # -- what no driver may do

    def readable(self, before: Sequence[Lengths]) -> Difference | None:
        """A chain with something to read, behind good ones, all in one kick."""
        good = f"{_chains(before)}, and " if before else ""
        self._tell(f"a kick with {good}a chain to read and write")
        machine = self.machine
        machine.ram.bytes[DATA:] = PATTERN
        placed = self._place(before)
        for number, pieces in enumerate(placed):
            machine.queue.add_buf([], pieces, number)
        bad = DATA + ROOM
        machine.queue.add_buf([(bad, 8)], [(bad + 16, 8)], "bad")
        machine.queue.kick()
        if not machine.driver.transport.status() & Status.DEVICE_NEEDS_RESET:
            return Difference("GuestError, and DEVICE_NEEDS_RESET", "nothing of it", LOOK_READABLE)
        if machine.ram.read(bad, 24) != bytes([PATTERN]) * 24:
            return Difference("nothing is written there", "something is", LOOK_READABLE)
        found = [self._came(number, pieces) for number, pieces in enumerate(placed)]
        if one := next((one for one in found if one), None):
            return one._replace(look=LOOK_GOOD)
        more = machine.queue.get_buf()
        return Difference("it is not pushed", shown(more), LOOK_READABLE) if more else None

    def flood(self) -> Difference | None:
        """The guest adds a request whenever one is answered: each handle ends all the same."""
        self._tell("the guest adds a request whenever one is answered")
        machine = self.machine
        machine.queue.add_buf([], [(DATA, 4)], "first")
        machine.never_stop()
        machine.queue.kick()
        return None

    # -- the library's driver

    def driven(self, n: int) -> Difference | None:
        """The entropy driver of the library reads `n` bytes."""
        self._tell(f"the library's driver reads {n} bytes")
        machine = self.machine
        driver = RngDriver(
            machine.cpu, machine.transport, machine.room, understood=machine.features, slots=4
        )
        try:
            driver.start()
            yours = driver.read(n)
        except VirtioFailed as failed:
            return Difference(f"{n} bytes", str(failed), LOOK_PUSH)
        right = b"".join(self._take(min(driver.chunk, n - at)) for at in range(0, n, driver.chunk))
        return _same_bytes(right, yours, LOOK_BYTES)


def _same_bytes(right: bytes, yours: bytes, look: str) -> Difference | None:
    """None if they are equal; else what stands where the first differs."""
    if right == yours:
        return None
    at = next((n for n, pair in enumerate(zip(right, yours, strict=False)) if len({*pair}) > 1), 0)
    begin = max(0, at - at % 4)
    where = f", from byte {begin} on" if begin else ""
    one, other = (f"{data[begin : begin + 12].hex(' ')}{where}" for data in (right, yours))
    return Difference(one, other, look)


def _chains(chains: Sequence[Lengths]) -> str:
    texts = [
        " + ".join(map(str, lengths[:4])) + " + ..." * (len(lengths) > 4) for lengths in chains
    ]
    return ", ".join(f"{text} bytes" for text in texts[:4]) + " ..." * (len(texts) > 4)
