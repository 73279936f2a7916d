"""Task 4 of problem set 5: the random source as a virtio device. The judge is a driver.

The device is carried by the library's transports and driven through its rings. What must come back
is said by a twin of three lines. The last cases ask how many exits it costs; a test holds their
formulas to a virtual machine that counts.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import all_of, first
from virtlab.course.ps5.carried import KINDS, Kind
from virtlab.course.ps5.random_requests import LOOK_CONFIG, LOOK_ID, LOOK_OWN, Requests
from virtlab.course.tasks import Case, Difference, Run, Task, compare, cut

LOOK_EXITS = "the registers: one for SEED, one for each number; virtio: one for each kick"
LOOK_ROUNDS = "a round is `slots` buffers of `chunk` bytes; the last may be shorter"
LOOK_INTERRUPT = "with an interrupt a round is a kick, a read of its cause, and a write"


def exits_of(n: int, chunk: int, slots: int, polling: bool) -> tuple[int, int]:
    """Exits for `n` bytes: of the registers of task 3, and of virtio-mmio."""
    rounds = -(-n // (chunk * slots))
    return 1 + -(-n // 4), rounds if polling else 3 * rounds


def _asks(*requests: tuple[int, ...], seed: int = 1, kind: Kind = "mmio") -> Run:
    """Requests one after the other; each is a chain of buffers of these lengths."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        guest = Requests(answer, seed, kind)
        return first(guest.ask([lengths]) for lengths in requests)

    return run


def _together(*requests: tuple[int, ...]) -> Run:
    """The same requests with one kick."""
    return lambda answer, rng: Requests(answer, 3).ask(list(requests))


def _is(seed: int) -> Run:
    """What the device says of itself before anybody has driven it."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        answer.given = f"VirtioRandom({seed:#x})"
        device_id, sizes, config = Requests(answer, seed, started=False).machine.device.mine
        return (
            compare(4, int(device_id) if isinstance(device_id, int) else device_id, LOOK_ID)
            or compare((64,), sizes, LOOK_ID)
            or compare(seed.to_bytes(4, "little"), config, LOOK_CONFIG)
        )

    return run


def _seeds(*seeds: int, first_seed: int = 7) -> Run:
    """The driver writes seeds, and asks after each."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        guest = Requests(answer, first_seed)
        steps = (guest.ask([(8,)]), guest.config())
        return first(steps) or first(
            guest.seed(seed) or guest.config() or guest.ask([(12,)]) or guest.ask([(4,)])
            for seed in seeds
        )

    return run


def _pieces(answer: Answer, rng: Random) -> Difference | None:
    guest = Requests(answer, 0x11223344)
    pieces = ((0, 1), (0, 2), (2, 2), (3, 1), (1, 2))
    found = first(guest.piece(offset, size, 0xA5A5) or guest.ask([(4,)]) for offset, size in pieces)
    return found or guest.config()


def _resets(answer: Answer, rng: Random) -> Difference | None:
    guest = Requests(answer, 0x1234)
    return guest.ask([(20,)]) or guest.reset() or guest.config() or guest.ask([(8,)])


def _resets_seed(answer: Answer, rng: Random) -> Difference | None:
    guest = Requests(answer, 0x1234)
    found = guest.ask([(20,)]) or guest.seed(99) or guest.ask([(4,)]) or guest.reset()
    return found or guest.config() or guest.ask([(8,)])


def _hostile(*before: tuple[int, ...]) -> Run:
    """A chain with something to read, behind good ones; then a reset, and life goes on."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        guest = Requests(answer, 5)
        return guest.readable(list(before)) or guest.reset() or guest.ask([(16,)])

    return run


def _never_stops(answer: Answer, rng: Random) -> Difference | None:
    return Requests(answer, 5).flood()


def _two_devices(answer: Answer, rng: Random) -> Difference | None:
    one, other = Requests(answer, 5), Requests(answer, 6)
    found = one.ask([(8,)]) or other.ask([(8,)]) or other.seed(9) or one.ask([(8,)])
    found = found or one.reset() or other.ask([(8,)]) or one.ask([(8,)])
    return found._replace(look=LOOK_OWN) if found else None


def _driven(packed: bool) -> Run:
    """By the library's entropy driver, over both transports."""

    def one(answer: Answer, kind: Kind, n: int) -> Difference | None:
        return Requests(answer, 0xCAFE, kind, packed, started=False).driven(n)

    return lambda answer, rng: first(one(answer, kind, n) for kind in KINDS for n in (10, 1000))


def _any_step(guest: Requests, rng: Random) -> Difference | None:
    match rng.randrange(9):
        case 0:
            return guest.seed(rng.getrandbits(rng.choice((1, 32))))
        case 1:
            return guest.config()
        case 2:
            return guest.reset()
    buffers = [rng.randrange(1, 60) for _ in range(12)]
    cuts = sorted(rng.sample(range(1, 12), rng.randrange(1, 4)))
    chains = [tuple(buffers[a:b]) for a, b in pairwise([0, *cuts])]
    return guest.ask(chains)


def _any_requests(answer: Answer, rng: Random) -> Difference | None:
    for kind in KINDS:
        guest = Requests(answer, rng.getrandbits(32), kind, packed=rng.random() < 0.5)
        if found := first(_any_step(guest, rng) for _ in range(14)):
            return found
    return None


def _exits(*asked: tuple[int, int, int, bool], look: str = LOOK_EXITS) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        return first(_exit(answer, *one, look) for one in asked)

    return run


def _exit(
    answer: Answer, n: int, chunk: int, slots: int, polling: bool, look: str
) -> Difference | None:
    answer.given = f"exits_for({n}, {chunk}, {slots}, {polling})"
    right = exits_of(n, chunk, slots, polling)
    yours = answer.call("exits_for", n, chunk, slots, polling)
    if type(yours) is tuple and [type(count) for count in yours] == [int, int] and yours != right:
        return Difference(cut(f"{right}"), cut(f"{yours}"), look)  # counts are decimal
    return compare(right, yours, look)


def _any_exits(answer: Answer, rng: Random) -> Difference | None:
    asked = [
        (rng.randrange(100_000), rng.randrange(1, 4097), rng.randrange(1, 65), rng.random() < 0.5)
        for _ in range(40)
    ]
    return first(_exit(answer, *one, LOOK_ROUNDS) for one in asked)


VIRTIO_RANDOM = Task(
    "ps5.q4",
    "the random source as a virtio device",
    ("VirtioRandom", "exits_for"),
    ("S28", "S30", "S31", "S32", "S34"),
    lines=28,
    minutes=35,
    difficulty=4,
    points=6,
    cases=(
        Case("what it is", all_of(_is(0x11223344), _is(0))),
        Case("one request", _asks((16,), seed=9)),
        Case("from the seed 0", _asks((8,), seed=0)),
        Case("6 bytes, then 8", _asks((6,), (8,), (1,), (4,))),
        Case("two buffers in a chain", _asks((4, 12), (6, 10), (1, 1, 1))),
        Case("three requests, one kick", _together((8,), (4, 6), (12,))),
        Case("the whole queue", _together(*((4,) for _ in range(64)))),
        Case("round the ring", _asks(*((4,) for _ in range(70)))),
        Case("a page", _asks((4096,), (4,))),
        Case("a long request", _asks((5000,), (4000, 4000), (4,))),
        Case("a hostile length", _asks((60_000,) * 60, (4,))),
        Case("the seed is written", _seeds(0x0403_0201, 8)),
        Case("the seed 0 is written", _seeds(0, 3)),
        Case("the same seed again", _seeds(7, 7)),
        Case("a piece of the seed", _pieces),
        Case("a reset", _resets),
        Case("a reset takes the seed back", _resets_seed),
        Case("over PCI", _asks((16,), (6,), seed=9, kind="pci")),
        Case("the library's driver", _driven(False)),
        Case("over a packed ring", _driven(True)),
        Case("something to read", _hostile()),
        Case("behind good ones", _hostile((8,), (4,))),
        Case("a guest that never stops", _never_stops),
        Case("two devices", _two_devices),
        Case("any requests", _any_requests),
        Case("exits for nothing", _exits((0, 256, 16, True), (0, 64, 1, False))),
        Case("exits for a few bytes", _exits((6, 256, 16, True), (1, 4, 1, True))),
        Case("exits for a page", _exits((4096, 256, 16, True), (4096, 64, 1, True))),
        Case("a byte more", _exits((4097, 256, 16, True), (65, 64, 1, True), look=LOOK_ROUNDS)),
        Case(
            "with interrupts",
            _exits((4096, 256, 16, False), (4096, 64, 1, False), look=LOOK_INTERRUPT),
        ),
        Case("any amount", _any_exits),
    ),
    hints=(
        "Write a method that gives the next `length` bytes, and try it alone: with seed 1 six "
        "bytes are 21 20 04 00 01 06. Then handle is a loop with two calls in it.",
        "reset and write_config do the same thing with different seeds, and __init__ needs it too. "
        "In handle: for chain in waiting(queue), ask about readable first, then make the bytes, "
        "write them, push.",
        "chain.write gives what push needs. min(chain.writable, 4096) bounds a request. In "
        "exits_for everything is rounded up: -(-a // b) is a / b rounded up, and a round holds "
        "chunk * slots bytes.",
    ),
)
