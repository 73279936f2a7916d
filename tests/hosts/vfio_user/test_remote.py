"""Our guest drivers, unchanged, on a function that another thread has."""

from __future__ import annotations

import errno
import gc
import random

import pytest

from tests.descriptors import fd_count
from tests.hosts.vfio_user.bench import Card, Scratch
from tests.hosts.vfio_user.world import MESSAGES, ROOM, Machine, elsewhere
from virtlab.backends.disk import Disk
from virtlab.backends.network import Link
from virtlab.clock import MICROSECOND
from virtlab.devices.e1000 import E1000Function
from virtlab.devices.edu import EduFunction
from virtlab.guest.calls import BlocksFailed
from virtlab.guest.e1000 import E1000Driver
from virtlab.guest.edu import EduDriver
from virtlab.guest.msi import MsiDriver
from virtlab.guest.msix import MsixDriver
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.hosts.vfio_user.layouts import IrqIndex
from virtlab.hosts.vfio_user.messages import Refused
from virtlab.hosts.vfio_user.real_clock import RealClock
from virtlab.pci.capabilities import Msi, PowerManagement
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.status import Interrupt, Status

DATA = 0x8_0000
MEMORIES = pytest.mark.parametrize("shared", [True, False], ids=["mapped", "asked for"])
SOON = 5_000_000_000


@pytest.fixture
def edu(machine_with):
    """A machine with edu, whose work takes no time worth waiting for; and its driver."""

    def build(**how):
        clock = RealClock()
        function = EduFunction(clock)
        function.edu.dma_time = MICROSECOND
        machine = machine_with(function, clock, **how)
        return machine, EduDriver(machine.cpu, machine.found.bar(0))

    return build


def test_who_it_is(edu):
    machine, driver = edu()
    assert (machine.found.vendor, machine.found.device) == (0x1234, 0x11E8)
    assert driver.detect()
    assert driver.factorial(10) == 3628800


@MEMORIES
def test_edu_moves_bytes(edu, shared):
    machine, driver = edu(shared=shared)
    data = random.Random(1).randbytes(3000)
    machine.cpu.write(DATA, data)
    driver.to_device(DATA, len(data))
    driver.from_device(DATA + 0x4000, len(data))
    assert machine.cpu.read(DATA + 0x4000, len(data)) == data


def test_edu_pulls_its_pin(edu):
    machine, driver = edu()
    pics = machine.listen()
    for n, product in ((5, 120), (6, 720)) * 10:
        assert driver.factorial(n, interrupt=True) == product
        pics.eoi(machine.found.line)
    driver.raise_interrupt(0x10)
    assert driver.sleep(SOON) == 0x10


def test_the_pin_stays_up_until_the_reason_is_gone(edu):
    """Level-triggered over events: what is still up is told of again (AUTOMASKED, UNMASK)."""
    machine, driver = edu()
    pics = machine.listen()
    driver.raise_interrupt(1)
    for _ in range(3):
        assert machine.cpu.wait(SOON) is not None
        pics.eoi(machine.found.line)
        assert driver.alive()  # an access that does not acknowledge
    driver.sleep()
    assert machine.cpu.wait(3_000_000) is None


def test_edu_sends_a_message(edu):
    """MSI: the address and the datum are the guest's, and lead into its own memory here."""
    machine, driver = edu()
    MsiDriver(machine.access, machine.found.place).enable(DATA, 0x4321)
    driver.raise_interrupt(1)
    machine.clock.advance_until(lambda: machine.ram.load(DATA, 4) != 0, SOON)
    assert machine.ram.load(DATA, 4) == 0x4321


@pytest.mark.parametrize("vectors", [None, (0, 1)], ids=["pin", "MSI-X"])
def test_a_disk_behind_pci(machine_with, vectors):
    storage = Disk.of(bytes(1 << 20))
    function = VirtioPci(VirtioBlk(storage))
    machine = machine_with(function)
    transport = ModernPci(machine.cpu, machine.access, machine.found)
    if vectors:
        msix = MsixDriver(machine.cpu, machine.access, machine.found)
        for vector in range(msix.vectors):
            msix.set(vector, 0xFEE0_0000, 0x40 + vector)
        msix.enable()
    machine.listen()
    driver = BlkDriver(machine.cpu, transport, Room(*ROOM), interrupts=True, vectors=vectors)
    driver.start()
    assert driver.get_id() == "virtlab"
    data = random.Random(2).randbytes(40 * 512)
    driver.write(7, data)
    assert driver.read(7, 40) == data
    assert storage.read(7, 40) == data
    # The driver asks for interrupts only where it must wait. So let the device want one.
    pics = machine.listen()
    machine.there.do(lambda: function.core.interrupt(Interrupt.QUEUE, 0))
    assert pics.next_irq() == (MESSAGES if vectors else machine.found.line)
    if vectors:
        assert machine.messages[-1] == (0xFEE0_0000, 0x41)
    else:
        assert transport.interrupts() == Interrupt.QUEUE


@MEMORIES
def test_frames_through_an_e1000(machine_with, shared):
    clock, link = RealClock(), Link("cable")
    sent = []
    link.b.listener = sent.append
    machine = machine_with(E1000Function(clock, link.a), clock, shared=shared)
    driver = E1000Driver(machine.cpu, machine.found.bar(0), ROOM[0])
    driver.start()
    frame = bytes.fromhex("02aabbccddee") + driver.address + b"\x88\xb5" + bytes(range(200))
    driver.send(frame)
    assert sent == [frame]
    machine.listen()
    driver.unmask("RXT0")
    answer = driver.address + frame[6:]
    # It is not waited for here: the card asks this end for memory, which must be free to answer.
    machine.there.loop.call(lambda: link.b.send(answer))
    assert driver.receive_asleep(SOON).frame == answer


def test_virtqueues_need_memory_that_is_mapped(machine_with, monkeypatch):
    """A buffer is looked at where it is. What can only be asked for is refused, as no memory is."""
    monkeypatch.setattr("virtlab.guest.virtio_transport.POLLS", 20)
    machine = machine_with(VirtioPci(VirtioBlk(Disk.of(bytes(1 << 20)))), shared=False)
    transport = ModernPci(machine.cpu, machine.access, machine.found)
    driver = BlkDriver(machine.cpu, transport, Room(*ROOM))
    driver.start()
    with pytest.raises(BlocksFailed):
        driver.read(0)
    assert transport.status() & Status.DEVICE_NEEDS_RESET


def test_a_doorbell_that_a_driver_did_not_ring(machine_with):
    """A driver that adds while its queue is handled may have been told not to ring."""
    function = VirtioPci(VirtioBlk(Disk.of(bytes(1 << 20))))
    machine = machine_with(function)
    transport = ModernPci(machine.cpu, machine.access, machine.found)
    driver = BlkDriver(machine.cpu, transport, Room(*ROOM))
    driver.start()
    lost = []

    def lose(index):
        lost.append(index)
        del function.core.notify

    function.core.notify = lose
    assert driver.read(0) == bytes(512)
    assert lost == [0]


def test_memory_that_moves_is_nobodys_mistake(machine_with):
    """A client maps a window anew: in between there is no memory, and the device is not broken."""
    machine = machine_with(VirtioPci(VirtioBlk(Disk.of(bytes(1 << 20)))))
    transport = ModernPci(machine.cpu, machine.access, machine.found)
    driver = BlkDriver(machine.cpu, transport, Room(*ROOM))
    driver.start()
    for region in machine.ram.regions:
        machine.client.unmap(region.start, region.size)
    assert transport.status() == Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK | (
        Status.DRIVER_OK
    )
    for region in machine.ram.regions:
        machine.client.map(region.start, region.size, machine.ram.fd, region.offset)
    assert driver.read(0) == bytes(512)


def test_every_part_of_a_function(machine_with):
    card = Card()
    card.memory_bar(4, Scratch(0x1000), 0x1000, bits=64, prefetchable=True)
    machine = machine_with(card)
    assert machine.client.device_info() == (3, 9, 5)
    kinds = {bar.index: (bar.space, bar.size) for bar in machine.found.bars}
    assert kinds == {
        **{0: ("memory", 0x1000), 1: ("memory", 0x1000)},
        **{2: ("port", 0x40), 4: ("memory", 0x1000)},
    }
    cpu, found = machine.cpu, machine.found
    cpu.out(found.bar(2) + 4, 0x1234, 2)
    assert cpu.inp(found.bar(2) + 4, 2) == 0x1234
    cpu.store(found.bar(4) + 8, 0x1122_3344_5566_7788, 8)
    assert cpu.load(found.bar(4) + 8, 8) == 0x1122_3344_5566_7788
    # The table of MSI-X is this end's, the pending bits are the server's.
    cpu.store(found.bar(1), 0x1234_5678)
    assert cpu.load(found.bar(1)) == 0x1234_5678
    assert card.table.entries[0].ADDRESS != 0x1234_5678
    pba = found.bar(1) + card.table.pba_offset
    machine.there.do(lambda: card.table.notify(1))
    cpu.store(pba, 0)
    assert cpu.load(pba) == 0b010
    # Beyond 256 bytes there is no configuration space.
    assert machine.function.config.read(256, 4) == 0xFFFF_FFFF
    machine.function.config.write(256, 4, 1)


def test_a_reset_on_this_side_is_one_on_that(machine_with):
    card = Card()
    machine = machine_with(card)
    machine.cpu.store(machine.found.bar(0), 0x55, 1)
    machine.function.reset()
    assert card.resets == 1
    assert not machine.function.header.COMMAND
    assert machine.function.config.read(4, 2) == 0


def test_a_list_of_capabilities_that_is_a_loop(machine_with):
    """A server is trusted no more than a guest is."""
    card = Card()
    card.config.find(PowerManagement).preset(NEXT=0x40)
    machine = machine_with(card)
    assert machine.function.config.find(Msi) is not None


def test_capabilities_that_cannot_be(machine_with):
    card = Card()
    card.config.place(0x80, Msi()).preset(NEXT=0x84, ADDRESS=0x05)
    card.config.find(PowerManagement).preset(NEXT=0x80)
    with pytest.raises(ConnectionError, match="overlaps"):
        machine_with(card)


# -- a server that dies, refuses, or lies


def refused(*_, **__):
    raise Refused(errno.EPERM, "not for you")


def test_a_server_that_has_gone_leaves_no_descriptor_behind(path):
    before = fd_count()
    with elsewhere(Card(), path) as there:
        machine = Machine(path)
        there.do(lambda: there.services[0]._hang_up(there.services[0].server))
        with pytest.raises(ConnectionError):
            machine.cpu.load(machine.found.bar(0), 4)
        machine.close()
    del machine
    gc.collect()
    assert fd_count() == before


def test_an_access_that_is_refused_is_one_that_nobody_answers(machine_with, monkeypatch):
    machine = machine_with(Card())
    gpa = machine.found.bar(0)
    regions = machine.there.services[0].slot.regions
    monkeypatch.setattr(regions, "read", refused)
    monkeypatch.setattr(regions, "write", refused)
    machine.cpu.store(gpa, 5, 4)
    assert machine.cpu.load(gpa, 4) == 0xFFFF_FFFF
    # Nor does anything else that a guest leads to.
    monkeypatch.setattr(machine.client, "unmask", refused)
    monkeypatch.setattr(machine.client, "reset", refused)
    machine.function.irq.set(True)
    machine.cpu.store(gpa, 5, 4)
    machine.function.reset()
    config = machine.function.config
    config.write(0x80, 4, 5)
    assert config.read(0x80, 4) == 0xFFFF_FFFF


def test_no_more_interrupts_are_heard_than_this_end_has(machine_with, monkeypatch):
    """A server may say that there are four thousand million."""
    machine = machine_with(Card(vectors=3))
    client, heard = machine.client, []
    monkeypatch.setattr(client, "irq_info", lambda kind: (0, (1 << 32) - 1))
    monkeypatch.setattr(client, "listen_to", lambda kind, first, fds: heard.append(len(fds)))
    for kind in (IrqIndex.MSI, IrqIndex.MSIX):
        machine.function._listen_to(kind)
    assert heard == [32, 3]


def test_interrupts_that_are_refused(machine_with, monkeypatch):
    machine = machine_with(Card())
    before = fd_count()
    monkeypatch.setattr(machine.client, "listen_to", refused)
    with pytest.raises(ConnectionError, match="not for you"):
        machine.function._listen_to(IrqIndex.MSI)
    assert machine.function._events == {}
    assert fd_count() == before - 2  # the pin's, at both ends
