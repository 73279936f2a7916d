"""A kernel and its application: calls that work, and calls that are answered with an error."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.needs import require
from virtlab import machine
from virtlab.backends import SECTOR, Disk
from virtlab.cpu import Recorder
from virtlab.devices.ata.registers import BSY, STATUS
from virtlab.guest.ata import PRIMARY, AtaDriver
from virtlab.guest.blocks import (
    BLOCK_READ,
    BLOCK_WRITE,
    MAX_SECTORS,
    DmaBlocks,
    HypercallBlocks,
    PioBlocks,
    Status,
)
from virtlab.guest.calls import (
    CHUNK,
    GETPID,
    MAX_DESCRIPTORS,
    BlocksFailed,
    Call,
    Errno,
    Registers,
    Span,
)
from virtlab.guest.files import FlatFiles
from virtlab.guest.kernel import (
    BUFFER,
    BYTES_COPIED,
    PID,
    TABLE,
    USER,
    VOLUME,
    Application,
    Kernel,
    name_of,
)
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.hosts.remote import QtestMachine
from virtlab.trace import Trace

HERE = USER.start


def kernel_on(blocks, cpu=None, trace=None):
    """A kernel and an application on a volume with "notes", 8 sectors, and "long", 300."""
    files = FlatFiles.format(blocks, VOLUME.start, VOLUME.size)
    files.create(b"notes", 8, 8 * SECTOR)
    files.create(b"long", 300)
    cpu = cpu or machine.lesson_pc().cpu
    kernel = Kernel(cpu, blocks, trace)
    return kernel, Application(cpu, kernel.entry)


@pytest.fixture
def app():
    """An application on a disk in memory."""
    return kernel_on(Disk(1 << 20))[1]


def test_what_is_written_is_read(app):
    first, second = app.open(b"notes"), app.open(b"notes")
    assert (first, second) == (3, 4)
    assert app.write(first, b"hello, ") == 7
    assert app.write(first, b"disk") == 4
    assert app.read(second, 11) == b"hello, disk"
    assert app.close(first) == app.close(second) == 0
    assert app.close(first) == -Errno.EBADF
    assert app.open(b"long") == 3


def test_a_long_write_goes_in_chunks_and_each_is_a_copy():
    trace = Trace()
    kernel, app = kernel_on(Disk(1 << 20), trace=trace)
    descriptor = app.open(b"long")
    trace.clear()
    data = bytes(n % 253 for n in range(2 * CHUNK + 10))
    assert app.write(descriptor, data) == len(data)
    assert trace.counts["copy"] == 3
    assert trace.counts[BYTES_COPIED] == len(data)
    assert trace.counts["system call"] == 1
    again = app.open(b"long")
    assert app.read(again, len(data)) == data
    assert trace.counts["copy"] == 6
    assert kernel.calls.files.length(1) == len(data)


def test_a_file_that_is_full_takes_what_it_can(app):
    descriptor = app.open(b"notes")
    assert app.write(descriptor, bytes(9 * SECTOR)) == 8 * SECTOR
    assert app.write(descriptor, b"x") == -Errno.ENOSPC
    assert app.write(descriptor, b"") == 0
    assert app.read(descriptor, 1) == b""


def test_other_calls():
    trace = Trace()
    _, app = kernel_on(Disk(1 << 20), trace=trace)
    with trace.recording() as events:
        assert app.call(GETPID) == PID
        assert app.call(77) == -Errno.ENOSYS
    assert [(event.kind, event.who, event.note) for event in events] == [
        ("system call", "guest kernel", "getpid"),
        ("system call", "guest kernel", "call 77"),
    ]
    assert name_of(Call.WRITE) == "write"


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ((Call.WRITE, 9, HERE, 1), -Errno.EBADF),
        ((Call.READ, 9, HERE, 1), -Errno.EBADF),
        ((Call.READ, 2**64 - 1, HERE, 1), -Errno.EBADF),
        ((Call.WRITE, 3, HERE - 1, 1), -Errno.EFAULT),
        ((Call.WRITE, 3, BUFFER, 4096), -Errno.EFAULT),
        ((Call.WRITE, 3, 2**64 - 1, 2), -Errno.EFAULT),
        ((Call.WRITE, 3, USER.start + USER.size - 1, 2), -Errno.EFAULT),
        ((Call.READ, 3, HERE - 1, 1), -Errno.EFAULT),
        ((Call.READ, 3, BUFFER, 4096), -Errno.EFAULT),
        ((Call.OPEN, HERE - 1), -Errno.EFAULT),
        ((Call.OPEN, USER.start + USER.size - 1), -Errno.EFAULT),
        ((Call.OPEN, HERE + 64), -Errno.ENOENT),
        ((Call.OPEN, HERE + 32), -Errno.ENAMETOOLONG),
    ],
)
def test_what_is_wrong_has_a_number(app, call, answer):
    app.open(b"notes")
    app.cpu.write(HERE, b"x" * 64 + b"none\0")
    app.cpu.write(USER.start + USER.size - 1, b"x")
    assert app.call(*call) == answer


def test_a_write_that_runs_out_of_memory_counts_what_it_wrote(app):
    descriptor = app.open(b"long")
    start = USER.start + USER.size - CHUNK - 10
    assert app.call(Call.WRITE, descriptor, start, 2**63) == CHUNK
    assert app.call(Call.WRITE, descriptor, start + CHUNK, 10) == 10
    again = app.open(b"long")
    assert app.call(Call.READ, again, start + 10, 2**63) == CHUNK
    assert app.call(Call.READ, again, start, 2**63) == 10


def test_a_name_may_have_16_bytes():
    kernel, app = kernel_on(Disk(1 << 20))
    kernel.calls.files.create(b"n" * 16, 1)
    assert app.open(b"n" * 16) == 3
    assert app.open(b"n" * 17) == -Errno.ENAMETOOLONG


def test_descriptors_run_out(app):
    opened = [app.open(b"notes") for _ in range(20)]
    assert opened[:13] == list(range(3, MAX_DESCRIPTORS))
    assert set(opened[13:]) == {-Errno.EMFILE}


word = st.integers(0, 2**64 - 1) | st.integers(0, 20) | st.integers(USER.start, USER.start + 9000)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), word, word, word), max_size=6))
def test_no_registers_raise_or_reach_what_is_not_the_applications(calls):
    disk, cpu = Disk(1 << 20), machine.lesson_pc().cpu
    _, app = kernel_on(disk, cpu)
    app.open(b"notes")
    outside = disk.read(0, 64), disk.read(64 + 512, 100)
    below = cpu.read(0, USER.start)
    for call in calls:
        assert -4095 <= app.call(*call) <= 300 * SECTOR
    assert (disk.read(0, 64), disk.read(64 + 512, 100)) == outside
    assert cpu.read(0, USER.start) == below


def test_registers_are_64_bits_wide():
    registers = Registers()
    registers.answer(-9)
    assert (registers.rax, registers.result) == (2**64 - 9, -9)
    registers.answer(9)
    assert registers.result == 9
    assert Span(10, 5).has(10, 5)
    assert not Span(10, 5).has(11, 5)


# -- the drivers


def on_board(kind):
    """The kernel on a real PC: `(board, application)`."""
    board = machine.lesson_pc()
    base = find(enumerate_pci(board.cpu), 0x8086, 0x7010).bar(4)
    driver = AtaDriver(board.cpu, bus_master=base, table=TABLE)
    driver.mute()
    blocks = DmaBlocks(board.cpu, driver, BUFFER) if kind == "dma" else PioBlocks(driver)
    return board, kernel_on(blocks, board.cpu)[1]


@pytest.mark.parametrize("kind", ["pio", "dma"])
def test_on_the_bare_machine_the_bytes_reach_the_disk(kind):
    board, app = on_board(kind)
    data = bytes(n % 249 for n in range(1000))
    assert app.write(app.open(b"notes"), data) == 1000
    assert board.disk.read(VOLUME.start + 1, 2)[:1000] == data
    assert app.read(app.open(b"notes"), 1000) == data


def is_busy(port):
    """Whether this is one more look at a drive that is not ready: QEMU writes while we run."""
    status = (PRIMARY.control, PRIMARY.command + STATUS.offset)
    return not port.write and port.address in status and port.value & BSY != 0


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["pio", "dma"])
def test_on_qemu_the_same_kernel_leaves_the_same_volume(kind, tmp_path):
    """And the ports cost what the closed form says, on a disk that nobody here wrote."""
    require("QEMU")
    file = tmp_path / "disk.img"
    file.write_bytes(bytes(1024 * SECTOR))
    qemu = QtestMachine("pc", ["-drive", f"if=ide,format=raw,file={file},cache=writeback"])
    try:
        base = find(enumerate_pci(qemu), 0x8086, 0x7010).bar(4)
        cpu = Recorder(qemu)
        driver = AtaDriver(cpu, bus_master=base, table=TABLE)
        driver.mute()
        blocks = DmaBlocks(cpu, driver, BUFFER) if kind == "dma" else PioBlocks(driver)
        _, app = kernel_on(blocks, cpu)
        descriptor, data = app.open(b"notes"), bytes(n % 249 for n in range(4 * SECTOR))
        cpu.accesses.clear()
        assert app.write(descriptor, data) == len(data)
        ports = [access for access in cpu.accesses if access.region == "port"]
        busy = [port for port in ports if is_busy(port)]
        assert kind == "dma" or len(ports) - len(busy) == 8 + 4 * 257
        assert app.read(app.open(b"notes"), len(data)) == data
        driver.flush()
    finally:
        qemu.close()
    with Disk.open(file) as disk:
        files = FlatFiles(disk, VOLUME.start, VOLUME.size)
        assert files.read(files.find(b"notes"), 0, len(data)) == data


@pytest.mark.parametrize("kind", ["pio", "dma"])
def test_a_disk_without_the_sector_is_eio(kind):
    board, app = on_board(kind)
    drive = board.cards.ide.drives[0][0]
    descriptor = app.open(b"notes")
    drive.disk = drive.medium.disk = Disk(VOLUME.start * SECTOR)
    assert app.write(descriptor, bytes(SECTOR)) == -Errno.EIO
    assert app.call(Call.READ, descriptor, HERE, 1) == -Errno.EIO


def test_a_hypercall_driver_asks_in_requests_that_its_buffer_holds():
    asked, cpu = [], machine.lesson_pc().cpu
    blocks = HypercallBlocks(cpu, lambda *call: asked.append(call) or Status.OK, BUFFER)
    data = bytes([1]) * SECTOR * MAX_SECTORS + bytes([2]) * SECTOR
    blocks.write(7, data)
    assert asked == [
        (BLOCK_WRITE, (7, MAX_SECTORS, BUFFER)),
        (BLOCK_WRITE, (7 + MAX_SECTORS, 1, BUFFER)),
    ]
    assert cpu.read(BUFFER, 2 * SECTOR) == bytes([2]) * SECTOR + bytes([1]) * SECTOR
    asked.clear()
    assert blocks.read(7, MAX_SECTORS + 1) == cpu.read(BUFFER, CHUNK) + cpu.read(BUFFER, SECTOR)
    assert [number for number, _ in asked] == [BLOCK_READ, BLOCK_READ]


def test_any_other_status_is_a_failure():
    blocks = HypercallBlocks(machine.lesson_pc().cpu, lambda *call: 0xFFFF_FFFF, BUFFER)
    with pytest.raises(BlocksFailed, match="0xffffffff"):
        blocks.read(0)
