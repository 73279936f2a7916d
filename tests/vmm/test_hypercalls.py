"""A para-virtual driver and its service: one exit for a request; a wrong one has a status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vmm.rig import Host
from virtlab.backends import SECTOR, Disk
from virtlab.guest.blocks import BLOCK_READ, BLOCK_WRITE, MAX_SECTORS, HypercallBlocks, Status
from virtlab.memory import PAGE
from virtlab.vmm.exits import VmcallExit
from virtlab.vmm.hypercalls import BlockService
from virtlab.vmm.vcpu import Resume, Vmcall
from virtlab.vmm.virtual_machine import VirtualMachine
from virtlab.vmm.vmm import NO_SUCH_CALL

SECTORS, PAGES, AT = 200, 20, 0x2000


class World:
    """A VM with a block service."""

    def __init__(self, disk=None):
        self.host = Host()
        self.vm = VirtualMachine(self.host, self.host.frames, PAGES * PAGE)
        self.disk = disk or Disk(SECTORS * SECTOR)
        self.service = BlockService(self.vm, self.disk)


@pytest.mark.parametrize("sectors", [1, 8, MAX_SECTORS])
def test_a_request_is_one_exit_whatever_its_size(sectors):
    world = World()
    blocks = HypercallBlocks(world.vm.cpu, world.service.vmcall, AT)
    data = bytes(n % 251 for n in range(sectors * SECTOR))
    blocks.write(5, data)
    assert world.disk.read(5, sectors) == data
    assert world.vm.vmm.exits == {"VmcallExit": 1}
    assert blocks.read(5, sectors) == data
    assert world.vm.vmm.exits == {"VmcallExit": 2}


def test_the_buffer_lies_in_frames_that_are_not_next_to_each_other():
    world = World()
    frames = [world.vm.ram.hpa(AT + n * PAGE) for n in range(3)]
    assert frames != [frames[0] + n * PAGE for n in range(3)]
    world.vm.cpu.write(AT, bytes([1]) * PAGE + bytes([2]) * PAGE)
    assert world.service.vmcall(BLOCK_WRITE, (0, 16, AT)) == Status.OK
    assert world.disk.read(0, 16) == bytes([1]) * PAGE + bytes([2]) * PAGE


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ((0, 0, AT), Status.BAD_LENGTH),
        ((0, MAX_SECTORS + 1, AT), Status.BAD_LENGTH),
        ((0, 2**62, AT), Status.BAD_LENGTH),
        ((), Status.BAD_LENGTH),
        ((SECTORS, 1, AT), Status.BAD_SECTOR),
        ((SECTORS - 1, 2, AT), Status.BAD_SECTOR),
        ((-1, 1, AT), Status.BAD_SECTOR),
        ((2**64 - 1, 1, AT), Status.BAD_SECTOR),
        ((0, 1, PAGES * PAGE - 511), Status.BAD_ADDRESS),
        ((0, 1, 2**64 - 1), Status.BAD_ADDRESS),
        ((SECTORS - 1, 1, PAGES * PAGE - 512), Status.OK),
    ],
)
def test_a_wrong_request_has_a_status_and_moves_nothing(request_, status):
    for number in (BLOCK_READ, BLOCK_WRITE):
        world = World()
        world.vm.cpu.write(0, b"\xaa" * PAGES * PAGE)
        assert world.service.vmcall(number, request_) == status
        if status != Status.OK:
            assert world.disk.read(0, SECTORS) == bytes(SECTORS * SECTOR)
            assert world.vm.ram.read(0, PAGES * PAGE) == b"\xaa" * PAGES * PAGE


def test_a_disk_that_can_only_be_read():
    world = World(Disk(bytearray(b"z" * SECTOR), read_only=True))
    assert world.service.vmcall(BLOCK_WRITE, (0, 1, AT)) == Status.READ_ONLY
    assert world.service.vmcall(BLOCK_READ, (0, 1, AT)) == Status.OK
    assert world.vm.cpu.read(AT, 2) == b"zz"


def test_calls_about_something_else_go_to_whoever_had_them():
    world = World()
    assert world.vm.cpu.finish(Vmcall(0x99)) == NO_SUCH_CALL
    world.vm.vmm.handlers[VmcallExit] = lambda exit: Resume(exit.number + 1)
    BlockService(world.vm, world.disk)
    assert world.vm.cpu.finish(Vmcall(0x99)) == 0x9A
    assert world.vm.cpu.finish(Vmcall(BLOCK_READ, (0, 1, AT))) == Status.OK


number = st.integers(-2, 300) | st.integers(0, 2**64 - 1)


@given(st.sampled_from([BLOCK_READ, BLOCK_WRITE]), st.lists(number, max_size=5))
def test_any_arguments_are_answered(call, arguments):
    world = World()
    answer = world.service.vmcall(call, tuple(arguments))
    assert answer in list(Status)
    assert world.vm.vmm.exits == {"VmcallExit": 1}
