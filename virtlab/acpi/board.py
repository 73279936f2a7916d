"""The tables that describe a board, and where they lie in memory.

    gpa        RSDP  "RSD PTR ", on a multiple of 16, in 0xE0000-0xFFFFF, where a kernel looks
               RSDT, XSDT   --> FADT, MADT, MCFG, HPET
               FADT         --> DSDT: one PCI host bridge, with its buses, windows and pins

The idea: a `Board` is numbers that somebody else decided: the wiring, and the firmware that gave
out addresses. The tables say them, and nothing that is not there.

The rule that keeps it simple: the lesson board has none of ACPI's own hardware, no power button, no
timer, no SCI. So the FADT says HW_REDUCED_ACPI, and all its register blocks are 0. An I/O APIC, an
HPET or ECAM that a board does not have is not described.

Source: ACPI 6.4, 5.2, 6.1, 6.2; PCI Firmware 3.0, 4.1.2 (ECAM is reserved by a PNP0C02 device). A
DMAR, or any other table, goes into `Board.more`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from virtlab.acpi import aml
from virtlab.acpi.layouts import AREA, MEMORY, PORTS, RSDP, STEP
from virtlab.acpi.structures import Structure, encode, make, rsdp, table
from virtlab.acpi.tables import (
    ACTIVE_HIGH,
    ALLOCATION,
    BOOT_FLAGS,
    ENTRY32,
    ENTRY64,
    FADT_FLAGS,
    INTI_FLAGS,
    IO_APIC,
    LEVEL,
    LOCAL_APIC,
    OVERRIDE,
    PCAT_COMPAT,
)

ECAM_BUS = 1 << 20
"""Bytes of ECAM for one bus."""


class IoApic(NamedTuple):
    """An I/O APIC: its id, where it is (gpa), the global system interrupt of its input 0."""

    id: int = 0
    gpa: int = 0xFEC0_0000
    gsi: int = 0


class Override(NamedTuple):
    """ISA interrupt `irq` arrives at `gsi`; `level`: active high and level-triggered."""

    irq: int
    gsi: int
    level: bool = False


class Route(NamedTuple):
    """Pin 1 to 4 of `device` on bus 0 ends at the interrupt `gsi`."""

    device: int
    pin: int
    gsi: int


@dataclass(frozen=True)
class Board:
    """What the tables say. Addresses are gpas, windows are `(base, length)`.

    `apic_ids` has one id for each processor. `hpet` is where the block is, and the low half of its
    GCAP_ID. `ecam` is its base, its first and its last bus. `reset` is a port, and the byte that
    resets the machine there. `century` is the RTC's index of it. `legacy`: there are an 8042 and
    two 8259As, as on a PC of old. `more` are further tables.
    """

    apic_ids: tuple[int, ...] = (0,)
    local_apic: int = 0xFEE0_0000
    io_apics: tuple[IoApic, ...] = ()
    overrides: tuple[Override, ...] = ()
    hpet: tuple[int, int] | None = None
    ecam: tuple[int, int, int] | None = None
    port_windows: tuple[tuple[int, int], ...] = ()
    memory_windows: tuple[tuple[int, int], ...] = ()
    routes: tuple[Route, ...] = ()
    reset: tuple[int, int] | None = None
    century: int = 0
    msi: bool = False
    legacy: bool = True
    more: tuple[Structure, ...] = field(default=())


class Image(NamedTuple):
    """The tables as bytes to put at `gpa`. `tables` has each by signature, `places` its gpa."""

    gpa: int
    data: bytes
    tables: dict[str, bytes]
    places: dict[str, int]


def build(board: Board, gpa: int = AREA[0]) -> Image:
    """All tables, one after another from `gpa`, the RSDP first.

    `ValueError` where a kernel would not find them there, or where a number does not fit.
    """
    if gpa % STEP or not AREA[0] <= gpa < sum(AREA):
        raise ValueError(f"an RSDP is at a multiple of 16 in 0xe0000-0xfffff, not at {gpa:#x}")
    image = _Layout(gpa + _up(RSDP.itemsize))
    dsdt_gpa = image.add("DSDT", dsdt(board))
    image.add("FACP", fadt(board, dsdt_gpa))
    for name, made in listed(board).items():
        image.add(name, made)
    entries = [at for name, at in image.places.items() if name != "DSDT"]
    rsdt = image.add("RSDT", table("RSDT", 1, *(make(ENTRY32, address=at) for at in entries)))
    xsdt = image.add("XSDT", table("XSDT", 1, *(make(ENTRY64, address=at) for at in entries)))
    image.place("RSDP", gpa, rsdp(rsdt, xsdt))
    if image.end > sum(AREA):
        raise ValueError(f"the tables end at {image.end:#x}, past 0xfffff")
    return Image(gpa, image.data(gpa), image.tables, image.places)


def listed(board: Board) -> dict[str, Structure]:
    """The tables that the root tables list beside the FADT, by signature."""
    made = {"APIC": madt(board)}
    if board.ecam is not None:
        made["MCFG"] = mcfg(*board.ecam)
    if board.hpet is not None:
        made["HPET"] = hpet(*board.hpet)
    for each in board.more:
        name = each.values["signature"].decode()
        if name in (*made, "RSDT", "XSDT", "FACP", "DSDT"):
            raise ValueError(f"there is a table {name} already")
        made[name] = each
    return made


class _Layout:
    """Tables by signature, with their places, from an address on."""

    def __init__(self, start: int) -> None:
        self.end = start
        self.tables: dict[str, bytes] = {}
        self.places: dict[str, int] = {}

    def add(self, name: str, structure: Structure) -> int:
        """Put a table behind the others; gives its gpa."""
        at = self.end
        self.place(name, at, encode(structure))
        self.end = at + _up(len(self.tables[name]))
        return at

    def place(self, name: str, at: int, data: bytes) -> None:
        """Put a table at a gpa."""
        self.tables[name], self.places[name] = data, at

    def data(self, start: int) -> bytes:
        """All of it as bytes, from `start`, the gaps zero."""
        whole = bytearray(self.end - start)
        for name, at in self.places.items():
            whole[at - start : at - start + len(self.tables[name])] = self.tables[name]
        return bytes(whole)


# -- one function a table


def fadt(board: Board, dsdt_gpa: int) -> Structure:
    """FADT: no ACPI hardware; a PC's legacy devices; where the DSDT is (5.2.9)."""
    boot = BOOT_FLAGS["LEGACY_DEVICES"].mask | (board.legacy and BOOT_FLAGS["HAS_8042"].mask)
    boot |= BOOT_FLAGS["VGA_NOT_PRESENT"].mask | BOOT_FLAGS["NO_ASPM"].mask
    if not board.msi:
        boot |= BOOT_FLAGS["MSI_NOT_SUPPORTED"].mask
    flags = FADT_FLAGS["HW_REDUCED_ACPI"].mask | FADT_FLAGS["WBINVD"].mask
    if board.reset is not None:
        flags |= FADT_FLAGS["RESET_REG_SUP"].mask
    port, value = board.reset or (0, 0)
    return table(
        "FACP",
        6,
        dsdt=dsdt_gpa,
        x_dsdt=dsdt_gpa,
        minor_version=4,
        preferred_pm_profile=1,
        p_lvl2_lat=0x0FFF,
        p_lvl3_lat=0x0FFF,
        century=board.century,
        iapc_boot_arch=boot,
        flags=flags,
        reset_reg=(PORTS, 8, 0, 1, port) if board.reset is not None else (0, 0, 0, 0, 0),
        reset_value=value,
    )


def madt(board: Board) -> Structure:
    """MADT: processors, I/O APICs, and which ISA interrupt arrives elsewhere (5.2.12)."""
    processors = [
        make(LOCAL_APIC, processor_uid=uid, apic_id=apic_id, flags=1)
        for uid, apic_id in enumerate(board.apic_ids)
    ]
    chips = [
        make(IO_APIC, io_apic_id=chip.id, address=chip.gpa, gsi_base=chip.gsi)
        for chip in board.io_apics
    ]
    overrides = [
        make(OVERRIDE, source=each.irq, gsi=each.gsi, flags=_LEVEL if each.level else 0)
        for each in board.overrides
    ]
    parts = (*processors, *chips, *overrides)
    flags = board.legacy and PCAT_COMPAT
    return table("APIC", 5, *parts, local_apic_address=board.local_apic, flags=flags)


_LEVEL = INTI_FLAGS["TRIGGER"].put(INTI_FLAGS["POLARITY"].put(0, ACTIVE_HIGH), LEVEL)


def mcfg(base: int, first: int, last: int) -> Structure:
    """MCFG: ECAM of the buses `first` to `last` of segment 0 (PCI Firmware 3.0, 4.1.2)."""
    return table("MCFG", 1, make(ALLOCATION, base=base, start_bus=first, end_bus=last))


def hpet(base: int, block_id: int) -> Structure:
    """HPET: where the block is, and what its first register says (HPET 1.0a, 3.2.4)."""
    address = (MEMORY, 64, 0, 0, base)
    return table("HPET", 1, block_id=block_id, base=address, minimum_tick=0x80)


def dsdt(board: Board) -> Structure:
    """DSDT: the host bridge, and a device that keeps ECAM from being given away (5.2.11.1)."""
    return table("DSDT", 2, rest=aml.scope("\\_SB", host_bridge(board), *_reserved(board)))


def host_bridge(board: Board) -> bytes:
    """The byte code of a PCI Express host bridge: ids, buses, windows, pins."""
    last = board.ecam[2] if board.ecam is not None else 255
    resources = aml.template(
        aml.bus_numbers(0, last),
        aml.io(0xCF8, 8),
        *(aml.ports(*window) for window in board.port_windows),
        *(aml.memory(*window) for window in board.memory_windows),
    )
    pins = aml.name("_PRT", aml.package(*map(_pin, board.routes))) if board.routes else b""
    return aml.device(
        "PCI0",
        aml.name("_HID", aml.eisa_id("PNP0A08")),
        aml.name("_CID", aml.eisa_id("PNP0A03")),
        aml.name("_SEG", aml.integer(0)),
        aml.name("_BBN", aml.integer(0)),
        aml.name("_UID", aml.integer(0)),
        aml.name("_CRS", resources),
        pins,
    )


def _pin(route: Route) -> bytes:
    """One row of _PRT: address, pin from 0, no link device, interrupt (6.2.13)."""
    if not (0 <= route.device < 32 and 1 <= route.pin <= 4):
        raise ValueError(f"bus 0 has no pin {route.pin} of device {route.device}")
    numbers = (route.device << 16 | 0xFFFF, route.pin - 1, 0, route.gsi)
    return aml.package(*map(aml.integer, numbers))


def _reserved(board: Board) -> list[bytes]:
    """The device that owns ECAM's addresses."""
    if board.ecam is None:
        return []
    base, first, last = board.ecam
    owned = aml.memory(base + first * ECAM_BUS, (last - first + 1) * ECAM_BUS, consumer=True)
    return [
        aml.device(
            "ECAM",
            aml.name("_HID", aml.eisa_id("PNP0C02")),
            aml.name("_CRS", aml.template(owned)),
        )
    ]


def _up(length: int) -> int:
    """Every table begins at a multiple of 16, though only the RSDP must."""
    return -(-length // STEP) * STEP
