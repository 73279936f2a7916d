"""KVM: the same records and traces from the real processor, and what replaces exits there."""

import gc
import os
import struct
from itertools import pairwise
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import needs_kvm
from virtlab.guest import programs
from virtlab.hosts.kvm import KvmMachine, KvmProcessor, api, available
from virtlab.hosts.kvm import processor as processor_module
from virtlab.hosts.kvm.__main__ import main
from virtlab.hosts.kvm.machine import Slot, Stored, slots
from virtlab.machine import lesson_vm
from virtlab.memory import PAGE
from virtlab.vmm.exits import HltExit, IoExit, TripleFault
from virtlab.vmm.processor import Start, run_guest
from virtlab.vmm.vcpu import Resume
from virtlab.vmm.vmm import MAX_HALT

CLI_HLT = "fa f4"
GDT, IDT, POINTERS, HANDLER = 0x4000, 0x3000, 0x3800, 0x1100
LOAD_TABLES = "0f 01 15 00 38 00 00  0f 01 1d 08 38 00 00"  # lgdt [0x3800]; lidt [0x3808]


def loaded(code: str, **options):
    """A VM with `code` at the place where a guest starts."""
    vm = lesson_vm(**options)
    vm.vm.ram.write(Start().eip, bytes.fromhex(code))
    return vm


def with_handler(vm, vector: int, code: str):
    """Tables for one interrupt `vector`, and its handler."""
    ram = vm.vm.ram
    ram.write(GDT, struct.pack("<QQQ", 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF))
    ram.write(IDT + 8 * vector, struct.pack("<HHBBH", HANDLER, 8, 0, 0x8E, 0))
    ram.write(POINTERS, struct.pack("<HI2xHI", 0x17, GDT, 0x7FF, IDT))
    ram.write(HANDLER, bytes.fromhex(code))
    return vm


def run(vm, **options):
    with KvmProcessor(vm.vm, **options) as processor:
        return run_guest(processor, vm.vm.vmm)


# -- what needs no KVM


@pytest.mark.parametrize(
    ("call", "number"),
    [  # as strace prints them
        (api.CREATE_VM, 0xAE01),
        (api.SET_USER_MEMORY_REGION, 0x4020AE46),
        (api.RUN_VCPU, 0xAE80),
        (api.GET_REGS, 0x8090AE81),
        (api.SET_SREGS, 0x4138AE84),
        (api.INTERRUPT, 0x4004AE86),
        (api.IOEVENTFD, 0x4040AE79),
        (api.IRQFD, 0x4020AE76),
        (api.REGISTER_COALESCED_MMIO, 0x4010AE67),
    ],
)
def test_calls_have_the_kernels_numbers(call, number):
    assert call == number


def test_layouts_have_the_kernels_offsets():
    assert api.SREGS.fields["cr0"][1] == 224
    assert api.SREGS.fields["interrupt_bitmap"][1] == 280
    assert api.COALESCED_ENTRY.itemsize == 24


@given(st.dictionaries(st.integers(0, 30), st.integers(0, 30), max_size=20))
def test_slots_map_each_page_once_and_are_few(pages):
    pairs = [(PAGE * gpa, PAGE * address) for gpa, address in pages.items()]
    found = slots(pairs)
    flat = [
        (slot.gpa + at, slot.address + at) for slot in found for at in range(0, slot.length, PAGE)
    ]
    assert flat == sorted(pairs)
    for one, other in pairwise(found):
        joined = Slot(one.gpa + one.length, one.address + one.length, other.length)
        assert joined != other


def test_without_the_device_it_is_not_available(monkeypatch):
    monkeypatch.setattr(api, "DEVICE", "/nothing/here")
    assert not available()
    monkeypatch.setattr(api, "DEVICE", "/dev/null")
    assert not available()


# -- on the real processor


@needs_kvm
def test_a_small_guest_is_the_proof(capsys):
    assert available()
    main()
    assert capsys.readouterr().out == "HLT (reason 12, qualification 0x0)\n"


@needs_kvm
@pytest.mark.parametrize("paging", ["ept", "shadow"])
@pytest.mark.parametrize("program", [programs.PRINT_BY_PORTS, programs.PRINT_BY_MEMORY])
def test_a_string_is_printed_with_two_exits_a_character(program, paging):
    vm = lesson_vm(paging=paging)
    program.load(vm.cpu)
    vm.vm.ram.write(programs.ORIGIN + len(program.code), bytes.fromhex(CLI_HLT))
    assert run(vm) == HltExit(0)
    assert vm.terminal.text + vm.terminal2.text == "Hello"
    kind = {"ports": "IoExit"}.get(
        program.way, "EptViolation" if paging == "ept" else "ShadowFault"
    )
    assert vm.vm.vmm.exits == {kind: 10, "HltExit": 1}


@needs_kvm
def test_scattered_frames_are_the_guests_memory():
    vm = loaded("c7 05 fc 7f 00 00 78 56 34 12" + CLI_HLT)  # mov dword [0x7ffc], 0x12345678
    run(vm)
    assert vm.vm.ram.read(0x7FFC, 4) == bytes.fromhex("78563412")
    assert vm.host.ram.read(vm.vm.ram.hpa(0x7FFC), 4) == bytes.fromhex("78563412")


@needs_kvm
def test_a_string_instruction_exits_once_an_element():
    vm = loaded("ba 00 05 00 00 b9 03 00 00 00 bf 00 20 00 00 f3 66 6d" + CLI_HLT)
    with vm.trace.recording() as events:
        run(vm)
    exits = [event.note for event in events if event.kind == "exit"][:3]
    expected = IoExit(0x500, 2, False, string=True, rep=True)
    assert exits == [str(expected)] * 3
    assert vm.vm.ram.read(0x2000, 7) == b"\xff" * 6 + b"\0"


@needs_kvm
def test_the_form_is_read_across_a_page():
    vm = loaded("e6 80" + CLI_HLT)  # the bytes before EIP, 0x1002, begin in the page before
    with KvmProcessor(vm.vm) as processor:
        assert processor.run() == IoExit(0x80, 1, True, 0, immediate=True)


@needs_kvm
def test_open_ports_reach_the_host_with_no_record():
    vm = loaded("ba f8 03 00 00 b0 41 ee ba fd 03 00 00 ec a2 00 20 00 00" + CLI_HLT)
    vm.vm.assign_ports(0x3F8, 8)
    run(vm)
    assert (vm.host.terminal.text, vm.terminal.text) == ("A", "")
    assert vm.vm.vmm.exits == {"HltExit": 1}
    assert vm.vm.ram.read(0x2000, 1) == b"\x60"  # LSR: THRE, TEMT


@needs_kvm
def test_a_page_of_the_host_is_reached_with_no_record():
    vm = loaded("a1 00 00 0b 00 a3 04 00 0b 00" + CLI_HLT)  # mov eax, [0xb0000]; mov [0xb0004], eax
    vm.vm.assign_memory(0xB0000, 0xB8000, PAGE)
    vm.host.memory.write(0xB8000, 4, 0x07410742)
    run(vm)
    assert vm.host.memory.read(0xB8004, 4) == 0x07410742
    assert vm.vm.vmm.exits == {"HltExit": 1}


@needs_kvm
def test_ram_that_was_taken_away_exits_and_still_works():
    vm = loaded("a1 00 50 00 00 a3 04 50 00 00" + CLI_HLT)
    vm.vm.ram.write(0x5000, b"abcd")
    vm.vm.tables.unmap(0x5000, PAGE)
    run(vm)
    assert vm.vm.ram.read(0x5000, 8) == b"abcdabcd"
    assert vm.vm.vmm.exits == {"EptViolation": 2, "HltExit": 1}


@needs_kvm
def test_memory_follows_the_tables():
    vm = loaded("a1 00 50 00 00 " + CLI_HLT)
    with KvmProcessor(vm.vm) as processor:
        vm.vm.tables.unmap(0x5000, PAGE)
        processor.use_memory()
        assert processor.run().gpa == 0x5000


class OneVector:
    """An interrupt controller with one request."""

    pending = True

    def acknowledge(self):
        self.pending = False
        return 0x21


@needs_kvm
def test_an_interrupt_ends_a_halt():
    vm = with_handler(loaded(LOAD_TABLES + "fb f4" + CLI_HLT), 0x21, "ba f8 03 00 00 b0 5a ee cf")
    vm.vm.vmm.controller = OneVector()
    assert run(vm) == HltExit(0)
    assert vm.terminal.text == "Z"
    assert vm.vm.vmm.exits == {"HltExit": 2, "IoExit": 1}


@needs_kvm
@pytest.mark.parametrize("code", ["0f 0b", "ea 00 00 00 00 00 00"])  # ud2; jmp 0:0
def test_an_exception_without_tables_is_a_triple_fault(code):
    assert run(loaded(code)) == TripleFault()


@needs_kvm
def test_iret_takes_eip_and_flags_from_the_stack():
    vm = loaded("cf 90 90 fb f4")  # iretd; ...; sti; hlt
    vm.vm.ram.write(0x9000, struct.pack("<III", 0x1004, 8, 0x202))
    vm.vm.ram.write(0x1005, bytes.fromhex(CLI_HLT))
    with KvmProcessor(vm.vm) as processor:
        assert processor.run() == HltExit(MAX_HALT)  # IF came from the stack
        assert processor.machine.get(api.GET_REGS, api.REGS)["rsp"][0] == 0x900C


@needs_kvm
def test_a_return_with_no_stack_is_no_end_for_the_host():
    assert run(loaded("cf"), start=Start(esp=0xD000_0000), seconds=0.2) == TripleFault()


@needs_kvm
def test_a_guest_that_never_exits_is_stopped():
    with pytest.raises(ValueError, match=r"run for 0\.1 s without an exit"):
        run(loaded("eb fe"), seconds=0.1)


@needs_kvm
def test_a_guest_with_nothing_but_direct_accesses_comes_back(monkeypatch):
    monkeypatch.setattr(processor_module, "MAX_DIRECT", 10)
    vm = loaded("e6 80 eb fc")  # out 0x80, al; and again
    vm.vm.assign_ports(0x80, 1)
    with pytest.raises(ValueError, match="10 accesses to the host"):
        run(vm)


@needs_kvm
def test_outside_the_main_thread_there_is_no_timer():
    done = []
    vm = loaded(CLI_HLT)
    thread = Thread(target=lambda: done.append(run(vm)))
    thread.start()
    thread.join(10)
    assert done == [HltExit(0)]


@needs_kvm
def test_code_where_no_memory_is():
    vm = loaded("b8 00 00 00 d0 ff e0")  # jmp eax, to 0xd0000000
    assert isinstance(run(vm, seconds=0.2), TripleFault)


@needs_kvm
def test_a_wrong_version_is_refused(monkeypatch):
    monkeypatch.setattr(api, "VERSION", 11)
    with pytest.raises(OSError, match="version 12, not 11"):
        KvmMachine()


# -- what replaces exits


@needs_kvm
def test_a_kvm_that_keeps_no_stores_says_so(monkeypatch):
    monkeypatch.setattr(api, "CAP_COALESCED_MMIO", 0xFFFF)
    with KvmMachine() as machine, pytest.raises(OSError, match="keeps no stores"):
        machine.drain()


@needs_kvm
def test_an_ioeventfd_takes_the_place_of_an_exit():
    vm = loaded("ba 00 05 00 00 b0 07 ee b0 08 ee ee" + CLI_HLT)
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    with KvmProcessor(vm.vm) as processor:
        processor.machine.ioeventfd(fd, 0x500, 1, port=True, match=7)
        run_guest(processor, vm.vm.vmm)
    assert os.eventfd_read(fd) == 1
    os.close(fd)
    assert vm.vm.vmm.exits == {"IoExit": 2, "HltExit": 1}


@needs_kvm
def test_an_ioeventfd_in_memory_for_any_value():
    vm = loaded("a3 00 00 00 d0 40 a3 00 00 00 d0" + CLI_HLT)
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    with KvmProcessor(vm.vm) as processor:
        processor.machine.ioeventfd(fd, 0xD000_0000, 4, port=False, match=None)
        run_guest(processor, vm.vm.vmm)
    assert os.eventfd_read(fd) == 2
    os.close(fd)
    assert vm.vm.vmm.exits == {"HltExit": 1}


@needs_kvm
def test_coalesced_stores_wait_in_the_ring():
    vm = loaded("b9 05 00 00 00 89 0d 00 00 00 d0 e2 f8" + CLI_HLT)  # 5 stores of ECX
    with KvmProcessor(vm.vm) as processor:
        processor.machine.coalesce(0xD000_0000, PAGE)
        run_guest(processor, vm.vm.vmm)
        assert processor.machine.drain() == [
            Stored(0xD000_0000, 4, value) for value in (5, 4, 3, 2, 1)
        ]
        assert processor.machine.drain() == []
    assert vm.vm.vmm.exits == {"HltExit": 1}


SET_UP_PICS = "".join(f"b0 {value:02x} e6 {port:02x} " for port, value in (
    (0x20, 0x11), (0x21, 0x20), (0x21, 0x04), (0x21, 0x01), (0x21, 0xDF),
))  # fmt: skip


@needs_kvm
def test_an_irqfd_interrupts_through_the_kernels_own_pic():
    """The guest programs the chips and says so. Its handler's OUT is the only other exit."""
    vm = loaded(LOAD_TABLES + SET_UP_PICS + "e6 77 fb f4 eb fe")
    with_handler(vm, 0x25, "ba 00 05 00 00 b0 5a ee b0 20 e6 20 cf")
    fd = os.eventfd(0)
    with KvmProcessor(vm.vm, irqchip=True) as processor:
        processor.machine.irqfd(fd, 5)
        ready = processor.run()
        assert ready.port == 0x77
        processor.resume(ready, Resume(0))
        os.eventfd_write(fd, 1)
        assert processor.run() == IoExit(0x500, 1, True, 0x5A)
    os.close(fd)


@needs_kvm
def test_nothing_stays_open():
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        run(loaded(CLI_HLT))
    machine = KvmMachine()
    machine.close()
    machine.close()
    with KvmMachine():
        pass
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
