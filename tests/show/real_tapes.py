"""Hand-made tapes, and shots of rings that really run: what the tests of `show/real_*` look at."""

from __future__ import annotations

from virtlab import machine
from virtlab.guest.virtqueue import Tables
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.hosts.tape_moments import ChainNote, Counts, Moment, Said
from virtlab.hosts.tape_shot import shot_of
from virtlab.virtio.blk_layouts import REQUEST, BlkType
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import SplitRings, packer
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PackedRings
from virtlab.virtio.split import SplitQueue
from virtlab.virtio.vhost_user.statistics import Event

US = 1000

V = Feature.VERSION_1
PLAIN = frozenset({V})
TABLES = frozenset({V, Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX})


def event(us, kind, heads=(), lengths=None, ring=0, device="disk", note=""):
    lengths = [0] * len(heads) if lengths is None else lengths
    return Moment(us * US, "event", device, Event(kind, ring, list(heads), list(lengths), note))


def request(us, head, kind=BlkType.OUT, sector=8, length=4096, status=0, device="disk"):
    head_bytes = packer(REQUEST).pack(kind, 0, sector)
    write = kind == BlkType.IN
    pieces = ((16, False), *([(length, write)] if length else []), (1, True))
    data = head_bytes + (b"" if write else bytes(length))
    return Moment(us * US, "chain", device, ChainNote(0, head, pieces, data, 1, status, 0))


def printed(us, text):
    return Moment(us * US, "console", "", text.encode())


def said(us, name, counts=None):
    return Moment(us * US, "said", "", Said(name, f"run {name}", 0, "", 0, counts or Counts()))


STORY = [
    event(0, "start", note="8 entries"),
    event(10, "kick"),
    event(22, "pop", [3], [4113]),
    request(40, 3),
    event(90, "push", [3], [1]),
    event(93, "call"),
    said(95, "one"),
    event(100, "kick"),
    event(110, "pop", [1, 3], [529, 17]),
    event(150, "push", [3], [1]),
    event(160, "push", [1], [513]),
    event(170, "quiet"),
    event(200, "pop", [1], [17]),
    said(210, "two"),
]
"""A chain alone, then a batch of two that come back the other way round, then one that stays."""


class Ring:
    """A driver and a queue of ours on one ring: `shot` is what it is now."""

    def __init__(self, packed=False, size=8, features=PLAIN):
        board = machine.lesson_pc()
        self.ram = board.ram
        kind = PackedRings if packed else SplitRings
        rings = kind.placed(0x8000, size)
        features = features | ({Feature.RING_PACKED} if packed else set())
        tables = Tables(0x1_0000, 8) if Feature.RING_INDIRECT_DESC in features else None
        driver, queue = (PackedDriver, PackedQueue) if packed else (SplitDriver, SplitQueue)
        self.driver = driver(board.cpu, rings, features, tables=tables)
        self.queue = queue(board.ram)
        self.queue.enable(rings, features)

    def add(self, kind=BlkType.IN, sector=8, length=512, kick=True):
        self.ram.write(0x2_0000, packer(REQUEST).pack(kind, 0, sector))
        data = [(0x2_1000, length)] if length else []
        out = [(0x2_0000, 16), *(data if kind == BlkType.OUT else [])]
        back = [*(data if kind == BlkType.IN else []), (0x2_0010, 1)]
        self.driver.add_buf(out, back, f"{sector}")
        if kick:
            self.driver.kick()

    @property
    def shot(self):
        return shot_of(self.queue)
