"""The ISA DMA driver, on our controllers and on QEMU's.

On both a disk drive sits on channel 2. Ours is a card of a few lines; QEMU has its floppy.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import require
from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.devices.dma8237 import DmaPair, Mode, Transfer
from virtlab.guest.isa_dma import FIRST, PAGES, SECOND, IsaDma
from virtlab.hosts.python import BareCpu
from virtlab.hosts.remote import QtestMachine
from virtlab.memory import GuestMemory

SECTOR = 512
IMAGE = bytes((n // SECTOR + 3 * n) & 0xFF for n in range(80 * 2 * 18 * SECTOR))
"""A disk of 1.44 MB, no sector like the next."""

FLOPPY_CHANNEL = 2
RAM = 1 << 20


class ByteSource:
    """A tiny ISA card: it sends a disk from its beginning, until terminal count."""

    def __init__(self, channel):
        self.channel = channel
        channel.attach(self.serve, lambda: channel.request(False))

    def deliver(self):
        self.sent = 0
        self.channel.request(True)

    def serve(self):
        taken = SECTOR
        while taken and self.channel.dreq:
            taken = self.channel.write(IMAGE[self.sent : self.sent + SECTOR])
            self.sent += taken


class Floppy:
    """QEMU's floppy controller (Intel 82077AA): as much of it as reads sectors by DMA."""

    DOR, MSR, FIFO = 0x3F2, 0x3F4, 0x3F5
    MOTOR_DMA_ENABLED = 0x1C
    SENSE_INTERRUPT, SPECIFY, RECALIBRATE, READ = 0x08, 0x03, 0x07, 0xE6
    SEEK_END, RQM, DIO = 0x20, 0x80, 0x40
    POLLS = 20_000

    def __init__(self, cpu):
        self.cpu = cpu
        cpu.out(self.DOR, 0)
        cpu.out(self.DOR, self.MOTOR_DMA_ENABLED)
        for _ in range(4):
            self.command(self.SENSE_INTERRUPT)
        self.command(self.SPECIFY, 0xDF, 0x02)
        self.command(self.RECALIBRATE, 0)
        assert any(self.command(self.SENSE_INTERRUPT)[0] & self.SEEK_END for _ in range(1000))

    def deliver(self):
        assert self.command(self.READ, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF)[:3] == [0, 0, 0]

    def command(self, *words):
        for word in words:
            assert not self.status() & self.DIO
            self.cpu.out(self.FIFO, word)
        result = []
        while self.status() & self.DIO:
            result.append(self.cpu.inp(self.FIFO))
        return result

    def status(self):
        for _ in range(self.POLLS):
            status = self.cpu.inp(self.MSR)
            if status & self.RQM:
                return status
        raise TimeoutError(f"the floppy controller is busy: {status:#x}")


def floppy_machine(path, **options):
    """QEMU's `pc` with `IMAGE` in its drive."""
    image = path / "floppy.img"
    image.write_bytes(IMAGE)
    return QtestMachine("pc", ["-drive", f"if=floppy,format=raw,file={image}"], **options)


class Ours:
    """Two 8237A, RAM, and a byte source on channel 2."""

    def __init__(self):
        clock = Clock()
        ports, memory = AddressSpace("port", 16, max_size=4), AddressSpace("memory", 52)
        ram = GuestMemory(RAM)
        self.pair = DmaPair(ram)
        ports.map(FIRST, 16, self.pair.first)
        ports.map(PAGES, 16, self.pair.pages)
        ports.map(SECOND, 32, self.pair.second)
        memory.map_ram(ram)
        self.cpu = BareCpu(ports, memory, clock)
        self.disk = ByteSource(self.pair.channel(FLOPPY_CHANNEL))


class Theirs:
    """QEMU's."""

    def __init__(self, machine):
        self.cpu = machine
        self.disk = Floppy(machine)


@pytest.fixture
def ours():
    return Ours()


@pytest.fixture(params=["ours", pytest.param("qemu", marks=pytest.mark.oracle)])
def board(request, tmp_path):
    if request.param == "ours":
        yield Ours()
        return
    require("QEMU")
    with floppy_machine(tmp_path) as machine:
        yield Theirs(machine)


# -- on both


def test_a_transfer_fills_the_buffer_and_no_more(board):
    dma = IsaDma(board.cpu)
    dma.start()
    dma.program(2, 0x12345, 1024, Transfer.WRITE)
    assert (dma.residue(2), dma.address(2), dma.done(2)) == (1024, 0x12345, False)
    board.disk.deliver()
    assert board.cpu.read(0x12344, 1026) == b"\0" + IMAGE[:1024] + b"\0"
    assert (dma.residue(2), dma.address(2), dma.done(2)) == (0, 0x12745, True)
    assert dma.done(2), "the driver remembers what STATUS forgets"


def test_a_second_transfer_begins_anew(board):
    dma = IsaDma(board.cpu)
    dma.start()
    for gpa in (0x20000, 0x30000):
        dma.program(2, gpa, 512, Transfer.WRITE)
        assert not dma.done(2)
        board.disk.deliver()
        assert dma.done(2)
    assert board.cpu.read(0x20000, 513) == board.cpu.read(0x30000, 513) == IMAGE[:512] + b"\0"


def test_a_verify_transfer_leaves_memory_alone(board):
    dma = IsaDma(board.cpu)
    dma.start()
    dma.program(2, 0x20000, 512, Transfer.VERIFY)
    board.disk.deliver()
    assert (dma.residue(2), dma.done(2)) == (0, True)
    assert board.cpu.read(0x20000, 512) == bytes(512)


@pytest.mark.parametrize(("channel", "gpa"), [(0, 0x5ABCD), (3, 0xF00001), (5, 0x3FFF0), (7, 0)])
def test_what_is_programmed_reads_back(board, channel, gpa):
    """Also where somebody left the flip-flops between two halves."""
    dma = IsaDma(board.cpu)
    dma.start()
    for port in (FIRST, SECOND):
        board.cpu.out(port, 0x55)
    dma.program(channel, gpa, 14, Transfer.READ, Mode.DEMAND, auto=True)
    for port in (FIRST, SECOND):
        board.cpu.inp(port)
    assert (dma.address(channel), dma.residue(channel)) == (gpa, 14)
    assert not dma.done(channel)


# -- on ours


def test_a_buffer_of_words_downwards_begins_at_its_last_word(ours):
    dma = IsaDma(ours.cpu)
    dma.program(5, 0x20000, 8, Transfer.WRITE, down=True)
    assert dma.address(5) == 0x20006


def test_a_masked_channel_does_not_answer(ours):
    dma = IsaDma(ours.cpu)
    dma.start()
    dma.program(2, 0x20000, 512, Transfer.WRITE)
    dma.mask(2)
    ours.disk.deliver()
    assert (dma.residue(2), ours.disk.sent) == (512, 0)


def test_with_auto_it_begins_anew(ours):
    dma = IsaDma(ours.cpu)
    dma.start()
    dma.program(2, 0x20000, 512, Transfer.WRITE, auto=True)
    ours.disk.deliver()
    assert (dma.residue(2), dma.address(2), dma.done(2)) == (512, 0x20000, True)


def test_software_can_request_a_block(ours):
    dma = IsaDma(ours.cpu)
    dma.start()
    dma.program(1, 0x20000, 16, Transfer.WRITE, Mode.BLOCK)
    dma.request(1)
    assert dma.done(1)
    assert ours.cpu.read(0x20000, 17) == b"\xff" * 16 + b"\0"


def test_a_status_read_for_one_channel_is_kept_for_the_others(ours):
    dma = IsaDma(ours.cpu)
    dma.start()
    for channel in (0, 1):
        dma.program(channel, 0x20000, 16, Transfer.WRITE, Mode.BLOCK)
    for channel in (0, 1):
        dma.request(channel)
    assert (dma.done(0), dma.done(1), dma.done(3)) == (True, True, False)


@pytest.mark.parametrize(
    ("channel", "gpa", "length", "why"),
    [
        (2, 0xFFFF, 2, "cross"),
        (5, 0x1FFFE, 4, "cross"),
        (2, (1 << 24) - 1, 2, "16 MiB"),
        (2, -1, 1, "16 MiB"),
        (2, 0, 0, "16 MiB"),
        (5, 1, 2, "words"),
        (5, 0, 3, "words"),
        (4, 0, 2, "channels"),
        (8, 0, 2, "channels"),
    ],
)
def test_it_refuses_what_no_channel_can_do(ours, channel, gpa, length, why):
    with pytest.raises(ValueError, match=why):
        IsaDma(ours.cpu).program(channel, gpa, length, Transfer.WRITE)


@given(st.integers(0, (1 << 24) - 1), st.integers(1, 0x20000), st.sampled_from([0, 1, 3, 5, 7]))
def test_what_it_accepts_lies_where_it_was_asked_for(gpa, length, channel):
    board = Ours()
    dma = IsaDma(board.cpu)
    try:
        dma.program(channel, gpa, length, Transfer.WRITE)
    except ValueError:
        return
    assert dma.address(channel) == gpa
    assert board.pair.channel(channel).remaining == length


class Moves:
    """A Cpu on which the count goes from 0100h to 00FFh between its two bytes."""

    def __init__(self, answers):
        self.answers = answers

    def inp(self, port, size=1):
        return self.answers.pop(0)

    def out(self, port, value, size=1):
        pass


def test_a_count_that_rolls_over_is_read_again():
    assert IsaDma(Moves([0x00, 0x00, 0xFF, 0x00])).residue(0) == 0x100
    assert IsaDma(Moves([0x00, 0x01, 0xFF, 0x00, 0xFE, 0x00])).residue(0) == 0xFF


def test_a_count_that_never_stands_still_is_read_so_often_and_no_more():
    assert IsaDma(Moves([n // 2 & 0xFF for n in range(22)])).residue(0) > 0
