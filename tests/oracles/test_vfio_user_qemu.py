"""Our guest drivers on QEMU's `vfio-user-pci`, and behind it functions of ours.

Between a driver and its device stands a client that is not ours: QEMU maps the BARs, gives the
interrupts, and says which memory there is.
"""

from __future__ import annotations

import contextlib
import random

import pytest

from tests.hosts.vfio_user.world import Elsewhere, running
from tests.oracles.vfio_user_qemu import found, function, needs_vfio_user
from virtlab.backends.disk import Disk
from virtlab.backends.network import Link
from virtlab.clock import MICROSECOND, SECOND
from virtlab.devices.e1000 import E1000Function
from virtlab.devices.edu import EduFunction
from virtlab.guest.e1000 import E1000Driver
from virtlab.guest.edu import EduDriver
from virtlab.guest.msi import MsiDriver
from virtlab.guest.msix import MsixDriver
from virtlab.guest.pci import PortAccess
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.hosts.remote import QtestMachine
from virtlab.hosts.vfio_user.real_clock import RealClock
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.status import Interrupt

DATA, ROOM = 0x20_0000, (0x30_0000, 1 << 20)
SLOT = 3
RAM = ["-object", "memory-backend-memfd,id=ram,size=64M,share=on"]


@contextlib.contextmanager
def qemu_with(made, path, clock=None):
    """QEMU with the function `made` in slot 3; gives the machine, what was found, and the rest."""
    there = Elsewhere()
    there.add(made, path, clock)
    with (
        running(there),
        QtestMachine(
            "q35,memory-backend=ram", [*RAM, *function(path, addr="0x3")], qemu=found()
        ) as cpu,
    ):
        functions = enumerate_pci(cpu)
        cpu.there = there
        yield cpu, next(each for each in functions if each.place.device == SLOT)
    assert there.refused == []


@pytest.fixture
def path(tmp_path):
    return tmp_path / "function.sock"


@needs_vfio_user
def test_edu_on_qemu(path):
    clock = RealClock()
    function = EduFunction(clock)
    function.edu.dma_time = MICROSECOND
    with qemu_with(function, path, clock) as (cpu, found):
        assert (found.vendor, found.device, found.class_code) == (0x1234, 0x11E8, 0x00FF00)
        driver = EduDriver(cpu, found.bar(0))
        assert driver.detect()
        assert driver.factorial(12) == 479001600
        data = random.Random(1).randbytes(3000)
        cpu.write(DATA, data)
        driver.to_device(DATA, len(data))
        driver.from_device(DATA + 0x4000, len(data))
        assert cpu.read(DATA + 0x4000, len(data)) == data


@needs_vfio_user
def test_its_pin_and_its_message_on_qemu(path):
    clock = RealClock()
    with qemu_with(EduFunction(clock), path, clock) as (cpu, found):
        driver = EduDriver(cpu, found.bar(0))
        pics = Pics(cpu)
        pics.remap()
        pics.unmask(found.line)
        driver.raise_interrupt(0x10)
        assert pics.next_irq(2 * SECOND) == found.line
        assert driver.alive()  # an access that does not acknowledge: the pin is up again
        pics.eoi(found.line)
        assert pics.next_irq(2 * SECOND) == found.line
        assert driver.sleep(0) == 0x10
        pics.eoi(found.line)
        MsiDriver(PortAccess(cpu), found.place).enable(DATA, 0x4321)
        driver.raise_interrupt(1)
        for _ in range(2000):
            if cpu.load(DATA, 4):
                break
        assert cpu.load(DATA, 4) == 0x4321


@needs_vfio_user
def test_a_disk_on_qemu(path):
    storage = Disk.of(bytes(1 << 20))
    function = VirtioPci(VirtioBlk(storage))
    with qemu_with(function, path) as (cpu, found):
        access = PortAccess(cpu)
        msix = MsixDriver(cpu, access, found)
        for vector in range(msix.vectors):
            msix.set(vector, DATA + 4 * vector, 0x40 + vector)
        msix.enable()
        driver = BlkDriver(cpu, ModernPci(cpu, access, found), Room(*ROOM), vectors=(0, 1))
        driver.start()
        data = random.Random(2).randbytes(40 * 512)
        driver.write(7, data)
        assert driver.read(7, 40) == storage.read(7, 40) == data
        cpu.there.do(lambda: function.core.interrupt(Interrupt.QUEUE, 0))
        for _ in range(2000):
            if cpu.load(DATA + 4, 4):
                break
        assert cpu.load(DATA + 4, 4) == 0x41


@needs_vfio_user
def test_frames_through_an_e1000_on_qemu(path):
    clock, link = RealClock(), Link("cable")
    sent = []
    link.b.listener = sent.append
    with qemu_with(E1000Function(clock, link.a), path, clock) as (cpu, found):
        driver = E1000Driver(cpu, found.bar(0), ROOM[0])
        driver.start()
        frame = bytes.fromhex("02aabbccddee") + driver.address + b"\x88\xb5" + bytes(range(200))
        driver.send(frame)
        assert sent == [frame]
        answer = driver.address + frame[6:]
        cpu.there.do(lambda: link.b.send(answer))
        assert driver.receive(2 * SECOND).frame == answer


@needs_vfio_user
def test_a_reset_of_the_machine_resets_the_function(path):
    clock = RealClock()
    function = EduFunction(clock)
    with qemu_with(function, path, clock) as (cpu, found):
        driver = EduDriver(cpu, found.bar(0))
        assert driver.alive()
        cpu.qmp("system_reset")
        for _ in range(2000):
            if not function.edu.values[0x04]:
                break
            cpu.load(DATA, 4)
        assert function.edu.values[0x04] == 0
        assert function.header.COMMAND & 7 == 0
