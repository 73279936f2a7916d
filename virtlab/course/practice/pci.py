"""Problems about a PCI function's registers: naming one, and sizing a BAR.

    00:1f.2, 0x10   <-> CONFIG_ADDRESS and ECAM
    read back       --> the size of a BAR, and which kind it is

The judge is `pci.access`, and `guest.pci.size_bar` over a real function's registers. Left out:
expansion ROMs.
"""

from __future__ import annotations

from virtlab.course.practice.board import Board, hex_of
from virtlab.course.practice.ports import Recorder
from virtlab.guest.pci import Place, size_bar
from virtlab.pci.access import ConfigPorts, Ecam, config_address, ecam_offset
from virtlab.pci.bars import Space
from virtlab.pci.function import Function, Identity
from virtlab.pci.tlp import bdf_text, parse_bdf, source_id
from virtlab.wire import all_ones

ECAM_BASE = 0xB000_0000
"""Where the problems' boards have ECAM."""


class Asked:
    """A root complex that only remembers what it was asked for."""

    def __init__(self) -> None:
        self.place = (0, 0, 0, 0)

    def config_read(self, bus: int, device: int, number: int, offset: int, size: int) -> int:
        """Remember, and answer zero."""
        self.place = (bus, device, number, offset)
        return 0

    def config_write(
        self, bus: int, device: int, number: int, offset: int, size: int, value: int
    ) -> None:
        """Nothing is written in these problems."""


def config_place(board: Board) -> None:
    """A register's address, by ports and by ECAM; at level 3 the way back."""
    random = board.random
    place = (random.randrange(1, 64), random.randrange(1, 32), random.randrange(1, 8))
    offset = random.randrange(0x10, 0x100) & ~3
    board.say(
        "CONFIG_ADDRESS (port 0xcf8): enable is bit 31, bus bits 23:16, device bits 15:11, "
        "function bits 10:8, register bits 7:2. CONFIG_DATA is at 0xcfc to 0xcff. An ECAM offset: "
        "bus bits 27:20, device bits 19:15, function bits 14:12, register bits 11:0."
    )
    if board.level == 1:
        _by_ports(board, place, offset)
    elif board.level == 2:
        _by_ecam(board, place, offset + random.randrange(0, 15) * 0x100)
    else:
        _backwards(board, place, offset)


def _by_ports(board: Board, place: tuple[int, int, int], offset: int) -> None:
    bus, device, number = place
    word = config_address(bus, device, number, offset)
    name = bdf_text(source_id(*place))
    board.data |= {"function": name, "register": offset}
    board.ask(
        f"Which word must be in CONFIG_ADDRESS for register {hex_of(offset)} of {name}?",
        "one number, as “0x80021910”",
    )
    board.step("bus", f"{hex_of(bus)} << 16", hex_of(bus << 16))
    board.step("device", f"{hex_of(device)} << 11", hex_of(device << 11))
    board.step("function", f"{number} << 8", hex_of(number << 8))
    board.step("register", f"{hex_of(offset)}, bits 1:0 are zero", hex_of(offset))
    board.step("enable", "all of them, and bit 31", hex_of(word))
    board.slip("enable", word & ~(1 << 31), "bit 31 says that CONFIG_DATA means this register.")
    whole = 1 << 31 | bus << 16 | device << 8 | number << 11 | offset
    board.slip("device", whole, "the device is above the function: bits 15:11 and 10:8.")
    byte = 1 << 31 | bus << 16 | device << 12 | number << 8 | offset
    board.slip("device", byte, "the device has five bits from bit 11, not from bit 12.")
    shifted = 1 << 31 | bus << 16 | device << 11 | number << 8 | offset << 2
    board.slip("register", shifted, "the register's bits 7:2 stand in bits 7:2: no shift.")
    ecam = 1 << 31 | ecam_offset(bus, device, number, offset)
    board.slip("bus", ecam, "these are the shifts of ECAM.")
    board.answer(hex_of(word))


def _by_ecam(board: Board, place: tuple[int, int, int], offset: int) -> None:
    bus, device, number = place
    gpa = ECAM_BASE + ecam_offset(bus, device, number, offset)
    name = bdf_text(source_id(*place))
    board.data |= {"function": name, "register": offset, "base": ECAM_BASE}
    board.say(f"ECAM begins at {hex_of(ECAM_BASE)}, at bus 0.")
    board.ask(
        f"At which gpa is register {hex_of(offset)} of {name}?", "one number, as “0xb0219010”"
    )
    board.step("bus", f"{hex_of(bus)} << 20", hex_of(bus << 20))
    board.step("device", f"{hex_of(device)} << 15", hex_of(device << 15))
    board.step("function", f"{number} << 12", hex_of(number << 12))
    board.step("base", f"with the register, and {hex_of(ECAM_BASE)}", hex_of(gpa))
    board.slip("base", gpa - ECAM_BASE, "this is an offset; add where ECAM begins.")
    old = ECAM_BASE + (config_address(*place, offset) & 0xFFFFFF)
    board.slip("bus", old, "these are the shifts of CONFIG_ADDRESS.")
    short = ECAM_BASE + ecam_offset(bus, device, number, offset & 0xFF)
    board.slip("base", short, "here a register has 12 bits, not 8.")
    board.answer(hex_of(gpa))


def _backwards(board: Board, place: tuple[int, int, int], offset: int) -> None:
    asked, byte = Asked(), board.random.randrange(4)
    ports = bool(board.random.randrange(2))
    if ports:
        unit, word = ConfigPorts(asked), config_address(*place, offset)
        unit.write(0, 4, word)
        unit.read(4 + byte, 1)
        shown = f"CONFIG_ADDRESS has {hex_of(word)}. A guest reads one byte at port 0xcfc + {byte}."
    else:
        offset += 0x100 * board.random.randrange(1, 15)
        at = ecam_offset(*place, offset + byte)
        Ecam(asked).read(at, 1)
        shown = f"ECAM begins at {hex_of(ECAM_BASE)}. "
        shown += f"A guest reads one byte at {hex_of(ECAM_BASE + at)}."
    name, register = bdf_text(source_id(*asked.place[:3])), asked.place[3]
    board.say(shown)
    board.data |= {"ports": ports, "word": word if ports else at, "byte": byte}
    board.ask(
        "Which byte of which function does it read?",
        "the function and the offset of the byte, as “02:03.1 0x11”",
    )
    where = "CONFIG_ADDRESS" if ports else "the offset in ECAM"
    cut = "23:16, 15:11, 10:8" if ports else "27:20, 19:15, 14:12"
    board.step("function", f"Bits {cut} of {where}.", name)
    work = f"bits 7:2, and the port's own {byte}" if ports else "bits 11:0"
    board.step("register", work, f"{name} {hex_of(register)}")
    board.parts = ("function", "register")
    if ports:
        board.slip("register", f"{name} {register - byte}", "the port chooses the byte: add it.")
    else:
        board.slip("register", f"{name} {register & 0xFF}", "here a register has 12 bits.")
    board.slip("register", f"{name} {register >> 2}", "the offset counts bytes, not words.")
    board.answer(f"{name} {hex_of(register)}")
    assert parse_bdf(name) == source_id(*place)


# -- sizing a BAR


class Registers:
    """A function's own configuration space, as a driver reaches it."""

    def __init__(self, function: Function) -> None:
        self.function = function

    def read(self, place: Place, offset: int, size: int) -> int:
        """A configuration read."""
        return self.function.config.read(offset, size)

    def write(self, place: Place, offset: int, size: int, value: int) -> None:
        """A configuration write."""
        self.function.config.write(offset, size, value)


def bar_size(board: Board) -> None:
    """What a BAR takes, from what can be read back."""
    random, index = board.random, board.random.randrange(5)
    function = Function(Identity(0x1234, 0x11E8, 0xFF0000), name="card")
    space, bits = _new_bar(board, function, index)
    at = 0x10 + 4 * index
    for part in range(at, at + (8 if bits == 64 else 4), 4):
        function.config.write(part, 4, random.getrandbits(32))
    before = [function.config.read(part, 4) for part in range(at, at + bits // 8, 4)]
    bar = size_bar(Registers(function), Place(0, 3, 0), at, index)
    assert bar is not None
    for part in range(at, at + bits // 8, 4):
        function.config.write(part, 4, all_ones(4))
    after = [function.config.read(part, 4) for part in range(at, at + bits // 8, 4)]
    rows = [
        (f"BAR{index + n}", hex_of(one, 8), hex_of(two, 8))
        for n, (one, two) in enumerate(zip(before, after, strict=True))
    ]
    board.say("A driver keeps each register, writes all ones, reads it back, and restores it.")
    board.say(
        "Bit 0 is 1 for ports, and bits 1:0 are then no address. Bit 0 is 0 for memory, and bits "
        "3:0 are then no address; bits 2:1 are 2 for a BAR of 64 bits, bit 3 is prefetchable."
    )
    board.table("One BAR", ("register", "before", "after all ones"), rows)
    board.data |= {"after": after, "before": before}
    kind = "io" if space == "port" else f"mem{bits}"
    board.words = {"io", "mem32", "mem64"}
    board.ask(
        "Which kind of BAR is it, how many bytes (or ports) does it have, and where is it now?",
        "io, mem32 or mem64, the size and the address, as “mem32 0x1000 0xfebf0000”",
    )
    function.config.write(at, 4, before[0])
    if bits == 64:
        function.config.write(at + 4, 4, before[1])
    address = function.bars[-1].address(function.header)
    _bar_steps(board, kind, bar.size, address, after)


def _new_bar(board: Board, function: Function, index: int) -> tuple[Space, int]:
    """Give the function a BAR by level: 32 bits; ports and prefetchable too; 64 bits too."""
    random, device = board.random, Recorder()
    which = random.randrange({1: 1, 2: 3, 3: 5}[board.level])
    if which == 1:
        function.port_bar(index, device, 1 << random.randrange(2, 9))
        return "port", 32
    bits = 64 if which > 2 else 32
    size = 1 << random.randrange(4, 34 if bits == 64 else 25)
    ahead = board.level > 1 and bool(random.randrange(2))
    function.memory_bar(index, device, size, bits=bits, prefetchable=ahead)
    return "memory", bits


def _bar_steps(board: Board, kind: str, size: int, address: int, after: list[int]) -> None:
    low = after[0]
    flags = 2 if kind == "io" else 4
    board.step("kind", f"The lowest {flags} bits of {hex_of(low, 8)} are not address.", kind)
    word = low & -(1 << flags) | (after[1] << 32 if len(after) > 1 else 0)
    both = "both words, the second one above the first" if len(after) > 1 else "without them"
    board.step("mask", f"{both}: the bits that could be written", hex_of(word))
    board.step("size", "The lowest bit that is set: what stayed zero is the size.", hex_of(size))
    end = f"{kind} {hex_of(size)} {hex_of(address)}"
    board.step("address", "The register before, without the same low bits.", end)
    board.parts = ("kind", "size", "address")
    why = "the type bits are not address: clear them before you look for the lowest bit."
    board.slip("mask", (kind, low & -low or 1, address), why)
    board.slip("size", (kind, size - 1, address), "the inverse of the mask is the size less one.")
    inverted = ~low + 1 & all_ones(4)
    board.slip("mask", (kind, inverted, address), "clear the type bits first, then invert.")
    if kind == "mem64":
        half = -(low & -16) & all_ones(4)
        board.slip("mask", (kind, half, address), "a BAR of 64 bits has the next register too.")
        board.slip("address", (kind, size, address & all_ones(4)), "add the upper register.")
    board.slip(
        "kind", ("mem32" if kind == "mem64" else "mem64", size, address), "look at bits 2:1."
    )
    board.answer(end)
