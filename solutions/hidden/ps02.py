"""Hidden cases of problem set 2: other places, sizes and depths than those of the visible ones.

A card stands elsewhere than at 00:04.0, a buffer elsewhere than at 128 KiB, a tree is deeper than
any that grows at random, a tag is larger than 9. See `ps01.py` for the rules of such a file.
"""

from itertools import product

from virtlab.course.ps2.addresses import _ask
from virtlab.course.ps2.boards import Board, Card
from virtlab.course.ps2.diagnosing import _diagnose
from virtlab.course.ps2.disk import _Read, check_table
from virtlab.course.ps2.faults import BARS, Access, Faulty
from virtlab.course.ps2.machines import DOORBELL_TIME, HIGH_RAM
from virtlab.course.ps2.packets import LOOK_ID, LOOK_LAST, _match
from virtlab.course.ps2.scanning import _below, _scan
from virtlab.course.ps2.sizing import _Sized
from virtlab.course.ps2.traffic import Traffic, random_traffic
from virtlab.course.ps2.transmit import _Sender, any_frame
from virtlab.course.tasks import Case, first
from virtlab.guest.pci import Place
from virtlab.pci.bridge import PciBridge

# -- 1. addresses


def corners(answer, rng):
    """Each coordinate at its least and its most, in every combination."""
    places = [Place(*place) for place in product((0, 0xFF), (0, 31), (0, 7))]
    found = _ask(answer, "word", list(product(places, (0, 1, 0xFE, 0xFF))))
    return found or _ask(answer, "ecam", list(product(places, (0, 0xFF, 0x100, 0xFFF))))


def whole_bus(answer, rng):
    """Every function of one bus."""
    bus = rng.randrange(256)
    places = [Place(bus, *rest) for rest in product(range(32), range(8))]
    asked = [(place, 4 * rng.randrange(64) + 3) for place in places]
    return _ask(answer, "word", asked) or _ask(answer, "ecam", asked)


# -- 2. the size of a BAR


def elsewhere(answer, rng):
    """The same card in other slots."""
    bars = {2: ("memory", 1 << 16, 32, True), 3: ("port", 16, 32, False)}
    for device in rng.sample(range(5, 32), 3):
        done = _Sized(answer, bars, rng.choice((2, 3)), 7, Place(0, device, 0))
        if found := done.check_size() or done.check_kept() or done.check_quiet():
            return found
    return None


def huge(answer, rng):
    """Memory of more than the 8 GiB that the visible cards have at most."""
    sizes = (1 << 36, 1 << 40, 1 << 32)
    return first(
        _Sized(answer, {4: ("memory", size, 64, True)}, 4).check_size() for size in sizes
    ) or (_Sized(answer, {0: ("memory", 1 << 30, 32, False)}, 0).check_size())


# -- 3. the scan


class Foreign(Card):
    """A card of another vendor."""

    def __init__(self, vendor, device):
        super().__init__(device)
        self.header.values.update(VENDOR_ID=vendor, DEVICE_ID=device)


def foreign(answer, rng):
    """Cards of several vendors, one of which has the highest number that a vendor can have."""
    board = Board()
    for slot, vendor in enumerate((0x8086, 0xFFFE, 1, rng.randrange(2, 0x8000)), 7):
        board.bus.plug(Foreign(vendor, rng.getrandbits(16)), slot)
    return _scan(answer, board)


def deep(answer, rng):
    """Eighteen bridges in a row, with a card beside each."""
    board, bridge = Board(), _below(Card(1))
    for number in range(17):
        bridge = _below(Card(2 + number), bridge)
    board.bus.plug(bridge, 1)
    board.bus.plug(_below(Card(99)), 30)
    return _scan(answer, board)


# -- 4. the fault


def on_bus_0(answer, rng):
    """A card with no bridge above it: the path is the card."""
    for kind in ("memory", "port", "dma", "config"):
        board, card = Board(), Card(1, BARS)
        board.bus.plug(card, rng.randrange(3, 31))
        faulty = Faulty(board, [card])
        access = faulty.access(kind, rng)
        verdict = None if kind == "config" else faulty.plant(access, 0, "command")
        if found := _diagnose(answer, faulty, access, verdict):
            return found
    return None


def long_path(answer, rng):
    """Five bridges in a row; another one is wrong each time."""
    for at, kind in (0, "memory"), (2, "port"), (3, "config"), (4, "dma"):
        board, card = Board(), Card(1, BARS)
        path = [PciBridge() for _ in range(5)]
        bus = board.bus
        for bridge in path:
            bus.plug(bridge, rng.randrange(1, 32))
            bus = bridge.below
        bus.plug(card, rng.randrange(32))
        faulty = Faulty(board, [*path, card])
        access = faulty.access(kind, rng)
        word = "bus numbers" if kind == "config" else "window"
        if found := _diagnose(answer, faulty, access, faulty.plant(access, at, word)):
            return found
    return None


def other_units(answer, rng):
    """An access outside the prefetchable window, whose address has other upper bits alone."""
    faulty = Faulty.chain()
    start, _ = faulty.bar(2)
    away = Access("memory", start ^ 1 << 40)
    path = [(place.bus, place.device, place.number) for place in faulty.places]
    return _diagnose(answer, faulty, away, (path[0], "window"))


# -- 5. who answers


def near_names(answer, rng):
    """Requesters and tags that lie side by side, all waiting at once."""
    traffic = Traffic()
    names = [(0x0100 + i, tag) for i in range(8) for tag in range(4)]
    asked = [traffic.ask("MRd", *name) for name in names]
    rng.shuffle(asked)
    for entry in asked:
        traffic.answer(entry, "CplD", 4)
    return _match(answer, traffic, LOOK_ID)


def large_tags(answer, rng):
    """Tags of ten bits, and requesters of a full bus."""
    traffic = Traffic()
    names = [(requester, tag) for requester in (0xFFF8, 0xFF00) for tag in (0xFF, 0x100, 0x3FF)]
    asked = [traffic.ask("MRd", *name, 4096) for name in names]
    for left in range(4096, 0, -256):
        for entry in asked:
            traffic.answer(entry, "CplD", 256, left)
    return _match(answer, traffic, LOOK_LAST)


def long_traffic(answer, rng):
    """Two thousand steps: what is complete must be forgotten."""
    return _match(answer, random_traffic(rng, 2000), LOOK_LAST)


# -- 6. the disk


def slow_disk(answer, rng):
    """A disk that needs half a millisecond: fifty times what the visible ones need."""
    board = _Read(answer)
    board.machine.drive.latency = 500_000
    return board.read(rng.randrange(1 << 28), [(0x30000, 1024)])


def many_pieces(answer, rng):
    """A table of two hundred regions."""
    pieces = [(0x2_0000 + 0x1000 * i, 2 * (1 + i % 8)) for i in range(200)]
    total = sum(length for _, length in pieces)
    pieces.append((0x1_0000, -total % 512 or 512))
    return check_table(answer, pieces) or _Read(answer).read(0x2000, pieces)


def last_sector(answer, rng):
    """The last sector of a disk that could not be larger, far above 4 GiB of memory."""
    return _Read(answer).read((1 << 28) - 1, [(0xF_FE00, 512)])


# -- 7. the card


def other_buffer(answer, rng):
    """The buffer is elsewhere, once even above 4 GiB."""
    for buffer in (0x7_0000, HIGH_RAM[0] + 0x8000):
        sender = _Sender(answer)
        sender.buffer = buffer
        frames = [any_frame(rng, rng.randrange(60, 400)) for _ in range(3)]
        if found := sender.open() or sender.send(frames):
            return found
    return None


def large_ring(answer, rng):
    """A ring of 40 descriptors, all the way round."""
    sender = _Sender(answer, count=40, delay=DOORBELL_TIME)
    return sender.open() or sender.send([any_frame(rng) for _ in range(42)])


HIDDEN = {
    "ps2.q1": (
        Case("the corners", corners),
        Case("all of a bus", whole_bus),
    ),
    "ps2.q2": (
        Case("another slot", elsewhere),
        Case("huge cards", huge),
    ),
    "ps2.q3": (
        Case("other vendors", foreign),
        Case("a deep tree", deep),
    ),
    "ps2.q4": (
        Case("no bridge on the path", on_bus_0),
        Case("a long path", long_path),
        Case("far above the window", other_units),
    ),
    "ps2.q5": (
        Case("names side by side", near_names),
        Case("large tags", large_tags),
        Case("long traffic", long_traffic),
    ),
    "ps2.q6": (
        Case("a slow disk", slow_disk),
        Case("many pieces", many_pieces),
        Case("the last sector", last_sector),
    ),
    "ps2.q7": (
        Case("another buffer", other_buffer),
        Case("a large ring", large_ring),
    ),
}
