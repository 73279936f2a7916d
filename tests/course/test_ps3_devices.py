"""Tasks 6 to 9 of problem set 3: machine code, remapping, a disk, a link; answers that cheat."""

import itertools
from random import Random

import numpy as np
import pytest

from tests.course.answers import solutions
from tests.course.refusals import refusal
from tests.oracles.x86 import capstone_texts
from virtlab.backends.disk import SECTOR, Disk
from virtlab.course import checks
from virtlab.course.answers import Answer, Stopped
from virtlab.course.checks import CheckFailed, check
from virtlab.course.ps2.regions import joined
from virtlab.course.ps3 import (
    instructions,
    mmio,
    noted_disk,
    partition,
    remapping,
    scattered_vm,
    shadow_tables,
)
from virtlab.course.ps3.instructions import BYTES, WORDS, Address, Move, any_address, any_move
from virtlab.course.ps3.link_twins import CardTwin, LinkTwin, Pair
from virtlab.course.ps3.scattered_vm import FIXED, HIGH, LOW, Vm, scattered
from virtlab.devices.ata import BusMaster, Channel, Drive
from virtlab.interrupts import IrqLine
from virtlab.memory import PAGE, GuestMemory

# -- task 6: the instructions

OPERANDS = {1: BYTES, 2: tuple(name[1:] for name in WORDS), 4: WORDS}
POINTERS = {1: "byte ptr", 2: "word ptr", 4: "dword ptr"}


@pytest.mark.parametrize("seed", range(20))
def test_capstone_reads_every_move_as_it_was_meant(seed):
    rng = Random(seed)
    for move in (any_move(rng) for _ in range(50)):
        [(_, code, text)] = capstone_texts(move.code, 0)
        verb, operands = text.split(" ", 1)
        left, right = operands.rsplit(", ", 1)
        memory, other = (left, right) if move.kind in ("store", "constant") else (right, left)
        assert code == move.code
        assert verb == ("movzx" if move.kind == "extend" else "mov")
        assert memory.startswith(POINTERS[move.access_size])
        if move.kind == "constant":
            assert int(other, 0) == move.value
        else:
            assert other == OPERANDS[move.size][move.register]


def test_the_addresses_are_one_of_each_way():
    ways = {
        (address.mod, address.rm == 4, bool(address.rest[:1]) and (address.rest[0] & 7) == 5)
        for address in instructions.ADDRESSES
    }
    assert len(ways) > 5
    rng = Random(1)
    lengths = {len(any_address(rng).rest) for _ in range(300)}
    assert lengths == {0, 1, 2, 4, 5}


def test_a_move_says_what_it_does():
    registers = [0x04030201, 0x14131211, 0x24232221, 0x34333231, 5, 6, 7, 8]
    ch = Move("store", 1, 5)
    assert (ch.written(registers), ch.access_size) == (0x12, 1)
    assert Move("load", 1, 7).loaded(registers, 0x99)[3] == 0x34339931
    assert Move("load", 2, 5).loaded([0xFFFFFFFF] * 8, 0x1234)[5] == 0xFFFF1234
    assert Move("extend", 4, 0).loaded(registers, 0x80)[0] == 0x80
    assert Move("extend", 2, 0).loaded(registers, 0x80)[0] == 0x04030080
    assert Move("constant", 2, 0, Address(0, 3), 0x1234).code == b"\x66\xc7\x03\x34\x12"
    assert Move("load", 4).written(registers) is None


def test_devices_note_what_they_see():
    devices = mmio.Devices(0xA1B2C3D4)
    assert (devices.read(1, 1), devices.read(1, 2), devices.read(1, 3)) == (
        0xD4,
        0xC3D4,
        0xA1B2C3D4,
    )
    devices.write(0x10, 2, 0x1234)
    assert devices.seen[-1] == "write(0x10, 2, 0x1234)"
    with pytest.raises(TypeError):
        devices.write(0x10, 2, "x")


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("None", "yours None: is there a return?"),
        ("(r, e)", "expected eip + 2 yours eip + 0"),
        ("(r, None)", "expected eip + 2 yours None"),
        ("(r[:7], e + 2)", "yours [0x4030201, 0x14131211"),
        ("([*r[:7], 8], e + 2)", "edi 0x7 yours eax 0x4030201"),
        ("(tuple(r), e + 2)", "yours ((0x4030201"),
        ("(r, e + 2, 0)", "yours ([0x4030201"),
    ],
)
def test_a_result_that_is_wrong_is_said(result, said):
    source = f"""
right = emulate
def emulate(code, r, e, gpa, space):
    done = right(code, r, e, gpa, space)
    return {result} if code == bytes.fromhex("8903") else done
"""
    assert said in refusal("ps3.q6", source)


def test_an_answer_where_none_is_due_is_said():
    source = """
right = emulate
def emulate(code, *a): return right(code, *a) or 7
"""
    said = refusal("ps3.q6", source)
    assert "FAILS another instruction" in said
    assert "expected None yours 7" in said


# -- task 7: the frames


@pytest.mark.parametrize("seed", range(8))
def test_frames_are_scattered_and_nobody_has_one_twice(seed):
    frames = scattered(Random(seed))
    assert list(frames) == [*LOW, *HIGH]
    assert len(set(frames.values())) == len(frames)
    assert all(hpa % PAGE == 0 and 0 < hpa < 1 << 24 for hpa in frames.values())
    vm = Vm(frames)
    runs = vm.host([(LOW.start, LOW.stop)])
    assert 5 < len(runs) < len(LOW), "some frames are side by side"


def test_the_host_pieces_are_those_that_brute_force_finds():
    rng = Random(7)
    for _ in range(20):
        vm = Vm(scattered(rng))
        pieces = [(rng.choice((LOW, HIGH)).start + rng.randrange(9000), rng.randrange(9000))]
        found = [
            vm.frames[at & -PAGE] + at % PAGE for gpa, n in pieces for at in range(gpa, gpa + n)
        ]
        assert [at for hpa, n in vm.host(pieces) for at in range(hpa, hpa + n)] == found
        assert vm.touched(pieces) == {gpa & -PAGE for a, n in pieces for gpa in range(a, a + n)}
    assert Vm(FIXED).host([(0x1000, 8), (0x6000, 1)]) is None


def test_who_reads_a_byte_again_finds_another():
    vm = Vm(dict(FIXED))
    vm.write(0x1FFE, b"abcd")
    vm.write(0x6000, b"lost")
    assert vm.read(0x1FFE, 4) == b"abcd"
    assert vm.read(0x1FFE, 2) != b"ab"
    assert vm.read(0x5FFF, 2) is None
    assert vm.reads[0x1FFE] == 2
    with pytest.raises(ValueError, match="a read has 0 to 65536 bytes, not -1"):
        vm.read(0, -1)


def test_a_second_read_of_an_entry_is_said_as_such():
    source = """
t = shadow_prd
def shadow_prd(vm, table):
    made = t(vm, table)
    vm.read(table, 4)
    return made
"""
    said = refusal("ps3.q7", source)
    assert "expected each entry of the guest's table read once" in said
    assert "yours the byte at 0x4000 was read 2 times" in said


def test_pins_are_counted_and_bounded():
    vm = Vm(dict(FIXED))
    assert (vm.pin(0x1000), vm.pin(0x9000)) == (0x9000, None)
    vm.unpin(0x1000)
    assert not vm.wrong
    vm.unpin(0x2000)
    assert "0x2000" in vm.wrong
    assert shadow_tables.pins(vm, set()).yours == "unpin(0x2000), which was not pinned"
    for page in (0x1001, -PAGE):
        with pytest.raises(ValueError, match="a page begins at a multiple of 0x1000"):
            vm.pin(page)
    vm.made = scattered_vm.PINS
    with pytest.raises(Stopped, match="stopped after 4,000 pins"):
        vm.pin(0x1000)


def test_a_frame_of_somebody_else_is_named():
    said = refusal("ps3.q7", "def remap(vm, pieces): return list(pieces)")
    assert "the frame at 0x1000 is not this VM's" in said
    vm = Vm(dict(FIXED))
    assert vm.foreign([(0x9000, PAGE), (0x4800, 0x3000)]) is None
    assert vm.foreign([(0x9000, PAGE + 1)]) == 0xA000
    table = "t = shadow_prd\ndef shadow_prd(vm, table): return t(vm, table) and bytes(7) + b'\\x80'"
    assert "the frame at 0x0 is not this VM's" in refusal("ps3.q7", table)


@pytest.mark.parametrize("value", ["None", "b''", "b'1234567'", "bytearray(8)", "[1]"])
def test_no_table_is_said(value):
    said = refusal("ps3.q7", f"def shadow_prd(vm, table): return {value}")
    assert "entries of 8 bytes, as bytes" in said


def test_a_finer_table_is_as_right():
    finer = """
def shadow_prd(vm, table):
    data = right(vm, table)
    if data is None: return None
    pieces = b""
    for i in range(0, len(data), 8):
        base, count = int.from_bytes(data[i:i+4], "little"), int.from_bytes(data[i+4:i+6], "little")
        count = count or 65536
        while count:
            n = min(count, 256 - base % 256)
            pieces += base.to_bytes(4, "little") + n.to_bytes(4, "little")
            base, count = base + n, count - n
    return pieces[:-1] + bytes([128])
"""
    names = solutions()
    names["right"] = names["shadow_prd"]
    exec(finer, names)
    assert check("ps3.q7", seed=3, namespace=names).ok


@pytest.mark.parametrize("seed", range(4))
def test_a_real_bus_master_on_the_shadow_table_writes_the_vms_frames_alone(seed):
    rng = Random(seed)
    vm, host = Vm(scattered(rng)), GuestMemory(1 << 25)
    host.bytes[:] = 0xEE
    pieces = [(LOW.start + 0x1F02, 0x3300), (HIGH.start + 0x4, 0x2D00)]
    total = sum(n for _, n in pieces)
    assert total % SECTOR == 0
    vm.write(0x1_8000, shadow_tables.prd(pieces))
    data = Random(seed).randbytes(total)
    channel = Channel(IrqLine("irq 14"), [Drive(Disk.of(data))])
    master = BusMaster(channel, host)
    host.write(1 << 24, solutions()["shadow_prd"](vm, 0x1_8000))
    master.BMIDTP = 1 << 24
    for port, value in ((6, 0xE0), (2, total // SECTOR), (3, 0), (4, 0), (5, 0), (7, 0xC8)):
        channel.commands.write(port, 1, value)
    master.write(0, 1, 0x09)
    found = b"".join(host.read(hpa, n) for hpa, n in vm.host(pieces))
    assert found == data
    written = np.flatnonzero(host.bytes[: 1 << 24] != 0xEE)
    assert {int(at) & -PAGE for at in written} <= {vm.frames[page] for page in vm.touched(pieces)}


def test_guest_tables_are_laid_out_as_the_controller_reads_them():
    table = shadow_tables.prd([(0x1000, 0x200), (0x30000, 0x10000)])
    assert table.hex() == "0010000000020000" + "0000030000000080"
    assert shadow_tables.prd([(2, 2)], end=False)[-1] == 0
    assert all(a % 2 == n % 2 == 0 for a, n in joined([(2, 4), (6, 2)]))


def test_what_is_no_list_of_pairs_is_said():
    for value in ("[1]", "[(1, 2, 3)]", "[(1, True)]", "((0x9000, 0x1000),)"):
        assert "expected [(0x9000, 0x1000)]" in refusal("ps3.q7", f"def remap(*a): return {value}")
    found = remapping._remap(
        Answer({"remap": lambda vm, p: [(0x9000, 8)]}), Vm(FIXED), [(0x1000, 8)]
    )
    assert (found.expected, found.yours) == ("page 0x1000 is pinned", "it is not")


# -- task 8: the disk


@pytest.mark.parametrize("seed", range(40))
def test_free_pieces_are_those_whose_sectors_are(seed):
    rng = Random(seed)
    for _ in range(50):
        taken, pieces = (
            [(rng.randrange(30), rng.randrange(5)) for _ in range(rng.randrange(4))] for _ in "ab"
        )
        taken = [(start, count) for start, count in taken if count]
        mine = [at for start, count in pieces for at in range(start, start + count)]
        theirs = {at for start, count in taken for at in range(start, start + count)}
        right = (
            all(count for _, count in pieces)
            and len(set(mine)) == len(mine)
            and not theirs & set(mine)
            and all(at < 30 for at in mine)
        )
        assert noted_disk.free(30, taken, pieces) == right


def test_the_disk_notes_its_requests():
    disk = noted_disk.NotedDisk()
    assert disk.read(7, 2) == noted_disk.sector_text(7) + noted_disk.sector_text(8)
    disk.write(3, noted_disk.sector_text(3, 1))
    disk.flush()
    assert disk.requests == ["read(7, 2)", "write(3, 1 sectors)", "flush()"]
    with pytest.raises(TypeError):
        disk.read("7", 1)


def test_the_parts_of_a_disk_never_overlap():
    rng = Random(2)
    for _ in range(200):
        pieces = partition.any_parts(rng)
        assert noted_disk.free(noted_disk.SECTORS, [], pieces)


def test_a_sector_of_somebody_else_is_named():
    source = """
class VirtualDisk(VirtualDisk):
    def write(self, sector, data):
        done = super().write(sector, data)
        if done: self.disk.write(0, b"x" * 512)
        return done
"""
    said = refusal("ps3.q8", source)
    assert "expected sector 0 of the disk, not the VM's: 512 bytes: sector 0 version 0" in said
    assert "requests: write(101, 1 sectors), write(0, 1 sectors)" in said


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("capacity(self): return 10.0", "expected 10 yours 10.0"),
        ("capacity(self): return 11", "expected 10 yours 11"),
        ("read(self, *a): return b'short'", "yours b'short'"),
        ("read(self, s, n): return self.disk.read(90, 1) and r(self, s, n)",
         "expected requests: read(100, 1) yours requests: read(90, 1), read(100, 1)"),
        ("flush(self): return True", "expected one flush of the disk yours requests: none"),
    ],
)  # fmt: skip
def test_a_virtual_disk_that_is_wrong_is_said(method, said):
    source = f"r = VirtualDisk.read\nclass VirtualDisk(VirtualDisk):\n    def {method}"
    assert said in refusal("ps3.q8", source)


def test_numbers_are_decimal_unless_they_are_huge():
    assert (noted_disk.number_text(400), noted_disk.number_text(1 << 70)) == ("400", hex(1 << 70))


# -- task 9: the card and the link


def test_turns_are_fair():
    rng, twin = Random(4), CardTwin(4, 8)
    for _ in range(400):
        for vm in range(4):
            twin.send(vm, bytes([vm]))
        twin.send(0, b"\0")
        for _ in range(rng.randrange(4)):
            twin.step()
    counts = [twin.sent(vm) for vm in range(4)]
    assert max(counts) - min(counts) <= 1
    assert len(twin.out) == sum(counts) > 400


def test_nothing_is_lost_or_doubled_in_a_link_unless_it_is_said():
    rng, twin = Random(5), LinkTwin(3)
    sent, got = ([], []), ([], [])
    for number in range(500):
        end = rng.randrange(2)
        if rng.random() < 0.6:
            message = str(number).encode()
            if twin.send(end, message):
                sent[1 - end].append(message)
        elif (message := twin.receive(end)) is not None:
            got[end].append(message)
    for end in (0, 1):
        while (message := twin.receive(end)) is not None:
            got[end].append(message)
    assert got == sent
    assert len(twin.out) < sum(map(len, sent))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class SharedCard(SharedCard):\n    def send(self, vm, f): return None",
         "yours None: is there a return?"),
        ("class SharedCard(SharedCard):\n    def step(self): return 1 << 40",
         "expected 0 yours 0x10000000000"),
        ("class SharedCard(SharedCard):\n    def step(self):\n        self.wire(1)\n"
         "        return super().step()",
         "expected frame 0 on the wire 'frame 1' yours frame 0 on the wire 1"),
        ("class VirtualLink(VirtualLink):\n    def send(self, end, m):\n"
         "        self.interrupt(end)\n        return super().send(end, m)",
         "expected interrupt 0 at end 1 yours interrupt 0 at end 0"),
        ("class VirtualLink(VirtualLink):\n    def receive(self, end):\n"
         "        return super().receive(end) and b'x'", "expected 'message 1' yours 'x'"),
        ("class VirtualLink(VirtualLink):\n    def send(self, end, m):\n"
         "        done = super().send(end, m)\n"
         "        self.interrupt(1 - end)\n        return done",
         "expected no interrupt 1 yours interrupt 1 at end 1"),
    ],
)  # fmt: skip
def test_what_leaves_a_device_and_should_not_is_said(source, said):
    assert said in refusal("ps3.q9", source)


def test_the_wire_takes_what_it_gets_as_it_is_now():
    pair = Pair(Answer(solutions()), CardTwin(1, 1))
    buffer = bytearray(b"now")
    pair.put(buffer)
    buffer[:] = b"not"
    assert pair.out == [b"now"]


# -- answers that mean to cheat


ALWAYS = """
class Always:
    def __init__(self, *a): pass
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __bool__(self): return True
    def __len__(self): return 0
    def __iter__(self): return iter(())
    def __getattr__(self, name): return lambda *a: Always()
"""
VALUES = ["Always()", "None", "[]", "()", "True", "0", "b''", "'x'"]


@pytest.mark.parametrize(
    ("task", "value"), [*itertools.product([f"ps3.q{number}" for number in range(1, 10)], VALUES)]
)
def test_no_constant_and_no_always_equal_object_passes(task, value):
    source = ALWAYS + "".join(
        f"\ndef {name}(*a): return {value}" for name in checks.TASKS[task].names
    )
    names = {"__name__": "__main__"}
    exec(source, names)
    with pytest.raises(CheckFailed) as failed:
        check(task, seed=7, namespace=names)
    found = failed.value.report
    assert len(found.passed) < len(found.task.cases) / 2
