"""Hidden cases of problem set 5: larger queues, longer requests, feature bits that nobody offered.

See `ps01.py` for the rules of such a file.
"""

from virtlab.course.ps5.block_machine import Backend
from virtlab.course.ps5.block_request import Request, placed
from virtlab.course.ps5.block_runs import GET_ID, IN, OUT, _span
from virtlab.course.ps5.entropy_bench import Bench, Plan
from virtlab.course.ps5.negotiations import Negotiation, SetUp
from virtlab.course.ps5.random_requests import LOOK_OWN, Requests
from virtlab.course.ps5.receive_device import Receiving
from virtlab.course.ps5.receive_driver import Receipts
from virtlab.course.ps5.register_twins import LOOK_OTHER, Pair
from virtlab.course.ps5.registers import _disturbed, _fill, _r, _w
from virtlab.course.ps5.virtio_random import LOOK_ROUNDS, _exit
from virtlab.course.tasks import Case, first
from virtlab.virtio.blk_layouts import SECTOR

# -- 1. eight steps

BETWEEN = (28, 29)
"""Bits of the queues: between those of device types, and no visible device offers them."""


def bits_between(answer, rng):
    """Features with numbers that no visible device has."""
    base = 0x1000 * rng.randrange(0x100, 0x1_0000)
    found = Negotiation((*BETWEEN, 2, 51), (*BETWEEN, 2)).run(answer, base)
    needs = {28: 1 << 29, 29: 1 << 41}
    return found or Negotiation((*BETWEEN, 2), (*BETWEEN, 2), needs).run(answer, base + 0x200)


def long_chain(answer, rng):
    """Ten features, each of which needs the next; the last is missing."""
    bits = rng.sample(range(24), 10)
    needs = {bit: 1 << other for bit, other in zip(bits, bits[1:], strict=False)}
    offered = tuple(bits[:-1]) + (60,)
    return Negotiation(offered, tuple(bits) + (60,), needs).run(answer, 0xFEB0_0000)


def large_queues(answer, rng):
    """Queues of thousands, and eight of them."""
    places = [
        (1 << rng.randrange(9, 16), (at + 1) << 40, (at + 1) << 41, (at + 1) << 42)
        for at in range(8)
    ]
    found = SetUp((32768,) * 8, tuple(places)).run(answer, 0xFEB0_0000)
    return found or SetUp((1024, 512), ((1024, *places[0][1:]), (1024, *places[1][1:]))).run(
        answer, 0x1_0000_0200
    )


# -- 2. the entropy device


def many_buffers(answer, rng):
    """Forty buffers in a queue of sixty-four; then a queue of one."""
    bench = Bench(answer, rng, 40, 100, Plan(), 64)
    if found := bench.read(4000, tidy=False) or bench.read(3999) or bench.read(5000):
        return found
    return Bench(answer, rng, 40, 100, Plan(), 1).read(250)


def patience(answer, rng):
    """Twenty interrupts for nothing before each answer, and answers of a byte or two."""
    plan = Plan(
        lambda number, room: min(room, 1 + number % 2),
        at_once=False,
        group=1,
        early=20,
        told="interrupts twenty times for nothing, and writes a byte or two",
    )
    return Bench(answer, rng, 3, 16, plan).read(15)


# -- 3. registers


def far_behind(answer, rng):
    """Offsets far behind the registers, whose low bits look like one of them."""
    far = (0x14, 0x24, 0x104, 0x1_0004, 1 << 32 | 4, 0x10, 0x100, 1 << 40)
    found = _disturbed(*(one for at in far for one in (_r(at), _w(6, at))))(answer, rng)
    return found._replace(look=LOOK_OTHER) if found else None


def long_fill(answer, rng):
    """Kilobytes, and all lengths round a number's end."""
    return first(_fill(answer, rng, rng.getrandbits(32), n) for n in (2049, 2, 3, 5, 7, 1023))


def many_devices(answer, rng):
    """Five devices in use in turn."""
    pairs = [Pair(answer) for _ in range(5)]
    steps = [_w(rng.getrandbits(32)) if rng.random() < 0.3 else _r() for _ in range(40)]
    found = first(rng.choice(pairs).step(step) for step in steps)
    return found._replace(look=LOOK_OWN) if found else None


# -- 4. the virtio device


def many_pieces(answer, rng):
    """A request of sixty buffers; lengths round 4096; all over PCI, with a packed ring."""
    guest = Requests(answer, rng.getrandbits(32), "pci", packed=True)
    lengths = tuple(rng.randrange(1, 9) for _ in range(60))
    chains = (lengths, (4095,), (4097,), (1,), (4090, 5, 1, 1))
    return first(guest.ask([one]) for one in chains)


def seeds_and_resets(answer, rng):
    """Seeds written, resets, and requests, fifteen times over."""
    first_seed = rng.getrandbits(32)
    guest = Requests(answer, first_seed)
    for number in range(15):
        found = guest.seed(rng.getrandbits(32)) if number % 3 else guest.reset()
        if found := found or guest.config() or guest.ask([(3,), (5,)]):
            return found
    return None


def enormous_amounts(answer, rng):
    """Amounts that no floating-point number holds."""
    sizes = [(1 << at) + by for at in (53, 60, 90) for by in (0, 1, 3, 4)]
    asked = [(n, 4096, 1 + n % 64, polling) for n in sizes for polling in (True, False)]
    return first(_exit(answer, *one, LOOK_ROUNDS) for one in asked)


# -- 5. a disk


def long_requests(answer, rng):
    """Forty sectors at once, to and from a disk of three hundred."""
    backend = Backend(answer, 300)
    data = rng.randbytes(40 * SECTOR)
    requests = (
        Request(OUT, 257, data, cut_out=(16, 9000)),
        Request(IN, 250, room=50 * SECTOR, cut_in=(1, 20_000)),
        Request(IN, 299, room=SECTOR),
        Request(IN, 261, room=40 * SECTOR),
    )
    return first(backend.ask(one) for one in requests)


def last_byte(answer, rng):
    """The status in a buffer of its own, and the name cut everywhere."""
    backend = Backend(answer, 8, name=b"a name of twenty byt")
    cuts = [Request(GET_ID, room=20, cut_in=(at, at + 1)) for at in range(20)]
    return first(backend.ask(one) for one in cuts)


def spans_between(answer, rng):
    """Buffers of both kinds, one kind between the other's, as `spans` may be given them."""
    buffers = placed([(1 + rng.randrange(30), at % 3 == 1) for at in range(40)])
    asked = [(rng.random() < 0.5, rng.randrange(200), rng.randrange(400)) for _ in range(40)]
    return first(_span(answer, buffers, *one) for one in asked)


# -- 6. receive


def hundreds(answer, rng):
    """A frame in more than 256 small buffers: `num_buffers` needs its second byte."""
    queue = Receiving(answer, True, 512)
    queue.add(*[40] * 262, 128)
    frame = rng.randbytes(40 * 258)
    if found := queue.deliver(frame) or queue.deliver(frame[:90]):
        return found
    receipts = Receipts(answer)
    receipts.packet(frame[:5180], *[20] * 260)
    receipts.packet(frame[:9], 64)
    return receipts.receive() or receipts.receive() or receipts.receive()


def jumbo(answer, rng):
    """Frames of nine thousand bytes, with and without merging; and empty ones."""
    queue = Receiving(answer, True, 8)
    queue.add(4096, [(2000, True), (96, False), (2096, True)], 1526, 64)
    if found := queue.deliver(rng.randbytes(9000)) or queue.deliver(b""):
        return found
    single = Receiving(answer, False, 8)
    single.add(9012, 12)
    return single.deliver(rng.randbytes(9000)) or single.deliver(b"")


HIDDEN = {
    "ps5.q1": (
        Case("features between the others", bits_between),
        Case("a long chain of needs", long_chain),
        Case("large queues", large_queues),
    ),
    "ps5.q2": (
        Case("many buffers", many_buffers),
        Case("patience", patience),
    ),
    "ps5.q3": (
        Case("far behind the registers", far_behind),
        Case("a long fill", long_fill),
        Case("many devices", many_devices),
    ),
    "ps5.q4": (
        Case("many pieces", many_pieces),
        Case("seeds and resets", seeds_and_resets),
        Case("enormous amounts", enormous_amounts),
    ),
    "ps5.q5": (
        Case("long requests", long_requests),
        Case("a name in any pieces", last_byte),
        Case("both kinds mixed", spans_between),
    ),
    "ps5.q6": (
        Case("hundreds of buffers", hundreds),
        Case("long frames, and empty ones", jumbo),
    ),
}
