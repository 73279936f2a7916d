"""The vCPU: direct accesses reach the host with no exit, all others exit as often as predicted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vmm.rig import MMIO, Host, vm_on
from virtlab.guest.uart import COM1, PortRegisters, UartDriver
from virtlab.memory import PAGE
from virtlab.vmm.exits import EptViolation, HltExit, IoExit, ShadowFault
from virtlab.vmm.vcpu import MAX_RETRIES, Hlt, In, Load, Out, Resume, Store, VirtualCpu, pieces

both = pytest.mark.parametrize("paging", ["ept", "shadow"])
RAM_BYTES = 8 * PAGE

sizes = st.sampled_from([1, 2, 4, 8])
accesses = st.lists(
    st.tuples(st.booleans(), st.integers(0, RAM_BYTES - 8), sizes, st.integers(0, (1 << 64) - 1)),
    max_size=30,
)


def play(cpu, steps, base=0):
    """Loads and stores; what the loads gave."""
    answers = []
    for write, at, size, value in steps:
        if write:
            cpu.store(base + at, value, size)
        else:
            answers.append(cpu.load(base + at, size))
    return answers


# -- memory


@both
@given(steps=accesses)
def test_ram_is_direct_and_gives_the_same_bytes_as_on_the_host(paging, steps):
    host = Host()
    vm, _, _ = vm_on(host, paging=paging)
    assert play(vm.cpu, steps) == play(Host().cpu, steps)
    assert vm.vmm.exits.total() == 0


@both
@given(steps=accesses)
def test_ram_taken_away_still_works_and_exits_once_a_piece(paging, steps):
    vm, _, _ = vm_on(Host(), paging=paging)
    vm.withdraw_memory(0, RAM_BYTES)
    assert play(vm.cpu, steps) == play(Host().cpu, steps)
    assert vm.vmm.exits.total() == sum(len(pieces(at, size)) for _, at, size, _ in steps)
    vm.assign_memory(0, vm.ram.hpa(0), PAGE)
    assert vm.cpu.read(0, PAGE) == vm.ram.read(0, PAGE)


@both
@given(steps=accesses.map(lambda steps: [step for step in steps if step[1] < PAGE]))
def test_a_device_assigned_is_the_same_with_no_exit(paging, steps):
    host, bare = Host(), Host()
    vm, _, virtual = vm_on(host, paging=paging)
    vm.assign_memory(MMIO, MMIO, 2 * PAGE)
    assert play(vm.cpu, steps, MMIO) == play(bare.cpu, steps, MMIO)
    assert host.latch.bytes == bare.latch.bytes
    assert (vm.vmm.exits.total(), virtual.log) == (0, [])


@both
@given(steps=accesses.map(lambda steps: [step for step in steps if step[1] < PAGE]))
def test_a_device_emulated_is_the_same_and_leaves_the_hosts_alone(paging, steps):
    host, bare = Host(), Host()
    vm, _, virtual = vm_on(host, paging=paging)
    assert play(vm.cpu, steps, MMIO) == play(bare.cpu, steps, MMIO)
    assert virtual.bytes == bare.latch.bytes
    assert host.latch.log == []
    assert vm.vmm.exits.total() == sum(len(pieces(MMIO + at, size)) for _, at, size, _ in steps)


def test_an_access_over_a_border_checks_each_page():
    host = Host()
    vm, _, virtual = vm_on(host)
    vm.assign_memory(MMIO, MMIO, PAGE)
    vm.cpu.store(MMIO + PAGE - 2, 0x44332211, 4)
    assert host.latch.log == [("w", PAGE - 2, 2)]
    assert virtual.log == [("w", PAGE, 2)]
    assert vm.cpu.load(MMIO + PAGE - 2, 4) == 0x44332211
    assert vm.vmm.exits == {"EptViolation": 2}


@given(st.integers(0, 3 * PAGE), st.sampled_from([1, 2, 4, 8]))
def test_pieces_stay_inside_a_page_and_make_up_the_access(gpa, size):
    parts = pieces(gpa, size)
    assert all(n in (1, 2, 4, 8) and at // PAGE == (at + n - 1) // PAGE for at, n, _ in parts)
    assert [byte for at, n, _ in parts for byte in range(at, at + n)] == [*range(gpa, gpa + size)]
    assert all(shift == 8 * (at - gpa) for at, _, shift in parts)


def test_guest_physical_is_not_host_physical():
    host = Host()
    vm, _, _ = vm_on(host)
    vm.cpu.write(0, bytes(range(256)) * (RAM_BYTES // 256))
    frames = [vm.ram.hpa(gpa) for gpa in range(0, RAM_BYTES, PAGE)]
    assert frames != sorted(frames)
    assert all(host.ram.read(hpa, PAGE) == bytes(range(256)) * 16 for hpa in frames)
    assert not any(host.ram.read(0, 0x40000))


# -- string moves


@both
@given(gpa=st.integers(0, RAM_BYTES), length=st.integers(0, 3 * PAGE))
def test_a_string_move_over_scattered_frames(paging, gpa, length):
    vm, _, _ = vm_on(Host(), paging=paging)
    data = (bytes(range(1, 252)) * 50)[: min(length, RAM_BYTES - gpa)]
    vm.cpu.write(gpa, data)
    assert vm.cpu.read(gpa, len(data)) == data == vm.ram.read(gpa, len(data))
    assert vm.vmm.exits.total() == 0


@both
def test_a_string_move_to_an_emulated_device_exits_once_a_byte(paging):
    vm, _, virtual = vm_on(Host(), paging=paging)
    vm.cpu.write(MMIO + 3, b"hello")
    assert vm.vmm.exits.total() == 5
    assert vm.cpu.read(MMIO + 3, 5) == b"hello"
    assert vm.vmm.exits.total() == 10
    assert virtual.bytes[3:8] == b"hello"


def test_a_string_move_has_the_bare_machines_bounds():
    vm, _, _ = vm_on(Host())
    for length in (-1, 1 << 40):
        with pytest.raises(ValueError, match="a string move has"):
            vm.cpu.read(0, length)
    with pytest.raises(ValueError, match="a string move has"):
        vm.cpu.write(0, bytes((16 << 20) + 1))


# -- ports


def test_a_trapped_uart_is_the_virtual_one_and_every_access_exits():
    host = Host()
    vm, terminal, _ = vm_on(host)
    with host.trace.recording() as events:
        UartDriver(PortRegisters(vm.cpu, COM1)).write(b"hello from a VM")
    kinds = [event.kind for event in events]
    accesses = kinds.count("in") + kinds.count("out")
    assert terminal.output == b"hello from a VM"
    assert host.terminal.output == b""
    assert vm.vmm.exits == {"IoExit": accesses}
    assert kinds.count("exit") == kinds.count("entry") == accesses >= 15


def test_an_open_uart_is_the_hosts_and_nothing_exits():
    host = Host()
    vm, terminal, _ = vm_on(host)
    vm.assign_ports(COM1, 8)
    UartDriver(PortRegisters(vm.cpu, COM1)).write(b"straight to the hardware")
    assert host.terminal.output == b"straight to the hardware"
    assert terminal.output == b""
    assert vm.vmm.exits.total() == 0
    vm.withdraw_ports(COM1, 8)
    vm.cpu.out(COM1, 0x41)
    assert terminal.output == b"A"


# -- one instruction at a time


def test_a_run_ends_with_an_answer_or_with_a_record():
    vm, _, _ = vm_on(Host())
    assert vm.cpu.run(In(0x3F8, 1)) == IoExit(0x3F8, 1, write=False)
    assert vm.cpu.run(Out(0x80, 2, 0x12345)) == IoExit(0x80, 2, write=True, value=0x2345)
    assert vm.cpu.run(Load(MMIO, 4)) == EptViolation(MMIO, 4, write=False)
    assert vm.cpu.run(Store(MMIO, 1, 0x1FF)) == EptViolation(MMIO, 1, write=True, value=0xFF)
    assert vm.cpu.run(Hlt(7)) == HltExit(7)
    assert vm.cpu.run(Store(8, 4, 5)) == 0
    assert vm.cpu.run(Load(8, 4)) == 5
    shadow, _, _ = vm_on(Host(), paging="shadow")
    assert shadow.cpu.run(Load(MMIO, 4)) == ShadowFault(MMIO, 4, write=False, error_code=0)
    assert shadow.cpu.run(Store(MMIO, 4, 1)).error_code == 2


def test_a_run_that_exits_changed_nothing():
    host = Host()
    vm, _, virtual = vm_on(host)
    for _ in range(3):
        vm.cpu.run(Store(MMIO, 4, 1))
        vm.cpu.run(Out(0x3F8, 1, 0x41))
    assert virtual.log == host.latch.log == []
    assert host.terminal.output == b""


class Lazy:
    """A VMM that maps what was missing and lets the guest try again; never, if `helps` is False."""

    def __init__(self, vm, helps=True):
        self.vm, self.helps, self.seen = vm, helps, []

    def handle(self, exit):
        self.seen.append(exit)
        if self.helps:
            self.vm.assign_memory(exit.gpa & -PAGE, MMIO, PAGE)
        return Resume(again=True)


@both
def test_an_instruction_is_run_again_when_the_vmm_says_so(paging):
    host = Host()
    vm, _, _ = vm_on(host, paging=paging)
    vmm = Lazy(vm)
    cpu = VirtualCpu(host.ports, host.memory, vm.io_bitmap, vm.tables, vmm)
    cpu.store(MMIO + 4, 0x55, 1)
    assert cpu.load(MMIO + 4, 1) == 0x55
    assert host.latch.bytes[4] == 0x55
    assert len(vmm.seen) == 1


def test_a_vmm_that_gets_nowhere_is_our_bug():
    host = Host()
    vm, _, _ = vm_on(host)
    vmm = Lazy(vm, helps=False)
    cpu = VirtualCpu(host.ports, host.memory, vm.io_bitmap, vm.tables, vmm)
    with pytest.raises(RuntimeError, match="without end"):
        cpu.load(MMIO)
    assert len(vmm.seen) == MAX_RETRIES


# -- a hostile guest

anything = st.one_of(
    st.integers(),
    st.integers(0, 1 << 53),
    st.integers(MMIO - 9, MMIO + 9000),
    st.integers(0, 9 * PAGE),
    st.integers(0x3F0, 0x401),
)
any_size = st.one_of(st.integers(-2, 9), st.sampled_from([16, 1 << 40, -(1 << 40)]))
verbs = st.sampled_from(["inp", "out", "load", "store", "read", "write", "wait"])


@both
@given(
    calls=st.lists(st.tuples(verbs, anything, any_size, st.integers()), max_size=25),
    opened=st.booleans(),
)
def test_nothing_a_guest_does_raises(paging, calls, opened):
    host = Host()
    vm, _, _ = vm_on(host, paging=paging)
    if opened:
        vm.assign_ports(0, 1 << 16)
        vm.assign_memory(MMIO, MMIO, PAGE)
    for verb, at, size, value in calls:
        match verb:
            case "inp" | "load":
                assert 0 <= getattr(vm.cpu, verb)(at, size) < 1 << 64
            case "out" | "store":
                getattr(vm.cpu, verb)(at, value, size)
            case "read":
                assert len(vm.cpu.read(at, size % 40)) == size % 40
            case "write":
                vm.cpu.write(at, bytes(size % 40))
            case "wait":
                assert vm.cpu.wait(value) is None
    assert sum(host.ram.read(0, 0x40000)) == 0, "a guest wrote outside its frames"
