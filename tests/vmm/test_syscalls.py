"""The VMM takes the system calls: it answers as the kernel would, and the kernel never runs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm.rig import Host
from virtlab.backends import SECTOR, Disk
from virtlab.guest.calls import GETPID, Call, Errno, Registers, Span
from virtlab.guest.files import FlatFiles
from virtlab.guest.kernel import PID, USER, VOLUME, Application, Kernel
from virtlab.memory import PAGE
from virtlab.vmm.exits import ExceptionExit
from virtlab.vmm.syscalls import INVALID_OPCODE, RamMemory, ShadowRoutines
from virtlab.vmm.vcpu import Resume
from virtlab.vmm.virtual_machine import VirtualMachine

DISK = (VOLUME.start + VOLUME.size) * SECTOR
RAM_PAGES = 48
"""Less than the application's memory goes to: its end is not there."""


class World:
    """A VM with a kernel and shadow routines, on a disk with a file of 8 sectors."""

    def __init__(self, disk=None):
        self.host = Host()
        self.vm = VirtualMachine(self.host, self.host.frames, RAM_PAGES * PAGE)
        self.disk = disk or self.formatted()
        self.kernel = Kernel(self.vm.cpu, self.disk, self.host.trace)
        self.shadow = ShadowRoutines(self.vm, self.disk, self.kernel.entry)
        self.app = Application(self.vm.cpu, self.shadow.syscall)

    @staticmethod
    def formatted():
        disk = Disk(DISK)
        FlatFiles.format(disk, VOLUME.start, VOLUME.size).create(b"notes", 8, 8 * SECTOR)
        return disk


def test_one_exit_and_the_bytes_are_on_the_disk():
    world = World()
    descriptor = world.app.open(b"notes")
    world.host.trace.clear()
    data = bytes(n % 251 for n in range(4096))
    assert world.app.write(descriptor, data) == 4096
    assert world.disk.read(VOLUME.start + 1, 8) == data
    assert world.host.trace.counts["exit ExceptionExit"] == world.host.trace.counts["exit"] == 1
    assert world.host.trace.counts["system call"] == 0
    assert world.app.read(world.app.open(b"notes"), 4096) == data
    assert (world.shadow.simulated, world.shadow.reflected) == (4, 0)


def test_a_call_that_is_not_on_files_goes_to_the_kernel_for_two_exits():
    world = World()
    assert world.app.call(GETPID) == PID
    assert world.host.trace.counts["exit"] == 2
    assert world.host.trace.counts["system call"] == 1
    assert (world.shadow.simulated, world.shadow.reflected) == (0, 1)


def test_what_the_kernel_has_opened_the_vmm_does_not_know():
    world = World()
    before = Application(world.vm.cpu, world.kernel.entry)
    descriptor = before.open(b"notes")
    assert before.write(descriptor, b"x") == 1
    assert world.app.write(descriptor, b"x") == -Errno.EBADF


def test_the_kernels_own_picture_of_a_file_grows_old():
    world = World()
    FlatFiles(world.disk, VOLUME.start, VOLUME.size).create(b"log", 8)
    direct = Application(world.vm.cpu, world.kernel.entry)
    direct.open(b"log")
    world.app.write(world.app.open(b"log"), b"by the VMM")
    assert direct.read(direct.open(b"log"), 10) == b""
    assert world.app.read(world.app.open(b"log"), 10) == b"by the VMM"


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ((Call.WRITE, 9, USER.start, 1), -Errno.EBADF),
        ((Call.WRITE, 3, 0, 4096), -Errno.EFAULT),
        ((Call.WRITE, 3, RAM_PAGES * PAGE - 1, 2), -Errno.EFAULT),
        ((Call.READ, 3, RAM_PAGES * PAGE - 1, 2), -Errno.EFAULT),
        ((Call.WRITE, 3, RAM_PAGES * PAGE - 2, 2), 2),
        ((Call.OPEN, 2**64 - 1), -Errno.EFAULT),
    ],
)
def test_a_bad_argument_is_the_calls_error_and_never_the_vmms(call, answer):
    world = World()
    world.app.open(b"notes")
    assert world.app.call(*call) == answer
    assert world.host.trace.counts["exit"] == 2


def test_a_disk_that_can_only_be_read_is_eio():
    disk = Disk(bytearray(World.formatted().read(0, DISK // SECTOR)), read_only=True)
    world = World(disk)
    descriptor = world.app.open(b"notes")
    assert world.app.write(descriptor, b"x") == -Errno.EIO
    assert world.app.read(descriptor, 2) == bytes(2)


def test_a_disk_without_room_for_the_volume_is_refused():
    with pytest.raises(ValueError, match="no room for the volume"):
        World(Disk(DISK - SECTOR))


def test_an_exception_that_is_no_system_call_is_left_alone():
    world = World()
    for vector in (INVALID_OPCODE, 13):
        assert world.shadow.handle(ExceptionExit(vector)) == Resume(0)
    world.shadow._registers = Registers(Call.WRITE)
    assert world.shadow.handle(ExceptionExit(13)) == Resume(0)
    assert (world.shadow.simulated, world.shadow.reflected) == (0, 0)


word = st.integers(0, 2**64 - 1) | st.integers(0, 20) | st.integers(USER.start, USER.start + 9000)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 5), word, word, word), max_size=6))
def test_the_vmm_answers_any_registers_as_the_kernel_does(calls):
    shadowed, plain = World(), World()
    direct = Application(plain.vm.cpu, plain.kernel.entry)
    user = Span(USER.start, RAM_PAGES * PAGE - USER.start)
    plain.kernel.calls.memory = RamMemory(plain.vm.ram, user)
    for app in (shadowed.app, direct):
        app.open(b"notes")
    for call in calls:
        assert shadowed.app.call(*call) == direct.call(*call)
    everything = (0, DISK // SECTOR)
    assert shadowed.disk.read(*everything) == plain.disk.read(*everything)
    assert shadowed.vm.ram.read(0, USER.start) == bytes(USER.start)
