"""Batches of block requests, proved equal to the same requests one by one."""

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.virtio.rig import DATA, RAM, WORLDS, Rig
from tests.virtio.test_blk import Noted
from tests.virtio.test_blk_config import Plain
from virtlab.backends.disk import Disk
from virtlab.memory import is_flat
from virtlab.virtio import blk_many
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import (
    REQUEST,
    SECTOR,
    SEGMENT,
    BlkFeature,
    BlkStatus,
    BlkType,
)
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import packer
from virtlab.virtio.split import SplitQueue

IN, OUT, FLUSH = BlkType.IN, BlkType.OUT, BlkType.FLUSH
SECTORS = 256
SLOT = 0x6000
"""Bytes of memory for each request of a test: its head, its status and its data."""


@dataclass
class Asked:
    """A request: `cuts` are the lengths of its pieces of data, `head` those of its head."""

    kind: int
    sector: int
    cuts: tuple[int, ...]
    out: bool
    head: tuple[int, ...] = (16,)
    joined: bool = False  # whether the status is the last byte of the last piece of data

    @property
    def length(self):
        return sum(self.cuts)


def image(seed=1):
    return random.Random(seed).randbytes(SECTORS * SECTOR)


def scatter(base, sizes):
    """`(gpa, bytes)` of pieces with gaps between them."""
    found = []
    for size in sizes:
        found.append((base, size))
        base += size + 16
    return found


class Narrow(Plain):
    """A disk that can do all but show its bytes as one array."""

    def __init__(self, disk):
        super().__init__(disk)
        self.discard = disk.discard


class Guest:
    """One machine; `run` shows it all requests at once, and gives all that they left."""

    def __init__(self, disk, transport="mmio", layout="split", flat=True, **how):
        self.disk = disk
        self.rig = Rig(VirtioBlk(disk if flat else Narrow(disk), "a name"), transport)
        self.queue = self.rig.start(layout, understood=set(BlkFeature), entries=16, **how)

    def run(self, requests, seed=0, slot=SLOT):
        ram, rng = self.rig.ram, random.Random(seed)
        ram.write(DATA, bytes(len(requests) * slot))
        for number, asked in enumerate(requests):
            self._place(DATA + number * slot, number, asked, ram, rng)
        self.queue.kick()
        used = []
        while found := self.queue.get_buf():
            used.append((found.token, found.written))
        memory = ram.read(DATA, len(requests) * slot)
        return used, memory, self.disk.read(0, SECTORS), self.rig.broken

    def _place(self, base, number, asked, ram, rng):
        heads, at = scatter(base, asked.head), 0
        raw = packer(REQUEST).pack(asked.kind, 0, asked.sector)
        for gpa, size in heads:
            ram.write(gpa, raw[at : at + size])
            at += size
        cuts = list(asked.cuts)
        if asked.joined and cuts and not asked.out:
            cuts[-1] += 1
        data = scatter(base + 0x400, cuts)
        status = [] if cuts != list(asked.cuts) else [(base + 0x300, 1)]
        for gpa, size in data:
            ram.write(gpa, rng.randbytes(size))
        # All statuses begin as something that no device says.
        for gpa, _ in status:
            ram.store(gpa, 1, 0xEE)
        readable, writable = (data, []) if asked.out else ([], data)
        self.queue.add_buf([*heads, *readable], [*writable, *status], number)


@pytest.fixture
def scalar_calls(monkeypatch):
    """Which requests were served alone."""
    calls = []
    real = VirtioBlk.answer

    def noting(self, chain, agreed):
        calls.append(chain.head)
        return real(self, chain, agreed)

    monkeypatch.setattr(VirtioBlk, "answer", noting)
    return calls


def both(requests, transport="mmio", layout="split", disk=None, slot=SLOT, **how):
    """The same, together and one by one: used elements, memory, disk, whether it broke."""
    make = disk or (lambda: Disk.of(image()))
    together = Guest(make(), transport, layout, **how).run(requests, slot=slot)
    alone = Guest(make(), transport, layout, flat=False, **how).run(requests, slot=slot)
    assert together == alone
    return together


def plain(kind, sector, *cuts):
    return Asked(kind, sector, cuts, kind == OUT)


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize("kind", [IN, OUT])
def test_a_batch_of_one_kind(kind, transport, layout, scalar_calls):
    requests = [plain(kind, 3 * n, 1024) for n in range(20)]
    used, memory, disk, _ = both(requests, transport, layout)
    assert used == [(n, 1025 if kind == IN else 1) for n in range(20)]
    for n in range(20):
        data = memory[n * SLOT + 0x400 :][:1024]
        assert data == (image() if kind == IN else disk)[3 * n * SECTOR :][:1024]
        assert memory[n * SLOT + 0x300] == BlkStatus.OK
    # Memory that is no array is served chain by chain.
    flat = is_flat(Rig(VirtioBlk(Disk.of(image())), transport).core.queues[0].dma)
    assert len(scalar_calls) == (20 if flat else 40), "those of the reference, and of no others"


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("without", [set(), {Feature.RING_INDIRECT_DESC}, {Feature.IN_ORDER}])
def test_both_kinds_of_many_lengths_and_pieces(layout, without, scalar_calls):
    requests = [
        plain(IN if n % 3 else OUT, 8 * n, *([512] * (n % 4) + [1024, 512 * (1 + n % 3)]))
        for n in range(20)
    ]
    both(requests, layout=layout, without=without)
    assert len(scalar_calls) == 20


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_batches_that_are_cut_as_the_one_before(layout, scalar_calls):
    """The shape of a batch is remembered; what differs from it is seen."""
    batches = [
        [plain(IN, n, 1024) for n in range(20)],
        [plain(IN, 2 * n, 1024) for n in range(20)],
        [plain(IN, SECTORS - 2 if n == 3 else n, 1024) for n in range(20)],
        [plain(IN, SECTORS - 1 if n == 3 else n, 1024) for n in range(20)],  # off the disk
        [plain(IN, (1 << 64) - 1 if n == 3 else n, 1024) for n in range(20)],
        [Asked(99 if n == 3 else IN, n, (1024,), False) for n in range(20)],
        [Asked(IN, n, (1024,), n == 3) for n in range(20)],  # nothing to write the data to
        [plain(IN, n, 512 if n == 3 else 1024) for n in range(20)],
        [plain(OUT if n == 3 else IN, 2 * n, 1024) for n in range(20)],
        [plain(OUT if n == 3 else IN, 2 * n + 20, 1024) for n in range(20)],
        [plain(OUT if n == 4 else IN, 2 * n, 1024) for n in range(20)],
        [plain(OUT, 2 * n, 1024) for n in range(20)],
        [plain(OUT, 2 * n + 7, 1024) for n in range(20)],
        [plain(OUT, n, 1024) for n in range(20)],  # they meet
        [plain(IN, n, 1024) for n in range(10)],
        [plain(IN, n, 512, 512) for n in range(10)],
    ]
    together, alone = (
        Guest(Disk.of(image()), layout=layout),
        Guest(Disk.of(image()), layout=layout, flat=False),
    )
    for seed, requests in enumerate(batches):
        assert together.run(requests, seed) == alone.run(requests, seed)
    served = sum(len(requests) for requests in batches)
    odd = 4 * 4 + 20  # four times one and the few before it, and those that meet
    assert len(scalar_calls) == served + odd


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_write_that_meets_a_read_on_the_disk_keeps_its_turn(layout):
    """Read, write, read of one sector: old, then new, whoever serves them."""
    requests = [plain(OUT if n % 2 else IN, n // 4, 512) for n in range(20)]
    both(requests, layout=layout)


def test_two_writes_of_one_sector_leave_the_later():
    both([plain(OUT, n % 3, 512) for n in range(20)])
    both([plain(OUT, n, 1024) for n in range(20)])


def test_a_long_write_meets_a_short_read_behind_its_first_sector():
    """Of other lengths and not in order on the disk, so that only the ends tell."""
    both([plain(OUT, 60 - n, 512, 1024) if n % 2 else plain(IN, 61 - n, 512) for n in range(20)])


def test_a_disk_that_is_closed_to_writes_refuses_them_from_then_on():
    left = []
    for flat in (True, False):
        disk = Disk.of(image())
        guest = Guest(disk, flat=flat)
        guest.run([plain(OUT, n, 512) for n in range(20)])
        disk.read_only = True
        left.append(guest.run([plain(OUT, n, 512) for n in range(20)], seed=1))
    assert left[0] == left[1]
    assert {left[0][1][n * SLOT + 0x300] for n in range(20)} == {BlkStatus.IOERR}


def test_many_reads_of_one_sector_are_together(scalar_calls):
    both([plain(IN, 7, 512) for n in range(20)])
    assert len(scalar_calls) == 20


def test_what_is_odd_is_served_alone_and_in_its_turn(scalar_calls):
    odd = [
        Asked(FLUSH, 0, (), False),
        Asked(BlkType.GET_ID, 0, (20,), False),
        Asked(IN, SECTORS - 1, (1024,), False),  # off the disk
        Asked(IN, (1 << 64) - 1, (512,), False),
        Asked(OUT, 0, (511,), True),
        Asked(OUT, 0, (100, 412), True),  # whole sectors, cut within
        Asked(IN, 2, (512,), True),  # a read with nothing to write but its status
        Asked(OUT, 2, (512,), False),
        Asked(99, 2, (512,), False),
        Asked(IN, 3, (512,), False, (8, 8)),
        Asked(IN, 3, (512,), False, (1,) * 16),
        Asked(IN, 3, (512,), False, (16,), joined=True),
        Asked(BlkType.WRITE_ZEROES, 0, (SEGMENT.itemsize,), True),
    ]
    requests = []
    for number, asked in enumerate(odd):
        requests += [plain(IN, 10 * number + at, 512) for at in range(6)] + [asked]
    used, *_ = both(requests, slot=0x1000)
    assert [token for token, _ in used] == list(range(len(requests)))
    assert len(scalar_calls) == len(requests) + len(odd)


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("at", [0, 3, 9, 19])
def test_a_chain_that_is_no_request_breaks_it_behind_the_others(layout, at):
    """What was asked before it is done and given back; the device then needs a reset."""
    requests = [plain(OUT, n, 512) for n in range(20)]
    requests[at] = Asked(IN, 0, (512,), False, (15,))
    used, memory, disk, broken = both(requests, layout=layout)
    assert broken
    assert used == [(n, 1) for n in range(at)]
    written = at * SECTOR
    assert disk[written:] == image()[written:]
    assert disk[:written] == b"".join(memory[n * SLOT + 0x400 :][:512] for n in range(at))
    assert [memory[n * SLOT + 0x300] for n in range(20)] == [BlkStatus.OK] * at + [0xEE] * (20 - at)


@pytest.mark.parametrize("fails", [False, True])
def test_writes_that_are_stable_are_flushed_before_they_are_completed(fails):
    """5.2.6.2, for a batch: one flush for all of them, and none of them is OK if it fails."""
    disk = Noted(SECTORS * SECTOR)
    without = {BlkFeature.FLUSH, BlkFeature.CONFIG_WCE}
    guest = Guest(disk, without=without)
    disk.fails = fails
    used, memory, *_ = guest.run([plain(IN if n == 4 else OUT, n, 512) for n in range(20)])
    assert disk.flushes == 1
    for n in range(20):
        status = BlkStatus.IOERR if fails and n != 4 else BlkStatus.OK
        assert memory[n * SLOT + 0x300] == status
    assert used == [(n, 513 if n == 4 else 1) for n in range(20)]


def test_a_disk_to_read_only_is_not_written():
    def disk():
        return Disk.of(image(), read_only=True)

    requests = [plain(IN if n % 4 else OUT, n, 512) for n in range(20)]
    *_, content, _ = both(requests, disk=disk)
    assert content == image()


def test_a_disk_in_a_file_moves_in_batches_and_can_be_closed(tmp_path, scalar_calls):
    path = tmp_path / "disk.img"
    path.write_bytes(image())
    with Disk.open(path) as disk:
        guest = Guest(disk)
        guest.run([plain(OUT, n, 512) for n in range(20)])
        *_, content, _ = guest.run([plain(IN, n, 512) for n in range(20)], seed=1)
    assert path.read_bytes() == content
    assert not scalar_calls


def test_a_long_piece_goes_alone_in_slabs(scalar_calls):
    """What would need too much of the host at once is left to the scalar way."""
    disk = Disk.of(bytes(range(256)) * (blk_many.SLAB // 256 * 2))
    rig = Rig(VirtioBlk(disk))
    queue = rig.start(entries=8)
    rig.ram.write(DATA, packer(REQUEST).pack(IN, 0, 0))
    for number in range(8):
        queue.add_buf([(DATA, 16)], [(DATA + 0x100000, blk_many.SLAB), (DATA + 64, 1)], number)
    queue.kick()
    assert len(scalar_calls) == 8
    assert rig.ram.read(DATA + 0x100000, blk_many.SLAB) == disk.read(0, blk_many.SLAB // SECTOR)


def test_a_head_is_read_once(monkeypatch):
    """A guest that changes its head after the look gains nothing: the look is a copy."""
    guest = Guest(Disk.of(image()))
    looks = []
    real = blk_many.gather

    def changing(memory, offset):
        copied = real(memory, offset)
        looks.append(len(offset))
        for at in offset.tolist():
            memory[at : at + 16] = 0xFF
        return copied

    monkeypatch.setattr(blk_many, "gather", changing)
    used, memory, *_ = guest.run([plain(IN, n, 512) for n in range(20)])
    assert looks == [20]
    assert used == [(n, 513) for n in range(20)]
    assert memory[0x400 : 0x400 + 512] == image()[:512]
    # A batch that is cut as the one before, and is of another kind or off the disk: once, too.
    for sector in (3, SECTORS):
        looks.clear()
        guest.run([plain(IN, sector if n == 7 else n, 512) for n in range(20)])
        assert looks == [20]


def test_memory_that_is_no_array_is_served_one_by_one(scalar_calls):
    """Behind a `Dma` that is no `Flat` there are no batches."""

    class NoArray:
        def __init__(self, ram):
            self.read, self.write, self.view = ram.read, ram.write, ram.view

    rig = Rig(VirtioBlk(Disk.of(image())))
    queue = rig.start(entries=8)
    served = SplitQueue(NoArray(rig.ram))
    core = rig.core.queues[0].queue
    served.enable(core.rings, core.features)
    rig.core.queues[0].queue = served
    rig.ram.write(DATA, packer(REQUEST).pack(IN, 0, 5))
    for number in range(8):
        queue.add_buf([(DATA, 16)], [(DATA + 0x1000 * (1 + number), 512), (DATA + 64, 1)], number)
    queue.kick()
    assert len(scalar_calls) == 8
    assert rig.ram.read(DATA + 0x8000, 512) == image()[5 * SECTOR :][:512]


# -- any requests

KINDS = st.sampled_from([IN, IN, IN, OUT, OUT, OUT, FLUSH, BlkType.GET_ID, BlkType.DISCARD, 77])
CUT = st.sampled_from([512, 512, 1024, 4096, 1, 16, 513])
PLACE = st.one_of(
    st.integers(0, 12), st.integers(0, SECTORS), st.sampled_from([1 << 63, (1 << 64) - 1])
)
HEADS = st.sampled_from([(16,), (16,), (16,), (16,), (8, 8), (1, 15), (4, 4, 8), (15,)])


@st.composite
def requests_of_any_kind(draw):
    kind = draw(KINDS)
    out = (kind == OUT) != draw(st.sampled_from([False] * 7 + [True]))
    cuts = tuple(draw(st.lists(CUT, max_size=3)))
    return Asked(kind, draw(PLACE), cuts, out, draw(HEADS), draw(st.booleans()))


@settings(max_examples=60)
@given(
    st.lists(requests_of_any_kind(), min_size=1, max_size=30),
    st.sampled_from(["split", "packed"]),
    st.sampled_from([set(), {Feature.IN_ORDER}, {Feature.RING_INDIRECT_DESC}]),
)
def test_any_batch_leaves_what_the_same_requests_leave_alone(requests, layout, without):
    """Used elements, every byte of the buffers, the disk, and whether the device broke."""
    both(requests, layout=layout, without=without)


def test_a_scribbling_guest_harms_only_itself():
    """Rings, heads and buffers that lie over each other: no raise, and the disk stays a disk."""
    rng = random.Random(11)
    disk = Disk.of(image())
    for _ in range(15):
        guest = Guest(disk, layout=rng.choice(["split", "packed"]))
        ram, queue = guest.rig.ram, guest.queue
        for number in range(24):
            head = DATA + rng.randrange(64) * 16
            words = packer(REQUEST).pack(rng.choice([IN, OUT]), 0, rng.randrange(SECTORS + 1))
            ram.write(head, words)
            start = rng.choice([DATA, DATA + 8, DATA + 512, RAM - 1024]) + rng.randrange(2) * 512
            data = [(start, 512)]
            status = [(DATA + rng.randrange(1024), 1)]
            out = rng.random() < 0.5
            queue.add_buf([(head, 16), *data * out], [*data * (not out), *status], number)
        queue.kick()
    assert len(disk.read(0, SECTORS)) == SECTORS * SECTOR
