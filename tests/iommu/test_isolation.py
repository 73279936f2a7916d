"""Isolation: whatever a device asks for, it gets its own domain's memory and its own interrupts.

Domains are mapped, unmapped and given to other devices while DMA runs, one by one and in batches.
Then the way around the unit: peers below one switch, without ACS and with it.
"""

import random

import pytest

from tests.iommu.isolation_world import IDS, World
from tests.pci.rig import Rig
from virtlab.errors import DmaFault
from virtlab.guest.pci import open_ecam
from virtlab.guest.pci_acs import enable_acs_everywhere
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.room import Room
from virtlab.guest.vtd import VtdDriver
from virtlab.interrupts import Interrupt
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import BASE
from virtlab.iommu.vtd import VtdUnit
from virtlab.memory import PAGE

BATCH = 32
ECAM = 0xB000_0000


def run(requests, seed=1):
    """`requests` of DMA, half of them in batches, and as many interrupts: the counts."""
    world = World(seed)
    for number in range(requests // (2 * BATCH)):
        for _ in range(BATCH - len(world.recent)):
            world.dma(world.some_id())
        for _ in range(2 * BATCH):
            world.interrupt(world.some_id())
        world.batch(world.some_id(), BATCH)
        world.change()
        world.again()
        if number % 64 == 0:
            world.vtd.faults.read()
    world.check()
    return world.counts


@pytest.mark.volume
def test_nobody_reaches_a_frame_or_a_vector_of_another():
    counts = run(25_000)
    for kind in ("done", "refused", "done in a batch", "refused in a batch", "interrupts"):
        assert counts[kind] > 2_000, kind
    assert counts["changes"] > 350


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_nobody_does_in_a_million():
    counts = run(1_000_000, seed=2)
    assert counts["done"] + counts["done in a batch"] > 200_000
    assert sum(counts[kind] for kind in counts if kind != "changes") > 1_990_000


def from_every_id(step):
    """A request of each of the 65,536, of which 24 are in a domain; an interrupt of each `step`."""
    world = World(3)
    for source_id in range(IDS):
        world.dma(source_id)
        if source_id % step == 0:
            world.interrupt(source_id)
    world.check()
    assert world.counts["refused"] >= IDS - 24
    assert world.counts["interrupts"] > IDS // step // 4


@pytest.mark.volume
def test_from_every_source_id():
    from_every_id(16)


@pytest.mark.long
def test_from_every_source_id_also_an_interrupt():
    from_every_id(1)


@pytest.mark.parametrize("order", [("unmap", "map"), ("move", "move"), ("swap", "swap")])
def test_each_kind_of_change_takes_effect_at_once(order):
    """Between two requests of the same device, which the unit remembers, one thing changes."""
    world = World(4)
    for _ in range(20):
        for source_id in [*world.domain_of][:8]:
            world.dma(source_id)
            world.batch(source_id, 8)
        for source_id in world.domain_of:
            world.interrupt(source_id)
        for name in order:
            getattr(world, name)()
            world.again()
    world.check()
    assert world.counts["done"] > 20


def test_a_message_address_is_no_memory_for_dma():
    """A read, or a write that is no message, at FEEx_xxxx: refused, and nobody is interrupted."""
    world, rng = World(5), random.Random(5)
    for source_id in [*world.domain_of, *rng.sample(range(IDS), 200)]:
        dma, iova = world.unit.dma_for(source_id), 0xFEE0_0000 | rng.getrandbits(20) & -4
        for access, argument in ((dma.read, 4), (dma.write, bytes(4))):
            with pytest.raises(DmaFault) as caught:
                access(iova, argument)
            assert caught.value.code == Reason.INTERRUPT_REQUEST
    assert not world.heard


# -- around the unit


class Switched(Rig):
    """Two cards below one switch, each in a domain of its own, behind a unit."""

    def __init__(self):
        super().__init__()
        self.plug_everything()
        self.access = open_ecam(self.cpu, ECAM)
        self.functions = enumerate_pci(self.cpu, self.access)
        self.arrived = []
        self.unit = VtdUnit(self.ram, message=self.arrived.append)
        self.memory.map(BASE, VtdUnit.length, self.unit, "vtd", width=8)
        self.root.memory, self.root.message = self.unit.dma_for, self.unit.remap
        self.vtd = VtdDriver(self.cpu, BASE, Room(0x8_0000, 0x8_0000))
        self.vtd.start()
        self.table = self.vtd.remap_interrupts()
        for card, gpa in ((self.left, 0x1_0000), (self.right, 0x2_0000)):
            domain = self.vtd.new_domain()
            self.vtd.map(domain, gpa, gpa, PAGE)
            self.vtd.attach(card.source_id, domain)
        self.vtd.enable()
        self.target = self.right.address(self.right.bars[0])

    def write(self, iova, data):
        """A write of the left card: whether it was done."""
        try:
            self.left.dma.write(iova, data)
        except DmaFault:
            return False
        return True


@pytest.mark.parametrize("acs", [False, True])
def test_a_peer_is_reached_around_the_unit_only_without_acs(acs):
    """1,000 writes to the neighbour's registers. Without ACS all arrive, and no fault is recorded.

    With it each comes up to the unit, which knows no such address for this source id.
    """
    rig, rng = Switched(), random.Random(6)
    if acs:
        assert enable_acs_everywhere(rig.access, rig.functions)
    leaks, recorded = 0, set()
    for number in range(1, 1001):
        done = rig.write(rig.target + rng.randrange(2) * 4, number.to_bytes(4, "little"))
        seen = number in (rig.right.scratch.FIRST, rig.right.scratch.SECOND)
        assert done == seen
        leaks += done
        recorded |= {(fault.source_id, fault.reason) for fault in rig.vtd.faults.read()}
    assert leaks == (0 if acs else 1000)
    assert recorded == ({(rig.left.source_id, Reason.WRITE)} if acs else set())


def test_with_acs_each_card_has_its_memory_and_its_interrupts():
    rig = Switched()
    enable_acs_everywhere(rig.access, rig.functions)
    assert rig.write(0x1_0000, b"mine")
    assert not rig.write(0x2_0000, b"not mine")
    assert rig.ram.read(0x2_0000, 8) == bytes(8)
    ours = rig.table.route(rig.left.source_id, Interrupt(0x41, 0))
    theirs = rig.table.route(rig.right.source_id, Interrupt(0x42, 0))
    for msi in (ours, theirs, Interrupt(0x43, 0).message()):
        rig.write(msi.address, msi.data.to_bytes(4, "little"))
    assert [Interrupt.of(msi).vector for msi in rig.arrived] == [0x41]
    assert {fault.source_id for fault in rig.vtd.faults.read()} == {rig.left.source_id}
