"""A host that does what it may do, and much that it should not, on both machines at once.

Registers written while a drive is busy, half a sector read, tables of any shape: each method of
`Host` is one random gesture, and `run` looks at everything after each.
"""

from __future__ import annotations

import random

from tests.devices.ata.rig import SECTORS
from tests.oracles.ata_pair import (
    ACTIVE,
    BMICOM,
    BMIDTP,
    BMISTA,
    BUFFERS,
    BUFFERS_END,
    CONTROL,
    FAILED,
    HOB,
    IDE,
    INTERRUPT,
    READ_DMA,
    START,
    TABLE,
    TO_MEMORY,
    WRITE_DMA,
    prd_entries,
)
from virtlab.backends.disk import SECTOR
from virtlab.devices.ata.registers import BOUNDARY, DEVICE, DRQ, ERR, EXTENDED, PRD_EOT, Command

READS = tuple(code for code in Command if code.name.startswith(("READ_SECTORS", "READ_MULTIPLE")))
WRITES = tuple(code for code in Command if code.name.startswith(("WRITE_S", "WRITE_M")))
QUIET = (
    Command.RECALIBRATE,
    Command.SEEK,
    Command.READ_VERIFY_SECTORS,
    Command.READ_VERIFY_SECTORS_EXT,
    Command.FLUSH_CACHE,
    Command.FLUSH_CACHE_EXT,
    Command.IDLE,
    Command.IDLE_IMMEDIATE,
)
"""Commands that move nothing and that both have in the same way."""

UNKNOWN = (0x00, 0x0B, 0x12, 0x45, 0x60, 0x80, 0x92, 0xA0, 0xA1, 0xAB, 0xE8, 0xF1, 0xFF)
"""Commands that neither has."""

FEATURES = (0x02, 0x03, 0x66, 0x77, 0x82)
MODES = (0x00, 0x01, 0x08, 0x0C, 0x12, 0x22, 0x45, 0x38, 0x50)

NOT_OURS = {69: 0x4000, 82: 0x0001, 85: 0x0001, 169: 0x0001}
"""IDENTIFY DEVICE: bits of TRIM and SMART, which QEMU's drive has and ours has not."""

CURRENT = range(54, 60)
"""Words that tell the current settings. QEMU's tell those of the first IDENTIFY DEVICE."""


class Host:
    """Makes random gestures on both machines."""

    def __init__(self, pair, seed):
        self.pair = pair
        self.rng = random.Random(seed)
        pair.write_memory(BUFFERS, self.rng.randbytes(BUFFERS_END - BUFFERS))
        pair.reset()
        for device in (0xF0, 0xE0):
            self.identify(device)

    def run(self, rounds):
        gestures = (
            self.registers,
            self.settings,
            self.quiet,
            self.read,
            self.write,
            self.dma,
            self.dma,
            self.bus_master,
        )
        for _ in range(rounds):
            self.rng.choice(gestures)()
            if self.pair.channel.selected.status & DRQ:
                self.while_it_waits()
                self.pair.reset()
            self.pair.look()

    def place(self):
        """A drive, a way to address it, a sector that is mostly there, a count."""
        rng, unit = self.rng, self.rng.random() < 0.3
        sectors = SECTORS // 2 if unit else SECTORS
        count = rng.choice([1, 1, 2, 3, 8, 17, 33])
        sector = rng.choice([0, 1, rng.randrange(sectors), sectors - count, sectors - 1, sectors])
        return sector, count, DEVICE.DEV.put(0xE0, unit)

    def registers(self):
        """Any register, read and written; data where there is none; older bytes."""
        for _ in range(12):
            port = IDE + self.rng.randrange(1, 7)
            self.pair.out(port, self.rng.randrange(256) & (0xEF if port == IDE + 6 else 0xFF))
        self.pair.out(CONTROL, HOB)
        for register in (2, 3, 4, 5):
            self.pair.same(IDE + register)
        self.pair.same(IDE, self.rng.choice([1, 2, 4]))
        self.pair.out(IDE, 0xA5A5, self.rng.choice([1, 2, 4]))
        self.pair.out(IDE + self.rng.randrange(1, 7), 0)
        self.pair.same(IDE + self.rng.choice([2, 4]), 2)
        self.pair.out(IDE + 6, DEVICE.DEV.put(0xE0, self.rng.random() < 0.3))

    def settings(self):
        """What changes a drive, and what it refuses."""
        rng, device = self.rng, self.place()[2]
        match rng.randrange(5):
            case 0:
                feature, mode = rng.choice(FEATURES), rng.choice(MODES)
                self.pair.command(Command.SET_FEATURES, count=mode, device=device, feature=feature)
            case 1:
                count = rng.choice([0, 1, 2, 3, 4, 8, 16, 32, 129])
                self.pair.command(Command.SET_MULTIPLE_MODE, count=count, device=device)
            case 2:
                heads, in_track = rng.choice([(16, 63), (4, 32), (1, 17), (255, 63)])
                device = device & ~15 | heads - 1 & 15
                self.pair.command(
                    Command.INITIALIZE_DEVICE_PARAMETERS, count=in_track, device=device
                )
            case 3:
                self.identify(device)
            case 4:
                self.pair.command(rng.choice(UNKNOWN), device=device)

    def identify(self, device):
        """All words but those in which the two differ on purpose."""
        self.pair.command(Command.IDENTIFY_DEVICE, device=device)
        self.pair.look()
        words = [self.pair.both(IDE, 2) for _ in range(SECTOR // 2)]
        self.pair.accesses += len(words)
        differ = {n: ours ^ theirs for n, (ours, theirs) in enumerate(words) if ours != theirs}
        assert {n: bits for n, bits in differ.items() if n not in CURRENT} == NOT_OURS

    def quiet(self):
        """A command that moves nothing."""
        self.pair.command(self.rng.choice(QUIET), *self.inside())

    def inside(self):
        """As `place`, but surely there: QEMU does not look."""
        sector, count, device = self.place()
        return sector % (SECTORS // 2 - 64), count, device

    def chs(self, code):
        """A command with a CHS address that exists."""
        sector, count, device = self.inside()
        geometry = self.pair.channel.drives[DEVICE.DEV.get(device)].settings.geometry
        track, in_track = divmod(sector, geometry.sectors)
        cylinder, head = divmod(track, geometry.heads)
        where = cylinder << 8 | in_track + 1
        self.pair.command(code, where, count, device & ~0x4F | head)

    def start(self, *codes):
        code = self.rng.choice(codes)
        if self.rng.random() < 0.2 and code not in EXTENDED:
            self.chs(code)
        else:
            self.pair.command(code, *self.place())

    def read(self):
        """All of a PIO read, or a part of it."""
        self.start(*READS)
        self.pair.look()
        for _ in range(self.rng.choice([1, 40, 40])):
            if not self.pair.channel.selected.status & DRQ:
                break
            self.pair.same_data(self.sizes())
            self.pair.settle()
            self.pair.same(CONTROL)

    def write(self):
        """All of a PIO write, or a part of it."""
        self.start(*WRITES)
        self.pair.look()
        for _ in range(self.rng.choice([1, 40, 40])):
            if not self.pair.channel.selected.status & DRQ:
                break
            self.pair.out_data([(self.rng.getrandbits(8 * size), size) for size in self.sizes()])
            self.pair.settle()
            self.pair.not_found()
            self.pair.same(CONTROL)

    def sizes(self):
        """Accesses that empty a block, or, now and then, stop in the middle of it."""
        left = self.pair.channel.selected.transfer.left
        size = 4 if left % 4 == 0 and self.rng.random() < 0.7 else 2
        sizes = [size] * (left // size)
        return sizes if self.rng.random() < 0.9 else sizes[: self.rng.randrange(len(sizes))]

    def while_it_waits(self):
        """A drive with DRQ set hears no register and no command."""
        for register in range(1, 7):
            self.pair.out(IDE + register, self.rng.randrange(256))
        self.pair.out(IDE + 7, self.rng.choice(QUIET))
        self.pair.look()

    def bus_master(self):
        """Its registers, while nothing moves."""
        for _ in range(6):
            self.pair.out(BMICOM, self.rng.choice([0, 8, 0xF6]))
            self.pair.out(BMISTA, self.rng.randrange(256))
            size = self.rng.choice([1, 2, 4])
            port = BMIDTP + self.rng.randrange(0, 4, size)
            self.pair.out(port, self.rng.getrandbits(8 * size), size)
            self.pair.same(BMISTA)
            self.pair.same(port, size)

    def dma(self):
        """A whole DMA command, by a table that has room enough."""
        codes = self.rng.choice([READ_DMA, WRITE_DMA])
        code, (sector, count, device) = self.rng.choice(codes), self.place()
        self.pair.write_memory(TABLE, self.table(count * SECTOR))
        self.pair.out(BMIDTP, TABLE, 4)
        way = TO_MEMORY if code in READ_DMA else 0
        self.pair.out(BMICOM, way)
        self.pair.out(BMISTA, INTERRUPT | FAILED)
        self.pair.command(code, sector, count, device)
        self.pair.out(BMICOM, way | START)
        self.pair.settle(DRQ)
        failed = self.pair.channel.selected.status & ERR
        self.pair.look(but=ACTIVE if failed else 0)
        self.pair.out(BMICOM, way)
        self.pair.out(BMISTA, self.rng.choice([INTERRUPT, FAILED | INTERRUPT, 0x64]))
        if self.rng.random() < 0.2:
            self.pair.same_memory()

    def table(self, need):
        """Regions of any even size anywhere, some across 64 KiB; exact, longer, or without EOT."""
        rng, entries = self.rng, []
        while need > 0:
            count = rng.choice([2, 62, 512, 1000, 4096, 0xFFFE, 0]) if len(entries) < 60 else 0
            if rng.random() < 0.6 and count:
                count = min(count, need)
            base = rng.randrange(BUFFERS, BUFFERS_END - BOUNDARY, 2)
            entries.append((base, count | rng.choice([0, 0, 1]), rng.randrange(0x8000)))
            need -= count or BOUNDARY
        if rng.random() < 0.2:
            entries.append((BUFFERS, 512, 0))
        if rng.random() < 0.8:
            base, count, flags = entries[-1]
            entries[-1] = (base, count, flags | PRD_EOT.mask)
        return prd_entries(entries) + bytes(64)
