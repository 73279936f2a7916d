"""Our two 8237A and page registers against QEMU's: random accesses, every answer compared.

No device is on a channel there, so the random run never lets software start a transfer: ours would
do it. What a transfer does is compared with QEMU's floppy controller on channel 2, in tests of
their own; each shows both answers and the clause.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.guest.test_isa_dma import IMAGE, Ours, Theirs, floppy_machine
from tests.needs import needs_qemu, require
from tests.oracles.differential import (
    Access,
    Both,
    Deviation,
    ask,
    do,
    explain,
    run_both,
    tell,
)
from virtlab.bus import AddressSpace
from virtlab.devices.dma8237 import (
    ALL_MASKS,
    CLEAR_FLIP_FLOP,
    CLEAR_MASK,
    COMMAND,
    MASK,
    MASTER_CLEAR,
    MODE,
    PAGE_OFFSETS,
    READ_MASK,
    REQUEST,
    STATUS,
    DmaPair,
    Mode,
    Transfer,
)
from virtlab.guest.isa_dma import FIRST, PAGES, SECOND, IsaDma
from virtlab.hosts.remote import QtestMachine
from virtlab.memory import GuestMemory

ACCESSES = 20_000
PAGE_PORTS = range(PAGES, PAGES + 16)
WIRED = {PAGES + offset for offset in PAGE_OFFSETS}


def port(chip: int, register: int) -> int:
    return SECOND + 2 * register if chip else FIRST + register


def place(at: int) -> tuple[int, int] | None:
    """Chip and register of a port; None for a page register."""
    if at in PAGE_PORTS:
        return None
    return (0, at - FIRST) if at < SECOND else (1, (at - SECOND) // 2)


def our_pair() -> tuple[AddressSpace, DmaPair]:
    ports, pair = AddressSpace("port", 16, max_size=4), DmaPair(GuestMemory(4096))
    ports.map(FIRST, 16, pair.first)
    ports.map(PAGES, 16, pair.pages)
    ports.map(SECOND, 32, pair.second)
    return ports, pair


# -- random accesses


def gesture(rng: random.Random) -> Iterator[Access]:
    """One thing that a driver might do, and then a look at what changed."""
    chip = rng.randrange(2)
    match rng.choices(("counter", "command", "any", "page", "wide"), (6, 8, 2, 3, 2))[0]:
        case "counter":
            register = rng.randrange(8)
            if rng.random() < 0.5:
                yield tell(port(chip, CLEAR_FLIP_FLOP.offset), rng.randrange(256))
            for _ in range(rng.choice([1, 2, 2, 2, 4])):
                yield tell(port(chip, register), rng.randrange(256))
        case "command":
            commands = [COMMAND, REQUEST, MASK, MASK, MODE, MODE, CLEAR_MASK, ALL_MASKS]
            register = rng.choice(commands).offset
            yield tell(port(chip, register), rng.randrange(256))
        case "any":
            odd = chip and rng.randrange(2)
            yield tell(port(chip, rng.choice([*range(16), MASTER_CLEAR.offset])) + odd, 0)
        case "page":
            yield tell(rng.choice(PAGE_PORTS), rng.randrange(256))
            yield ask(rng.choice(PAGE_PORTS))
        case "wide":
            size = rng.choice([2, 4])
            at = port(chip, rng.randrange(16 - size))
            yield rng.choice([ask(at, size), tell(at, rng.getrandbits(8 * size), size)])
    for register in rng.choices([*range(8), STATUS.offset, READ_MASK.offset, 10, 13], k=3):
        yield ask(port(chip, register))


def accesses(seed: int, count: int) -> list[Access]:
    """`count` accesses, the same for a seed; none makes a request of software that counts."""
    rng, (ports, pair), found = random.Random(seed), our_pair(), []
    while len(found) < count:
        for access in gesture(rng):
            if access.write and starts_a_transfer(pair, access):
                continue
            do(ports, access)
            found.append(access)
    return found


def starts_a_transfer(pair: DmaPair, access: Access) -> bool:
    """Whether a channel in block mode would have its request bit set, after this or a later one."""
    for at, byte in parts(access, access.value):
        chip, register = place(at) or (0, 0)
        channel = (pair.second if chip else pair.first).channels[byte & 3]
        sets = register == REQUEST.offset and REQUEST.SET.get(byte)
        if sets and MODE.MODE.get(channel.mode) == Mode.BLOCK:
            return True
        blocks = register == MODE.offset and MODE.MODE.get(byte) == Mode.BLOCK
        if blocks and (channel.requested or access.size > 1):
            return True
    return False


def parts(access: Access, value: int) -> Iterator[tuple[int, int]]:
    """The bytes of an access: `(port, byte)`."""
    for n in range(access.size):
        yield access.address + n, value >> 8 * n & 0xFF


# -- what differs on purpose


class Byte(NamedTuple):
    """One byte of an access: our answer, QEMU's, and what QEMU's source lets us expect."""

    port: int
    ours: int
    theirs: int
    late_address: int | None
    upper_mask: int


class QemuChip:
    """What is different in a chip of QEMU's, followed through the accesses alone."""

    def __init__(self) -> None:
        self.flip_flop = 0
        self.base, self.now = [0] * 4, [0] * 4
        self.upper_mask = 0xF0

    def counter(self, write: bool, register: int, byte: int) -> int | None:
        """An address is taken over when a high byte is written, of address or of count."""
        half, self.flip_flop = 8 * self.flip_flop, self.flip_flop ^ 1
        n = register >> 1
        if not write:
            return None if register & 1 else self.now[n] >> half & 0xFF
        if not register & 1:
            self.base[n] = self.base[n] & ~(0xFF << half) | byte << half
        if half:
            self.now[n] = self.base[n]
        return None

    def command(self, register: int, byte: int) -> None:
        if register in (CLEAR_FLIP_FLOP.offset, MASTER_CLEAR.offset):
            self.flip_flop = 0
        upper = {MASTER_CLEAR.offset: 0xF0, CLEAR_MASK.offset: 0, ALL_MASKS.offset: byte & 0xF0}
        self.upper_mask = upper.get(register, self.upper_mask)


def expected(pairs: list[Both]) -> list[list[Byte]]:
    """Every byte of every access, with what QEMU's differences lead to."""
    chips, found = (QemuChip(), QemuChip()), []
    for pair in pairs:
        found.append([])
        theirs = dict(parts(pair.access, pair.theirs))
        for at, ours in parts(pair.access, pair.ours):
            chip, register = place(at) or (0, -1)
            late, model = None, chips[chip]
            if 0 <= register < 8:
                late = model.counter(pair.access.write, register, ours)
            elif pair.access.write:
                model.command(register, ours)
            found[-1].append(Byte(at, ours, theirs[at], late, model.upper_mask))
    return found


def register_of(byte: Byte) -> int:
    return (place(byte.port) or (0, -1))[1]


RULES: dict[str, tuple[str, Callable[[Byte], bool]]] = {
    "half an address": (
        "8237A Base and Current Address: written simultaneously, byte by byte. QEMU takes the"
        " current address over when a high byte is written, of the address or of the count.",
        lambda byte: byte.theirs == byte.late_address,
    ),
    "the mask has eight bits": (
        "8237A Mask Register: four bits. QEMU keeps what was written, and all ones after a reset.",
        lambda byte: (
            register_of(byte) == READ_MASK.offset and byte.theirs == byte.ours | byte.upper_mask
        ),
    ),
    "eight pages have no register": (
        "PC/AT Technical Reference: the 74LS612 has sixteen bytes. In QEMU nothing answers at the"
        " eight that belong to no channel.",
        lambda byte: byte.port in PAGE_PORTS and byte.port not in WIRED and byte.theirs == 0xFF,
    ),
}


def deviations(pairs: list[Both]) -> list[Deviation]:
    """What was reviewed, for this run. A wide access may meet two of them."""
    bytes_of = expected(pairs)

    def excuse(rule: Callable[[Byte], bool]) -> Callable[[Both, Both], bool]:
        def excuses(pair: Both, _: Both) -> bool:
            wrong = [byte for byte in bytes_of[pair.access.seq] if byte.ours != byte.theirs]
            covered = all(any(each(byte) for _, each in RULES.values()) for byte in wrong)
            return pair.our_irqs == pair.their_irqs and covered and any(map(rule, wrong))

        return excuses

    return [Deviation(name, clause, excuse(rule)) for name, (clause, rule) in RULES.items()]


@needs_qemu
@pytest.mark.parametrize("seed", range(2))
def test_random_accesses_get_the_same_answers(seed):
    ports, _ = our_pair()
    run = accesses(seed, ACCESSES)
    with QtestMachine("pc", paused=True) as machine:
        pairs = run_both(machine, ports, {}, run)
    used = explain(pairs, deviations(pairs))
    agreeing = [pair for pair in pairs if not pair.access.write and not pair.differ]
    assert len(agreeing) > ACCESSES / 3
    assert sum(used.values()) < ACCESSES / 5


# -- transfers, each deviation by itself


@pytest.fixture
def boards(tmp_path):
    """Both machines with a disk on channel 2, and the driver of each."""
    require("QEMU")
    with floppy_machine(tmp_path) as machine:
        pair = [Ours(), Theirs(machine)]
        for board in pair:
            board.dma = IsaDma(board.cpu)
            board.dma.start()
        yield pair


def deliver(boards, gpa, length, **options):
    for board in boards:
        board.dma.program(2, gpa, length, Transfer.WRITE, **options)
        board.disk.deliver()


def answers(boards, register):
    return tuple(board.cpu.inp(FIRST + register.offset) for board in boards)


@needs_qemu
@pytest.mark.parametrize("length", [512, 1024, 1536, 0x2000])
def test_a_transfer_leaves_the_same_behind(boards, length):
    deliver(boards, 0x21234, length)
    for board in boards:
        assert board.cpu.read(0x21230, length + 8) == bytes(4) + IMAGE[:length] + bytes(4)
        assert (board.dma.residue(2), board.dma.address(2)) == (0, 0x21234 + length)
    assert answers(boards, STATUS) == (0b0100, 0b0100)
    assert answers(boards, STATUS) == (0, 0)


@needs_qemu
def test_deviation_qemu_does_not_mask_a_channel_at_its_end(boards):
    """Mask Register: set when the channel produces an EOP, if it does not autoinitialize."""
    deliver(boards, 0x20000, 512)
    assert tuple(mask & 0xF for mask in answers(boards, READ_MASK)) == (0b1111, 0b1011)


@needs_qemu
def test_deviation_qemu_does_not_autoinitialize_the_counters(boards):
    """Autoinitialize: the original values are restored from the base registers at EOP."""
    deliver(boards, 0x20000, 512, auto=True)
    assert [board.dma.address(2) for board in boards] == [0x20000, 0x20200]
    assert [board.dma.residue(2) for board in boards] == [512, 0]


@needs_qemu
def test_deviation_qemu_carries_into_the_page(boards):
    """Current Address Register: 16 bits. The page register does not count."""
    for board in boards:
        board.dma.program(2, 0x2FE00, 512, Transfer.WRITE)
        for byte in (0xFF, 0x03):
            board.cpu.out(FIRST + 5, byte)
        board.disk.deliver()
    assert [board.cpu.read(0x30000, 512) == IMAGE[512:1024] for board in boards] == [False, True]
    assert [board.cpu.read(0x20000, 512) == IMAGE[512:1024] for board in boards] == [True, False]
    assert boards[0].dma.address(2) == 0x20200


@needs_qemu
def test_deviation_qemu_writes_a_decrementing_block_upwards_and_one_too_low(boards):
    """Mode Register, bit 5: the address goes down by one after each transfer."""
    deliver(boards, 0x20001, 512, down=True)
    assert boards[0].cpu.read(0x20000, 514) == b"\0" + IMAGE[511::-1] + b"\0"
    assert boards[1].cpu.read(0x20000, 514) == IMAGE[:512] + b"\0\0"


@needs_qemu
def test_deviation_qemu_needs_no_cascade(boards):
    """Cascade Mode: the first chip's request reaches the processor through channel 4."""
    for board in boards:
        board.cpu.out(port(1, MASK.offset), MASK.SET.mask)
    deliver(boards, 0x20000, 512)
    assert [board.dma.done(2) for board in boards] == [False, True]


@needs_qemu
def test_deviation_qemu_ignores_that_a_chip_is_disabled(boards):
    """Command Register, bit 2: controller disable."""
    for board in boards:
        board.cpu.out(FIRST + COMMAND.offset, COMMAND.DISABLE.mask)
    deliver(boards, 0x20000, 512)
    assert [board.dma.done(2) for board in boards] == [False, True]


@needs_qemu
def test_deviation_qemu_takes_a_request_of_software_for_the_end_of_tc(boards):
    """Status Register: TC is cleared upon reset and on each status read."""
    deliver(boards, 0x20000, 512)
    for board in boards:
        board.cpu.out(FIRST + REQUEST.offset, 2)
    assert answers(boards, STATUS) == (0b0100, 0)


@needs_qemu
def test_deviation_qemu_obeys_the_direction_of_the_device(boards):
    """Mode Register, bits 3 and 2: a read transfer takes from memory."""
    for board in boards:
        board.dma.program(2, 0x20000, 512, Transfer.READ)
        board.disk.deliver()
    assert [board.cpu.read(0x20000, 512) == IMAGE[:512] for board in boards] == [False, True]


@needs_qemu
def test_deviation_a_request_of_software_without_a_device_waits_for_ever_in_qemu(boards):
    """Request Register: served in block mode like any request, and cleared at TC."""
    for board in boards:
        board.dma.program(1, 0x20000, 16, Transfer.VERIFY, Mode.BLOCK)
        board.dma.request(1)
    assert answers(boards, STATUS) == (0b0000_0010, 0b0010_0000)
