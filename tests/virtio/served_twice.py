"""A block device twice: once it serves batches, with plans, and once chain by chain.

    Lap           what a guest writes before it rings: the same bytes into both memories
    Twice.serve   rings for both; memory, disk, used rings, status and refusals must be equal

The rings are written by hand, so that a guest may do what no driver would. `Session` makes laps of
requests that mostly come again, as a driver's do, and now and then are mutated in one place.

No request has a byte in common with another one: 5.2.6 gives requests in flight no order, so what
is left then may differ.
"""

from __future__ import annotations

import random
from struct import iter_unpack, pack, unpack
from typing import NamedTuple

from tests.virtio.rig import ALL_STEPS, RAM, Rig
from tests.virtio.test_blk_many import Narrow
from virtlab.backends.disk import Disk
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR, BlkFeature, BlkType
from virtlab.virtio.features import Feature, to_bits
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE
from virtlab.virtio.packed_layouts import AVAIL, USED
from virtlab.virtio.status import Status

DESC, DRIVER, DEVICE, TABLES = 0x1000, 0x2000, 0x3000, 0x4000
SLOTS, SLOT, SPARE = 0x10000, 0x1000, 24
"""Where request k has its head, status and data; from number `SPARE` on the slots are unused."""

SEEN = SLOTS + 48 * SLOT
"""Bytes of memory that are compared after each lap: the guest's descriptors name no others."""

HEAD_AT, STATUS_AT, DATA_AT, TABLE = 0, 0x20, 0x200, 64
N, SECTORS, MOST = 16, 64, 64
PLAIN_STEPS = Status.ACKNOWLEDGE | Status.DRIVER


class Ways(NamedTuple):
    """What a session has agreed on."""

    packed: bool
    tables: bool
    in_order: bool
    events: bool
    flush: bool = True

    @property
    def size(self):
        """Entries of the queue. Without tables it takes several laps until a batch comes again."""
        if self.tables:
            return N
        return 3 * N if self.packed else MOST

    @property
    def features(self):
        wanted = {
            Feature.RING_PACKED: self.packed,
            Feature.RING_INDIRECT_DESC: self.tables,
            Feature.IN_ORDER: self.in_order,
            Feature.RING_EVENT_IDX: self.events,
            BlkFeature.FLUSH: self.flush,
        }
        return {Feature.VERSION_1, *(name for name, is_wanted in wanted.items() if is_wanted)}


class Given(NamedTuple):
    """What was given back one by one: where, which, how much was written, and could be."""

    position: int
    head: int
    written: int
    room: int


class World:
    """One of the two machines."""

    def __init__(self, transport, flat):
        self.disk = Disk.of(random.Random(1).randbytes(SECTORS * SECTOR))
        shown = self.disk if flat else Narrow(self.disk)
        self.rig = Rig(VirtioBlk(shown, "twice", MOST), transport)
        self.core, self.ram = self.rig.core, self.rig.ram
        self.refusals = []
        broken = self.core._break
        self.core._break = lambda error: (self.refusals.append(str(error)), broken(error))

    def begin(self, ways):
        """All eight steps, with registers as a driver writes them."""
        core = self.core
        self.ram.write(DESC, bytes(SLOTS - DESC))
        core.write_status(0)
        core.write_status(PLAIN_STEPS)
        bits = to_bits(ways.features)
        for word in (0, 1):
            core.accept_word(word, bits >> 32 * word & 0xFFFF_FFFF)
        core.write_status(PLAIN_STEPS | Status.FEATURES_OK)
        core.resize(0, ways.size)
        for part, gpa in (("desc", DESC), ("driver", DRIVER), ("device", DEVICE)):
            core.set_address(0, part, gpa)
        core.enable(0)
        core.write_status(ALL_STEPS)
        assert core.status == ALL_STEPS
        self.refusals.clear()
        self.ways, queue, self.given = ways, core.queues[0].queue, []
        push = queue.push

        def noting(chain, written=0):
            self.given.append(Given(queue.used, chain.head, written, chain.writable))
            push(chain, written)

        queue.push = noting

    def left(self):
        """All that a guest can see, but for what was used in order."""
        queue, broken = self.core.queues[0].queue, self.rig.broken
        counts = (queue.used, queue.signalled, not broken and queue.last_avail)
        seen = bytearray(self.ram.read(0, SEEN))
        for start, end in self._unseen(broken):
            seen[start:end] = bytes(end - start)
        return bytes(seen), self.disk.read(0, SECTORS), self.core.status, self.refusals, counts

    def _unseen(self, broken):
        """What is not compared byte by byte."""
        ways = self.ways
        if broken:
            # How far it had looked says nothing any more: `avail_event`, or the event structure.
            yield DEVICE + (0 if ways.packed else 4 + 8 * ways.size), TABLES
        if ways.in_order:
            yield (
                (DESC, DESC + 16 * ways.size)
                if ways.packed
                else (DEVICE + 4, DEVICE + 4 + 8 * ways.size)
            )

    def used_at(self, position):
        """Id and length of the used element, or descriptor, at this position."""
        lap, slot = divmod(position, self.ways.size)
        if not self.ways.packed:
            return unpack("<II", self.ram.read(DEVICE + 4 + 8 * slot, 8))
        length, ident, flags = unpack("<IHH", self.ram.read(DESC + 16 * slot + 8, 8))
        assert flags & (AVAIL | USED) == (0 if lap & 1 else AVAIL | USED)
        assert bool(flags & WRITE) == bool(length)
        return ident, length


class Twice:
    """Both machines behind `transport`."""

    def __init__(self, transport="mmio"):
        self.worlds = [World(transport, flat) for flat in (True, False)]

    def begin(self, ways):
        for world in self.worlds:
            world.begin(ways)

    def each(self, act):
        for world in self.worlds:
            act(world)

    def serve(self, writes):
        """Write, ring and compare. Gives whether the guest broke the device."""
        for world in self.worlds:
            for gpa, data in writes:
                world.ram.write(gpa, data)
            pins = len(world.rig.pins)
            world.given.clear()
            world.core.notify(0)
            world.told = len(world.rig.pins) > pins
        batch, alone = self.worlds
        found, expected = batch.left(), alone.left()
        names = ("memory", "disk", "status", "refusals", "counts")
        for name, one, other in zip(names, found, expected, strict=True):
            assert one == other, f"{name}: {_where(one, other)}"
        assert batch.told == alone.told
        if batch.ways.in_order:
            _same_in_order(batch, alone.given)
        assert batch.rig.contained
        return batch.rig.broken

    @property
    def whole(self):
        """Whether all of both memories is equal."""
        one, other = (world.ram.read(SLOTS, RAM - SLOTS) for world in self.worlds)
        return one == other


def _same_in_order(batch, given):
    """One element may stand for many, of which all but the last are complete (2.7.9, 2.8.8)."""
    while given:
        head, length = batch.used_at(given[0].position)
        last = [each.head for each in given].index(head)
        assert all(each.written == each.room for each in given[:last])
        assert length == given[last].written
        del given[: last + 1]


def _where(one, other):
    if not isinstance(one, bytes):
        return f"{one} {other}"
    at = next(n for n, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
    return f"at {at:#x}: {one[at - 8 : at + 24].hex()} {other[at - 8 : at + 24].hex()}"


class Desc(NamedTuple):
    """A descriptor as a guest fills it in: `number` is `next`, or the buffer id."""

    addr: int
    length: int
    flags: int
    number: int


class Session:
    """Laps of a guest who agreed on `ways`, out of `rng`; `chance` is that of a mutation in a lap.

    A driver uses the same slots again, and mostly the same kind and size of request.
    """

    def __init__(self, ways, rng, chance=0.3):
        self.ways, self.rng, self.chance = ways, rng, chance
        self.position = self.avail = 0
        self.kind = rng.choice([BlkType.IN, BlkType.OUT])
        self.size = rng.choice([512, 512, 1024, 2048, 1536])
        self.order = [*range(N)]
        self.close = rng.random() < 0.5

    # -- a lap

    def lap(self):
        """The bytes that the guest writes: a list of `(gpa, data)`."""
        rng, writes = self.rng, []
        if rng.random() < self.chance / 4:
            rng.shuffle(self.order)
        count = N if rng.random() < 0.9 else rng.randint(1, N)
        odd = rng.random() < self.chance and rng.randrange(count)
        chains = []
        for number in range(count):
            slot = self.order[number]
            # Either what it asks for is odd, which a queue cannot see, or its descriptors are.
            is_odd = odd is not False and number == odd
            in_head = rng.random() < 0.6
            chains.append(self._request(slot, is_odd and in_head, writes))
            if is_odd and not in_head:
                self._mutate(chains[-1])
        writes += self._packed(chains) if self.ways.packed else self._split(chains)
        return writes

    def _request(self, slot, odd, writes):
        """The contents of a request, and its three descriptors."""
        rng, kind, size = self.rng, self.kind, self.size
        step = size // SECTOR
        sector = rng.randrange(SECTORS // step) * step
        if odd:
            kind, sector = self._odd_head(kind, sector)
        base = SLOTS + slot * SLOT
        data = DATA_AT + base if not self.close else SLOTS + 32 * SLOT + slot * size
        out = self.kind == BlkType.OUT
        writes.append((base + HEAD_AT, pack("<IIQ", kind, rng.choice([0, 0, 7]), sector)))
        writes.append((base + STATUS_AT, b"\xee"))
        writes.append((data, rng.randbytes(size) if out else bytes(size)))
        pieces = [(base + HEAD_AT, 16, 0), (data, size, 0 if out else WRITE)]
        pieces.append((base + STATUS_AT, 1, WRITE))
        return [Desc(*piece, 0) for piece in pieces]

    def _odd_head(self, kind, sector):
        rng = self.rng
        kinds = [BlkType.IN, BlkType.OUT, BlkType.FLUSH, BlkType.GET_ID, 5, 99, kind | 1 << 16]
        sectors = [SECTORS, SECTORS - 1, 1, 1 << 32, 1 << 54, 1 << 63, (1 << 64) - 1]
        if rng.random() < 0.5:
            return rng.choice(kinds), sector
        return kind, rng.choice(sectors)

    def _mutate(self, chain):
        """Change one field of one descriptor."""
        rng, at = self.rng, self.rng.randrange(3)
        desc, spare = chain[at], SLOTS + SPARE * SLOT
        if rng.random() < 0.6:  # which any driver may do
            chain[at] = desc._replace(addr=spare + (HEAD_AT, DATA_AT, STATUS_AT)[at])
            return
        match rng.randrange(4):
            case 0:
                addrs = [spare, spare + 1, DRIVER + 2, RAM - 1, RAM, 1 << 63, (1 << 64) - 8]
                # What the device itself writes is not read: it is not the same all the time.
                addrs += [DESC, DEVICE + 4] if desc.flags & WRITE else []
                chain[at] = desc._replace(addr=rng.choice(addrs))
            case 1:
                lengths = [0, 1, 15, 16, 17, 512, 513, 1024, 0xFFFF_FFFF]
                chain[at] = desc._replace(length=rng.choice(lengths))
            case 2:
                chain[at] = desc._replace(flags=desc.flags ^ rng.choice([WRITE, INDIRECT, 8]))
            case 3:
                del chain[at]

    # -- the rings

    def _ring_of(self, chains):
        """The descriptors of the ring for each chain, and the tables that are written for them."""
        if not self.ways.tables:
            return chains, []
        ring, writes = [], []
        for number, chain in enumerate(chains):
            at = TABLES + self.order[number] * TABLE
            last = len(chain) - 1
            table = [
                desc._replace(flags=desc.flags | (NEXT if n < last else 0), number=n + 1)
                for n, desc in enumerate(chain)
            ]
            if self.ways.packed:
                table = [desc._replace(flags=desc.flags & ~NEXT) for desc in table]
            raw = b"".join(_bytes(desc, self.ways.packed) for desc in table)
            if self.rng.random() < self.chance / 30:
                raw = _flipped(raw, table, SLOTS + self.order[number] * SLOT, self.rng)
            writes.append((at, raw))
            length = 16 * len(chain)
            if self.rng.random() < self.chance / 60:
                length += self.rng.choice([-16, 8, 16])
            ring.append([Desc(at, length, INDIRECT, 0)])
        return ring, writes

    def _split(self, chains):
        ways, rng, size = self.ways, self.rng, self.ways.size
        ring, writes = self._ring_of(chains)
        start = self.position if ways.in_order else 0
        heads = []
        for chain in ring:
            heads.append(start % size)
            for n, desc in enumerate(chain):
                more = n < len(chain) - 1
                number = (start + 1) % size
                if rng.random() < self.chance / 90:
                    number = rng.randrange(size + 1)
                desc = desc._replace(flags=desc.flags | (NEXT if more else 0), number=number)
                writes.append((DESC + 16 * (start % size), _bytes(desc, False)))
                start += 1
        self.position = start
        if rng.random() < self.chance / 8 and not ways.in_order:
            rng.shuffle(heads)
        # In order, one head twice would be an element that may mean either.
        if rng.random() < self.chance / 20 and not ways.in_order:
            heads[rng.randrange(len(heads))] = rng.choice([*heads, size, 0xFFFF])
        for head in heads:
            writes.append((DRIVER + 4 + 2 * (self.avail % size), pack("<H", head)))
            self.avail += 1
        idx = self.avail if rng.random() > self.chance / 60 else self.avail + rng.choice([-1, size])
        writes.append((DRIVER + 2, pack("<H", idx & 0xFFFF)))
        if ways.events:
            event = rng.choice([self.avail - 1, self.avail - N, 0]) & 0xFFFF
            writes.append((DRIVER + 4 + 2 * size, pack("<H", event)))
        return writes

    def _packed(self, chains):
        ways, rng, size = self.ways, self.rng, self.ways.size
        ring, writes = self._ring_of(chains)
        for ident, chain in enumerate(ring):
            if rng.random() < self.chance / 40:
                ident = 0xFFFF if ways.in_order else rng.choice([0, 1, 0xFFFF])
            for n, desc in enumerate(chain):
                lap, slot = divmod(self.position, size)
                mark = 1 << 15 if lap & 1 else 1 << 7
                if rng.random() < self.chance / 200:
                    mark = rng.choice([0, 1 << 7, 1 << 15, 1 << 15 | 1 << 7])
                flags = desc.flags | mark | (NEXT if n < len(chain) - 1 else 0)
                raw = _bytes(desc._replace(flags=flags, number=ident), True)
                writes.append((DESC + 16 * slot, raw))
                self.position += 1
        return writes


def _bytes(desc, packed):
    fields = (desc.number, desc.flags) if packed else (desc.flags, desc.number)
    return pack("<QIHH", desc.addr, desc.length, *fields)


def _flipped(raw, table, base, rng):
    """`raw` with one bit flipped, if all of it then is in its slot at `base`, or no memory."""
    bit = rng.randrange(8 * len(raw))
    flipped = (int.from_bytes(raw, "little") ^ 1 << bit).to_bytes(len(raw), "little")
    for desc, (addr, length) in zip(table, iter_unpack("<QI4x", flipped), strict=True):
        same = (addr, length) == desc[:2]
        if not (same or base <= addr <= addr + length <= base + SLOT or addr + length > RAM):
            return raw
    return flipped
