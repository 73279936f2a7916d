"""Machine code on Unicorn: the vCPU's rules, the emulator's, and whatever a guest may try."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hosts.code_vm import CODE, END, vm_with
from tests.needs import require
from tests.vmm.rig import MMIO, Requests
from virtlab.hosts import unicorn_engine
from virtlab.hosts.unicorn_host import UnicornProcessor
from virtlab.memory import PAGE
from virtlab.vmm.ept import EXECUTE, READ
from virtlab.vmm.exits import EptViolation, HltExit, IoExit, ShadowFault, TripleFault
from virtlab.vmm.processor import Start, run_guest
from virtlab.vmm.vcpu import Resume
from virtlab.vmm.vmm import MAX_HALT

pytestmark = pytest.mark.oracle

STACK = 0x9000
GATES, HANDLER = 0xA000, 0x1100
TABLES, SEGMENTS = 0x7000, 0x7010
LOAD_TABLES = "0f 01 15 00 70 00 00  0f 01 1d 08 70 00 00"  # lgdt [0x7000]; lidt [0x7008]

ENTER = f"{LOAD_TABLES} ea 15100000 0800 b8 18000000"  # then CS is 8, and EAX no segment
AT = CODE + 26
"""What comes behind `ENTER`."""


@pytest.fixture(autouse=True)
def _unicorn():
    require("Unicorn")


def with_gates(vm, *vectors, code="cf"):
    """Segments, and gates for `vectors` that lead to `code`."""
    vm.ram.write(TABLES, struct.pack("<HI2xHI", 0x17, SEGMENTS, 0x7FF, GATES))
    vm.ram.write(SEGMENTS, struct.pack("<QQQ", 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF))
    for vector in vectors:
        vm.ram.write(GATES + 8 * vector, struct.pack("<HHBBH", HANDLER, 8, 0, 0x8E, 0))
    vm.ram.write(HANDLER, bytes.fromhex(code))
    return vm


def exits_of(vm, handle=None, limit=50):
    """All exits up to the last one, and the processor after it."""
    processor, seen = UnicornProcessor(vm), []
    while not (seen and isinstance(seen[-1], TripleFault | HltExit)):
        assert len(seen) < limit
        seen.append(processor.run())
        resume = (handle or vm.vmm.handle)(seen[-1])
        processor.resume(seen[-1], resume)
    return seen, processor


def general(processor):
    names = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
    return dict(zip(names, processor.engine.registers.general, strict=True))


# -- I/O instructions


@pytest.mark.parametrize(
    ("code", "record"),
    [
        ("e4 60", IoExit(0x60, 1, False, immediate=True)),
        ("66 e5 60", IoExit(0x60, 2, False, immediate=True)),
        ("e7 80", IoExit(0x80, 4, True, 0x12345678, immediate=True)),
        ("ec", IoExit(0xF0, 1, False)),
        ("ed", IoExit(0xF0, 4, False)),
        ("66 ef", IoExit(0xF0, 2, True, 0x5678)),
        ("6c", IoExit(0xF0, 1, False, string=True)),
        ("6f", IoExit(0xF0, 4, True, 0xDDCCBBAA, string=True)),
        ("f3 6e", IoExit(0xF0, 1, True, 0xAA, string=True, rep=True)),
        ("66 f3 6d", IoExit(0xF0, 2, False, string=True, rep=True)),
    ],
)
def test_the_record_has_the_form_that_the_instruction_has(code, record):
    vm = vm_with(f"b8 78563412 ba f000cdab be 00200000 bf 00300000 b9 01000000 {code} {END}")
    vm.ram.write(0x2000, bytes.fromhex("aabbccdd"))
    assert exits_of(vm)[0] == [record, HltExit(0)]


def test_an_answer_fills_the_part_of_the_register_that_was_asked_for():
    vm = vm_with(f"b8 ffffffff ec {END}")
    _, processor = exits_of(vm, lambda exit: Resume(0xABCD12))
    assert general(processor)["eax"] == 0xFFFFFF12


def test_a_string_that_comes_in_goes_to_ram_and_ecx_counts():
    vm = vm_with(f"bf 00300000 b9 03000000 f3 66 6d {END}")
    numbers = iter((0x1111, 0x2222, 0x3333, None))
    seen, processor = exits_of(vm, lambda exit: Resume(next(numbers)))
    assert len(seen) == 4
    assert vm.ram.read(0x3000, 8) == bytes.fromhex("1111222233330000")
    assert (general(processor)["ecx"], general(processor)["edi"]) == (0, 0x3006)


def test_with_the_direction_flag_a_string_goes_downwards():
    vm = vm_with(f"be 02200000 b9 02000000 fd f3 6e {END}")
    vm.ram.write(0x2000, b"abc")
    seen, processor = exits_of(vm)
    assert [exit.value for exit in seen[:2]] == [ord("c"), ord("b")]
    assert general(processor)["esi"] == 0x2000


def test_a_repetition_of_nothing_does_nothing():
    assert exits_of(vm_with(f"f3 6e {END}"))[0] == [HltExit(0)]


def test_a_string_may_go_from_a_device_to_a_port_and_back():
    load = f"be {(MMIO).to_bytes(4, 'little').hex()} bf {(MMIO + 8).to_bytes(4, 'little').hex()}"
    vm = vm_with(f"{load} 6e 6c {END}")
    answers = iter((0x41, None, 0x42, None, None))
    seen, _ = exits_of(vm, lambda exit: Resume(next(answers)))
    assert seen == [
        EptViolation(MMIO, 1, False),
        IoExit(0, 1, True, 0x41, string=True),
        IoExit(0, 1, False, string=True),
        EptViolation(MMIO + 8, 1, True, 0x42),
        HltExit(0),
    ]


@pytest.mark.parametrize(
    "code",
    ["26 6e", "2e ee", "36 ec", "3e e4 60", "64 6f", "65 6c", "67 6d", "f0 ec", "f2 6e", "2e f4"],
)
def test_a_form_outside_the_map_is_an_undefined_opcode(code):
    vm = with_gates(vm_with(f"{LOAD_TABLES} {code} {END}"), 6, code=END)
    seen, processor = exits_of(vm)
    assert seen == [HltExit(0)]
    assert (processor.core.eip, processor.core.cs) == (HANDLER + 2, 8)
    assert vm.ram.read(STACK - 12, 4) == (CODE + 14).to_bytes(4, "little")


def test_a_port_that_is_open_reaches_the_host_with_no_exit():
    vm = vm_with(f"b0 41 ba f8030000 ee be 00200000 b9 02000000 f3 6e {END}")
    vm.ram.write(0x2000, b"BC")
    vm.assign_ports(0x3F8, 8)
    assert exits_of(vm)[0] == [HltExit(0)]
    assert vm.host.terminal.text == "ABC"


# -- memory


def test_ram_is_the_vms_own_scattered_frames():
    vm = vm_with(f"b8 44332211 a3 fe2f0000 {END}")  # across two pages
    assert exits_of(vm)[0] == [HltExit(0)]
    assert vm.ram.read(0x2FFE, 4) == bytes.fromhex("44332211")
    assert vm.ram.hpa(0x3000) != vm.ram.hpa(0x2FFF) + 1


@pytest.mark.parametrize(("paging", "kind"), [("ept", EptViolation), ("shadow", ShadowFault)])
def test_a_devices_register_is_read_modified_and_written(paging, kind):
    vm = vm_with(f"81 0d 0400c0fe 00ff0000 {END}", paging=paging)  # or dword ptr [...], 0xff00
    answers = iter((0x12, None, None))
    seen, _ = exits_of(vm, lambda exit: Resume(next(answers)))
    assert [(type(exit), exit.write, exit.value) for exit in seen[:2]] == [
        (kind, False, 0),
        (kind, True, 0xFF12),
    ]


def test_an_access_across_two_pages_of_a_device_exits_in_pieces():
    vm = vm_with(f"b8 44332211 a3 fe0fc0fe a1 fe0fc0fe {END}")
    seen, _ = exits_of(vm)
    assert [(exit.gpa - MMIO, exit.size, exit.write) for exit in seen[:4]] == [
        (0xFFE, 2, True),
        (0x1000, 2, True),
        (0xFFE, 2, False),
        (0x1000, 2, False),
    ]


def test_a_device_that_is_assigned_is_reached_with_no_exit():
    vm = vm_with(f"b8 44332211 a3 0010c0fe 8b 1d 0010c0fe {END}")
    vm.assign_memory(MMIO + PAGE, MMIO, PAGE)
    _, processor = exits_of(vm)
    assert general(processor)["ebx"] == 0x11223344
    assert vm.host.latch.log == [("w", 0, 4), ("r", 0, 4)]


def test_a_page_that_may_not_be_written_exits_when_it_is():
    vm = vm_with(f"8a 1d 00300000 c6 05 00300000 07 8a 0d 00300000 {END}")
    vm.ram.write(0x3000, b"\x05")
    vm.tables.map(0x3000, vm.ram.frames[0x3000], PAGE, READ | EXECUTE)
    seen, processor = exits_of(vm)
    assert seen[0] == EptViolation(0x3000, 1, True, 7, READ | EXECUTE)
    assert (general(processor)["ebx"], general(processor)["ecx"]) == (5, 7)


def test_the_vmm_may_map_a_page_and_let_the_guest_try_again():
    vm = vm_with(f"c6 05 00300000 07 fe 05 00300000 {END}")
    vm.tables.unmap(0x3000, PAGE)

    def handle(exit):
        if isinstance(exit, EptViolation):
            vm.tables.map(0x3000, vm.ram.frames[0x3000], PAGE)
            return Resume(again=True)
        return Resume(None)

    seen, _ = exits_of(vm, handle)
    assert seen == [EptViolation(0x3000, 1, True, 7), HltExit(0)]
    assert vm.ram.read(0x3000, 1) == b"\x08"


def test_a_page_that_is_taken_away_exits_from_then_on():
    store = "c6 05 00300000 07"
    vm = vm_with(f"{store} ec {store} {END}")

    def handle(exit):
        if isinstance(exit, IoExit):
            vm.tables.unmap(0x3000, PAGE)
        return Resume(0) if not isinstance(exit, HltExit) else Resume(None)

    assert exits_of(vm, handle)[0] == [
        IoExit(0, 1, False),
        EptViolation(0x3000, 1, True, 7),
        HltExit(0),
    ]


def test_a_shadow_entry_is_marked_dirty_by_a_write_and_by_nothing_else():
    vm = vm_with(f"a0 00300000 ec a2 00300000 {END}", paging="shadow")
    dirty = []

    def handle(exit):
        dirty.append(vm.tables.walk(0x3000).steps[-1].entry >> 6 & 1)
        return Resume(None)

    exits_of(vm, handle)
    assert dirty == [0, 1]


def test_code_that_somebody_else_overwrites_is_not_remembered():
    """Call a subroutine, exit, call it again: a device's DMA has replaced it in between."""
    vm = vm_with(f"e8 08000000 ec e8 02000000 {END} 83 c3 01 c3")  # call; in; call; add ebx, 1

    def handle(exit):
        if isinstance(exit, IoExit):
            vm.ram.write(CODE + 15, b"\x10")
        return Resume(None)

    _, processor = exits_of(vm, handle)
    assert general(processor)["ebx"] == 0x11


# -- interrupts and faults


def test_an_interrupt_wakes_the_guest_through_its_gate():
    vm = vm_with(f"{LOAD_TABLES} ea 15100000 0800 fb f4 43 {END}", controller=Requests(0x21))
    seen, processor = exits_of(with_gates(vm, 0x21, code="b9 07000000 cf"), limit=3)
    assert seen == [HltExit(MAX_HALT)]
    while not isinstance(last := processor.run(), HltExit):
        pass
    assert last == HltExit(0)
    assert (general(processor)["ebx"], general(processor)["ecx"]) == (1, 7)
    frame = struct.unpack("<III", vm.ram.read(STACK - 12, 12))
    assert frame == (CODE + 14 + 7 + 2, 8, 0x202)


def test_an_interrupt_without_a_gate_is_a_fault_that_came_from_outside():
    vm = vm_with(f"{ENTER} fb f4", controller=Requests(0x21))
    vm = with_gates(vm, 13, code=END)
    processor = UnicornProcessor(vm)
    run_guest(processor, vm.vmm)
    pushed = struct.unpack("<II", vm.ram.read(general(processor)["esp"], 8))
    assert pushed == (0x21 * 8 | 3, AT + 2)


def test_with_interrupts_off_nothing_ends_a_halt():
    vm = vm_with(END, controller=Requests(0x21))
    processor = UnicornProcessor(vm)
    assert processor.run() == HltExit(0)
    processor.resume(HltExit(0), Resume(0x21))
    assert processor.run() == HltExit(0)


def test_a_guest_that_nothing_wakes_goes_on_if_the_vmm_says_so():
    vm = vm_with(f"fb f4 43 {END}")
    _, processor = exits_of(vm)
    assert processor.run() == HltExit(0)
    assert general(processor)["ebx"] == 1


@pytest.mark.parametrize(
    ("code", "vector", "frame"),
    [
        ("0f 0b", 6, (AT, 8)),  # ud2
        ("f7 f1", 0, (AT, 8)),  # div ecx
        ("8e d8", 13, (0, AT, 8)),  # mov ds, eax: no such segment; an error code
        ("cd 30", 0x30, (AT + 2, 8)),  # int 0x30
        ("cd 0d", 13, (AT + 2, 8)),  # int 13 has no error code
        ("f0 0f c1 05 0000c0fe", 6, (AT, 8)),  # lock xadd [device], eax: not emulated
    ],
)
def test_a_fault_points_at_its_instruction_and_int_behind_it(code, vector, frame):
    vm = vm_with(f"{ENTER} {code} {END}")
    seen, processor = exits_of(with_gates(vm, vector, code=END))
    assert seen == [HltExit(0)]
    assert processor.core.eip == HANDLER + 2
    pushed = vm.ram.read(general(processor)["esp"], 4 * len(frame))
    assert struct.unpack(f"<{len(frame)}I", pushed) == frame


@pytest.mark.parametrize(
    "code",
    [
        "0f 0b",  # no gates
        "bc 0800c0fe 0f 0b",  # a stack in a device, and no gates
        "e9 00000001",  # a jump to where nothing is
        "bc 0800c0fe 50",  # PUSH is not emulated, and a fault needs a stack too
    ],
)
def test_what_nobody_handles_is_a_triple_fault_for_good(code):
    processor = UnicornProcessor(vm_with(code))
    assert processor.run() == TripleFault()
    processor.resume(TripleFault(), Resume(0))
    assert processor.run() == TripleFault()


def test_a_gate_with_a_stack_in_a_device_is_a_triple_fault():
    vm = with_gates(vm_with(f"{ENTER} bc 0800c0fe 0f 0b"), 6, code=END)
    assert exits_of(vm)[0] == [TripleFault()]


def test_a_gate_into_no_segment_is_a_triple_fault():
    vm = with_gates(vm_with(f"{ENTER} 0f 0b"), 6)
    vm.ram.write(GATES + 8 * 6 + 2, b"\x20\0")
    assert exits_of(vm)[0] == [TripleFault()]


def test_gates_in_a_device_are_no_gates():
    vm = vm_with("0f 01 1d 00700000 0f 0b")
    vm.ram.write(0x7000, struct.pack("<HI", 0x7FF, MMIO))
    assert exits_of(vm)[0] == [TripleFault()]


@pytest.mark.parametrize("beyond", ["a device", "nothing"])
def test_code_is_read_as_far_as_there_is_ram(beyond):
    vm = vm_with(END)
    if beyond == "a device":
        vm.assign_memory(0x3000, MMIO, PAGE)
    else:
        vm.tables.unmap(0x3000, PAGE)
    vm.ram.write(0x2FF4, bytes.fromhex("bf 0000c0fe b9 02000000 f3 aa"))  # ... rep stosb
    processor = UnicornProcessor(vm, Start(eip=0x2FF4))
    assert processor.engine.fetch(0x2FFE).hex(" ") == "f3 aa"
    for gpa in (MMIO, MMIO + 1):
        assert processor.run() == EptViolation(gpa, 1, True)
        processor.resume(EptViolation(gpa, 1, True), Resume(0))
    assert processor.run() == TripleFault()
    assert vm.host.latch.log == []


# -- bounds, and what is missing


@pytest.mark.parametrize("code", ["eb fe", "ec eb fd", "f3 6c"])
def test_a_guest_that_never_exits_is_given_up(code):
    vm = vm_with(f"b9 ffffffff {code}")
    vm.assign_ports(0, 16)
    with pytest.raises(ValueError, match="run 500 instructions without an exit"):
        UnicornProcessor(vm, limit=500).run()


def test_exits_begin_the_count_anew():
    vm = vm_with("b9 40000000 ec e2 fd fa f4")
    assert run_guest(UnicornProcessor(vm, limit=10), vm.vmm) == HltExit(0)


def test_without_unicorn_it_says_how_to_get_it(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(unicorn_engine, "import_module", missing)
    with pytest.raises(ImportError, match=r"Unicorn is missing: pip install 'virtlab\[x86\]'"):
        UnicornProcessor(vm_with(END))


# -- any code

PIECES = """
    ec ee 6d 6f f3 f4 fb cd21 f7f1 8907 50 58 8ed8 cf c3 ff20 ffe0 0f22c0 9d 0f05 0f34 0f0b ebfe
    a10000c0fe 0f01150070 bf0000c0fe bcfe0fc0fe 0fc7 c8 62 66 67 f0
"""
hostile = st.lists(
    st.binary(min_size=1, max_size=4) | st.sampled_from([*map(bytes.fromhex, PIECES.split())]),
    max_size=24,
).map(b"".join)
"""Bytes at random, and instructions that make trouble."""


@settings(max_examples=60)
@given(hostile, st.booleans(), st.sampled_from([STACK, 0, 3, MMIO + 8, 0xFFFFFFFF]))
def test_no_code_makes_the_host_raise(code, gates, esp):
    vm = vm_with(ENTER * gates + code.hex(), controller=Requests(6, 13))
    with_gates(vm, *range(32))
    processor = UnicornProcessor(vm, limit=300)
    processor.engine.put("esp", esp)
    try:
        run_guest(processor, vm.vmm, limit=40)
    except ValueError as error:
        if "without an exit" not in str(error) and "has not halted" not in str(error):
            raise
