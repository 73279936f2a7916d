"""A virtual machine on a host: scattered RAM, its own spaces, and no way into another's."""

import pytest

from tests.vmm.rig import MMIO, Host, vm_on
from virtlab.errors import DmaFault
from virtlab.memory import PAGE
from virtlab.trace import Trace
from virtlab.vmm.virtual_machine import VirtualMachine


def test_ram_may_have_holes_as_a_pc_has():
    host = Host()
    vm = VirtualMachine(host, host.frames, [(0x10000, 2 * PAGE), (0, 3 * PAGE)])
    vm.cpu.write(0x10000, b"above")
    vm.cpu.write(3 * PAGE, b"hole")
    assert vm.ram.read(0x10000, 5) == b"above"
    assert vm.cpu.read(3 * PAGE, 4) == b"\xff" * 4
    with pytest.raises(DmaFault, match="no memory there"):
        vm.ram.read(3 * PAGE, 1)


def test_the_vmm_reaches_guest_ram_across_frames():
    vm, _, _ = vm_on(Host())
    data = bytes(range(256)) * 24
    vm.ram.write(100, data)
    assert vm.cpu.read(100, len(data)) == data
    assert vm.ram.read(100, len(data)) == data


def test_a_view_of_guest_ram_ends_where_the_frames_part():
    vm, _, _ = vm_on(Host())
    vm.ram.view(100, 4)[:] = (1, 2, 3, 4)
    assert vm.cpu.read(100, 4) == b"\x01\x02\x03\x04"
    frames = vm.ram.frames
    parted = next(gpa for gpa in frames if frames.get(gpa + PAGE, 0) != frames[gpa] + PAGE)
    with pytest.raises(DmaFault, match=r"not next to each other|no memory"):
        vm.ram.view(parted + PAGE - 2, 4)
    vm.ram.frames[PAGE] = vm.ram.frames[0] + PAGE
    assert len(vm.ram.view(0, 2 * PAGE)) == 2 * PAGE


def test_two_vms_share_no_frame_and_see_nothing_of_each_other():
    host = Host()
    one, _, _ = vm_on(host, name="one")
    two, _, _ = vm_on(host, name="two", paging="shadow")
    assert not set(one.ram.frames.values()) & set(two.ram.frames.values())
    one.cpu.write(0, b"\x11" * 8 * PAGE)
    assert two.cpu.read(0, 8 * PAGE) == bytes(8 * PAGE)
    one.cpu.out(0x3F8, 0x41)
    assert (one.vmm.exits.total(), two.vmm.exits.total()) == (1, 0)


def test_a_seed_decides_the_frames():
    frames = [tuple(vm_on(Host(), seed=seed)[0].ram.frames.values()) for seed in (1, 1, 2)]
    assert frames[0] == frames[1] != frames[2]


def test_events_go_to_the_hosts_trace_or_to_its_own():
    host = Host()
    own = Trace(host.clock)
    vm, _, _ = vm_on(host, trace=own)
    vm.cpu.load(MMIO)
    assert (own.counts["exit"], host.trace.counts["exit"]) == (1, 0)
    assert own.counts["load"] == 1


@pytest.mark.parametrize("ram", [100, [(1, PAGE)], [(0, PAGE), (0, PAGE)], 129 * PAGE])
def test_ram_that_cannot_be_is_refused(ram):
    host = Host()
    with pytest.raises(ValueError, match=r"whole pages|overlaps|frames are wanted"):
        VirtualMachine(host, host.frames, ram)
