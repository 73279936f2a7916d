"""A batch of block requests that comes again: served by what was remembered, as if it were new."""

import random

import numpy as np
import pytest

from tests.virtio.rig import DATA
from tests.virtio.test_blk import Noted
from tests.virtio.test_blk_many import IN, OUT, SECTORS, SLOT, Asked, Guest, image, plain
from virtlab.backends.disk import Disk
from virtlab.virtio import blk_plan
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import REQUEST, SECTOR, BlkFeature, BlkStatus
from virtlab.virtio.blk_plan import Plan
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import packer

N = 16
LAPS = 7
"""After so many times the same batch, it is remembered in every layout."""

CASES = [
    pytest.param(transport, layout, tables, id=f"{transport} {layout}{' tables' if tables else ''}")
    for transport in ("mmio", "pci")
    for layout in ("split", "packed")
    for tables in (False, True)
]


@pytest.fixture
def served(monkeypatch):
    """How many requests were served by a plan."""
    counts = []
    real = Plan.say

    def noting(self, status):
        counts.append(len(self.words[0]))
        real(self, status)

    monkeypatch.setattr(Plan, "say", noting)
    return counts


def guests(transport="mmio", layout="split", tables=True, disk=None, **how):
    """The same machine twice: with a flat disk, and with one that is served one by one."""
    make = disk or (lambda: Disk.of(image()))
    without = how.pop("without", set()) | (set() if tables else {Feature.RING_INDIRECT_DESC})
    return [
        Guest(make(), transport, layout, flat, without=without, size=N if tables else 4 * N, **how)
        for flat in (True, False)
    ]


def agree(pair, requests, seed=0, slot=SLOT):
    """Both leave the same; what they left."""
    together, alone = (guest.run(requests, seed, slot) for guest in pair)
    assert together == alone
    return together


def warm(pair, kind=IN, size=512, laps=LAPS):
    """Let the batch come again until it is remembered."""
    for lap in range(laps):
        agree(pair, [plain(kind, (lap + n) * size // SECTOR, size) for n in range(N)], lap)


@pytest.mark.parametrize("kind", [IN, OUT])
@pytest.mark.parametrize(("transport", "layout", "tables"), CASES)
def test_a_batch_that_comes_again_is_served_by_plan(transport, layout, tables, kind, served):
    """Other sectors each time, and other data."""
    # Without tables a batch takes three quarters of the ring: it comes again each fourth time.
    warm(guests(transport, layout, tables), kind, laps=LAPS if tables else 4 * LAPS)
    assert served.count(N) >= 2


@pytest.mark.parametrize("size", [512, 1024, 4096])
@pytest.mark.parametrize("kind", [IN, OUT])
def test_blocks_of_any_size_go_where_they_belong(kind, size, served):
    pair = guests()
    warm(pair, kind, size)
    step = size // SECTOR
    places = np.random.default_rng(size).permutation(SECTORS // step)[:N] * step
    served.clear()
    agree(pair, [plain(kind, int(place), size) for place in places], seed=9)
    assert served == [N]


def test_a_size_that_is_no_power_of_two_has_no_plan(served):
    warm(guests(), IN, 1536)
    assert not served


def odd_ones(kind, size):
    """Requests of which one batch has one, by what is otherwise."""
    step, other = size // SECTOR, OUT if kind == IN else IN
    return {
        "another type": Asked(other, 0, (size,), kind == OUT),
        "a type with more bits": Asked(kind | 1 << 16, 0, (size,), kind == OUT),
        "within a block": plain(kind, 5 * step + 1, size),
        "behind the disk": plain(kind, SECTORS, size),
        "over the end of the disk": plain(kind, SECTORS - step + 1, size),
        "below the disk": plain(kind, (1 << 64) - step, size),
        "a sector above 2**32": plain(kind, 1 << 35, size),
        "the block of another": plain(kind, 3 * step, size),
        "cut in two": plain(kind, 0, size // 2, size // 2),
        "no request": Asked(kind, 0, (size,), kind == OUT, (15,)),
    }


@pytest.mark.parametrize("at", [0, 7, N - 1])
@pytest.mark.parametrize("name", odd_ones(IN, 1024))
@pytest.mark.parametrize("kind", [IN, OUT])
@pytest.mark.parametrize("layout", ["split", "packed"])
def test_what_is_not_as_planned_is_served_as_ever(layout, kind, name, at):
    pair = guests(layout=layout)
    warm(pair, kind, 1024)
    requests = [plain(kind, 2 * n, 1024) for n in range(N)]
    requests[at] = odd_ones(kind, 1024)[name]
    agree(pair, requests, seed=5)
    if name != "no request":
        warm(pair, kind, 1024)


def test_a_head_is_read_once(monkeypatch):
    """If the plan does not fit, what it has read is what counts: the guest may write meanwhile."""
    pair = guests()
    warm(pair, IN, 1024)
    guest = pair[0]
    real = Plan.read

    def changing(self, disk):
        found = real(self, disk)
        for n in range(N):
            guest.rig.ram.write(DATA + n * SLOT, b"\xff" * 16)
        return found

    monkeypatch.setattr(Plan, "read", changing)
    # The others are still served together, and that one alone, which looks for itself.
    requests = [plain(IN, SECTORS if n == 8 else 2 * n, 1024) for n in range(N)]
    used, memory, *_ = guest.run(requests)
    assert used == [(n, 0 if n == 8 else 1025) for n in range(N)]
    assert memory[SLOT + 0x400 :][:1024] == image()[1024:2048]


@pytest.mark.parametrize("fails", [False, True])
def test_stable_writes_are_flushed_before_they_are_completed(fails, served):
    """5.2.6.2: one flush for all of them, and none of them is OK if it fails."""
    disk = Noted(SECTORS * SECTOR)
    guest = guests(disk=lambda: disk, without={BlkFeature.FLUSH, BlkFeature.CONFIG_WCE})[0]
    for _ in range(LAPS):
        guest.run([plain(OUT, n, 512) for n in range(N)])
    disk.fails, before = fails, disk.flushes
    served.clear()
    used, memory, *_ = guest.run([plain(OUT, n, 512) for n in range(N)])
    assert served == [N]
    assert disk.flushes == before + 1
    status = BlkStatus.IOERR if fails else BlkStatus.OK
    assert {memory[n * SLOT + 0x300] for n in range(N)} == {status}
    assert used == [(n, 1) for n in range(N)]


def test_a_disk_that_is_closed_to_writes_refuses_them_from_then_on():
    pair = guests()
    warm(pair, OUT, 1024)
    for guest in pair:
        guest.disk.read_only = True
    _, memory, *_ = agree(pair, [plain(OUT, 2 * n, 1024) for n in range(N)])
    assert {memory[n * SLOT + 0x300] for n in range(N)} == {BlkStatus.IOERR}


def test_a_disk_that_shrinks_is_not_read_behind_its_end(served):
    pair = guests()
    warm(pair)
    for guest in pair:
        guest.disk._bytes = guest.disk._bytes[: 8 * SECTOR]
        guest.disk.sectors = 8
    left = [guest.rig.ram for guest in pair]
    for guest in pair:
        for n in range(N):
            guest._place(DATA + n * SLOT, n, plain(IN, n, 512), guest.rig.ram, random.Random(n))
        guest.queue.kick()
    for ram in left:
        statuses = [ram.load(DATA + n * SLOT + 0x300, 1) for n in range(N)]
        assert statuses == [BlkStatus.OK] * 8 + [BlkStatus.IOERR] * 8


class Close(Guest):
    """A guest whose data lies side by side, as a driver's slots do."""

    def _place(self, base, number, asked, ram, rng):
        (size,) = asked.cuts
        at = DATA + 0x80000 + number * size
        ram.write(base, packer(REQUEST).pack(asked.kind, 0, asked.sector))
        ram.write(at, rng.randbytes(size))
        ram.store(base + 64, 1, 0xEE)
        data, status = (at, size), (base + 64, 1)
        reads, writes = ([data], [status]) if asked.out else ([], [data, status])
        self.queue.add_buf([(base, 16), *reads], writes, number)

    def run(self, requests, seed=0, slot=SLOT):
        found = super().run(requests, seed, slot)
        return found, self.rig.ram.read(DATA + 0x80000, len(requests) * requests[0].length)


@pytest.mark.parametrize("size", [512, 4096])
@pytest.mark.parametrize("kind", [IN, OUT])
def test_data_side_by_side(kind, size, served):
    pair = [Close(Disk.of(image()), flat=flat, size=N) for flat in (True, False)]
    step, rng = size // SECTOR, random.Random(size)
    for lap in range(LAPS):
        places = rng.sample(range(SECTORS // step), N)
        agree(pair, [plain(kind, place * step, size) for place in places], lap)
    assert served.count(N) >= 2


class Uneven(Guest):
    """A guest whose requests lie at uneven steps, and not on borders of 16 bytes."""

    odd = 0

    def _place(self, base, number, asked, ram, rng):
        super()._place(base + number * number * self.odd, number, asked, ram, rng)


@pytest.mark.parametrize("odd", [1, 16])
@pytest.mark.parametrize("kind", [IN, OUT])
def test_buffers_here_and_there(kind, odd, served, monkeypatch):
    monkeypatch.setattr(Uneven, "odd", odd)
    pair = [Uneven(Disk.of(image()), flat=flat, size=N) for flat in (True, False)]
    for lap in range(LAPS):
        requests = [plain(kind, (5 * n + lap) % SECTORS, 512) for n in range(N)]
        agree(pair, requests, lap)
    assert served.count(N) >= 2


def test_reads_and_writes_together_have_no_plan(served):
    pair = guests()
    for lap in range(LAPS):
        agree(pair, [plain(OUT if n % 3 else IN, lap + n, 512) for n in range(N)], lap)
    assert not served


def test_a_plan_is_forgotten_with_the_batch():
    """Where memory is mapped otherwise, the offsets are others: nothing of before may be used."""
    pair = guests()
    warm(pair)
    for guest in pair:
        guest.rig.ram.generation += 1
    warm(pair)


@pytest.mark.parametrize(("transport", "layout", "tables"), CASES)
def test_other_buffers_than_the_lap_before(transport, layout, tables):
    """The batch may be the same object then, but nothing that was remembered of it holds."""
    pair = guests(transport, layout, tables)
    for lap in range(2 * LAPS if tables else 8 * LAPS):
        requests = [plain(IN, (3 * n + lap) % SECTORS, 512) for n in range(N)]
        agree(pair, requests, lap, SLOT + 16 * (lap // 3 % 5))


def test_a_plan_is_made_for_a_batch_that_was_seen_before(monkeypatch):
    """A driver that has other buffers each time need not pay for it."""
    made = []
    real = Plan.__init__

    def noting(self, *how):
        made.append(how)
        real(self, *how)

    monkeypatch.setattr(blk_plan.Plan, "__init__", noting)
    guest = Guest(Disk.of(image()), size=N)
    assert isinstance(guest.rig.device, VirtioBlk)
    for lap in range(LAPS):
        guest.run([plain(IN, n, 512) for n in range(N)], slot=SLOT + 16 * lap)
    assert not made
