"""Finding ACPI tables as a kernel does: scan for the pointer, follow it, add up the bytes.

    0xE0000 ... 0xFFFFF   on a multiple of 16: "RSD PTR "  -->  XSDT or RSDT  -->  each table

The idea: nothing about the machine is known yet. So the kernel looks where a PC must have the
pointer, and believes only what adds up to 0.

The rule that keeps it simple: a table that is too long, damaged or not there is the same to a
driver: `LookupError`, in whose words the difference is.

Source: ACPI 6.4, 5.2.5.1 (where the RSDP is), 5.2.7, 5.2.8. Left out: the extended BIOS data area,
and the pointer that UEFI hands over.
"""

from __future__ import annotations

from virtlab.acpi.layouts import AREA, HEADER, RSDP, SIGNATURE, STEP
from virtlab.acpi.structures import Structure, parse, parse_rsdp
from virtlab.cpu import Cpu

MAX_TABLE = 1 << 20
"""Bytes of the longest table that is read; a length that is not true could say 4 GiB."""


class AcpiTables:
    """The tables that the firmware behind `cpu` left in memory. `LookupError` if there are none."""

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu
        self.gpa, pointers = find_rsdp(cpu)
        self.root = self.at(pointers["xsdt_address"] or pointers["rsdt_address"])

    def signatures(self) -> list[str]:
        """Of the tables that the root table lists."""
        return [self._signature(part.values["address"]) for part in self.root.parts]

    def find(self, signature: str) -> Structure:
        """The first table with this signature. The FADT has it of the DSDT, which no list has."""
        if signature == "DSDT":
            fadt = self.find("FACP").values
            return self.at(fadt["x_dsdt"] or fadt["dsdt"])
        for part in self.root.parts:
            if self._signature(part.values["address"]) == signature:
                return self.at(part.values["address"])
        raise LookupError(f"the root table lists no {signature}")

    def at(self, gpa: int) -> Structure:
        """The table at `gpa`. `LookupError` where none is, or a damaged one."""
        length = self.cpu.load(gpa + 4, 4)
        if not HEADER.itemsize <= length <= MAX_TABLE:
            raise LookupError(f"there is no table at {gpa:#x}: it would have {length} bytes")
        try:
            return parse(self.cpu.read(gpa, length))
        except ValueError as error:
            raise LookupError(f"the table at {gpa:#x} is damaged: {error}") from None

    def _signature(self, gpa: int) -> str:
        return self.cpu.read(gpa, 4).decode("latin-1")


def find_rsdp(cpu: Cpu) -> tuple[int, dict[str, int]]:
    """The gpa of the RSDP, and its fields. A copy that does not add up is passed over."""
    base, length = AREA
    wanted = int.from_bytes(SIGNATURE, "little")
    for gpa in range(base, base + length, STEP):
        if cpu.load(gpa, len(SIGNATURE)) == wanted:
            try:
                return gpa, parse_rsdp(cpu.read(gpa, RSDP.itemsize))
            except ValueError:
                continue
    raise LookupError("no RSDP in 0xe0000-0xfffff")
