"""The numbers of `lspci -vvv`: which is which field of a declared register.

`lspci` prints a capability as lines `label: word+ word-  name value`. `fields` reads them by two
tables, `FLAGS` for the words and `VALUES` for the values. A test holds the result against what our
declarations say of the same bytes. Where two versions of `lspci` write a fact in two ways, both
are here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.oracles.lspci_flags import FLAGS


class Field(NamedTuple):
    """A fact of `lspci` about one capability, and where we have it."""

    label: str
    register: str
    field: str
    value: int


def _hex(digits: str) -> int:
    return int(digits, 16)


def _power(base: int) -> Callable[[str], int]:
    """From a number that is `base` shifted up, back to the shift."""
    return lambda digits: (int(digits) // base).bit_length() - 1


def _less(amount: int) -> Callable[[str], int]:
    return lambda digits: int(digits) - amount


def _eighths(digits: str) -> int:
    return int(digits, 16) >> 3


VALUES: dict[str, list[tuple[str, str, str, str, Callable[[str], int]]]] = {
    "Power Management": [
        ("", r"version (\d)", "PMC", "VERSION", int),
        ("Status", r"D(\d) ", "PMCSR", "POWER_STATE", int),
        ("Status", r"DSel=(\d+)", "PMCSR", "DATA_SELECT", int),
        ("Status", r"DScale=(\d+)", "PMCSR", "DATA_SCALE", int),
    ],
    "MSI": [
        ("", r"Count=(\d+)/", "CONTROL", "MULTIPLE_MESSAGE_ENABLE", _power(1)),
        ("", r"Count=\d+/(\d+)", "CONTROL", "MULTIPLE_MESSAGE_CAPABLE", _power(1)),
        ("Address", r"Data: (\w+)", "DATA", "", _hex),
        ("Address", r"(\w{8})  Data", "ADDRESS", "", _hex),
        ("Address", r"(\w{8})\w{8}  Data", "ADDRESS_UPPER", "", _hex),
        ("Masking", r"^(\w+)", "MASK", "", _hex),
        ("Masking", r"Pending: (\w+)", "PENDING", "", _hex),
    ],
    "MSI-X": [
        ("", r"Count=(\d+)", "CONTROL", "TABLE_SIZE", _less(1)),
        ("Vector table", r"BAR=(\d)", "TABLE", "BIR", int),
        ("Vector table", r"offset=(\w+)", "TABLE", "OFFSET", _eighths),
        ("PBA", r"BAR=(\d)", "PBA", "BIR", int),
        ("PBA", r"offset=(\w+)", "PBA", "OFFSET", _eighths),
    ],
    "Slot ID": [
        ("", r"(\d+) slots", "EXPANSION_SLOT", "SLOTS", int),
        ("", r"chassis (\w+)", "CHASSIS", "", _hex),
    ],
    "Debug port": [
        ("", r"BAR=(\d)", "PORT", "BAR", int),
        ("", r"offset=(\w+)", "PORT", "OFFSET", _hex),
    ],
    "SATA HBA": [
        ("", r"v(\d+)\.", "SATACR0", "MAJOR", int),
        ("", r"v\d+\.(\d+)", "SATACR0", "MINOR", int),
        ("", r" BAR(\d) ", "SATACR1", "BAR_LOCATION", _less(-4)),
        ("", r"Offset=(\w+)", "SATACR1", "BAR_OFFSET", _hex),
    ],
    "PCI-X": [
        ("Status", r"Dev=(\w\w):", "STATUS", "BUS", _hex),
        ("Status", r"Dev=\w\w:(\w\w)", "STATUS", "DEVICE", _hex),
        ("Status", r"Dev=\w\w:\w\w\.(\d)", "STATUS", "FUNCTION", int),
    ],
    "Express": [
        ("", r"\(v(\d+)\)", "EXPRESS_CAPABILITIES", "VERSION", int),
        ("", r"MSI (\w\w)", "EXPRESS_CAPABILITIES", "INTERRUPT_MESSAGE", _hex),
        ("", r"IntMsgNum (\d+)", "EXPRESS_CAPABILITIES", "INTERRUPT_MESSAGE", int),
        (
            "DevCap",
            r"MaxPayload (\d+)",
            "DEVICE_CAPABILITIES",
            "MAX_PAYLOAD_SUPPORTED",
            _power(128),
        ),
        ("DevCtl", r"MaxPayload (\d+)", "DEVICE_CONTROL", "MAX_PAYLOAD", _power(128)),
        ("DevCtl", r"MaxReadReq (\d+)", "DEVICE_CONTROL", "MAX_READ_REQUEST", _power(128)),
        ("LnkCap", r"Port #(\d+)", "LINK_CAPABILITIES", "PORT", int),
        ("LnkCap", r"Width x(\d+)", "LINK_CAPABILITIES", "MAX_WIDTH", int),
        ("LnkSta", r"Width x(\d+)", "LINK_STATUS", "WIDTH", int),
        ("SltCap", r"Slot #(\d+)", "SLOT_CAPABILITIES", "SLOT_NUMBER", int),
        ("RootSta", r"PME ReqID (\w+)", "ROOT_STATUS", "PME_REQUESTER", _hex),
    ],
    "Advanced Error Reporting": [
        ("AERCap", r"First Error Pointer: (\w+)", "CONTROL", "FIRST_ERROR", _hex),
        ("HeaderLog", r"^(\w+)", "HEADER_LOG_0", "", _hex),
        ("HeaderLog", r"(\w+)$", "HEADER_LOG_3", "", _hex),
        ("RootSta", r"IntMsg(?:Num)? (\d+)", "ROOT_STATUS", "INTERRUPT_MESSAGE", int),
        ("ErrorSrc", r"ERR_COR: (\w+)", "ERROR_SOURCE", "CORRECTABLE", _hex),
        ("ErrorSrc", r"NONFATAL: (\w+)", "ERROR_SOURCE", "UNCORRECTABLE", _hex),
    ],
    "Alternative Routing-ID Interpretation (ARI)": [
        ("ARICap", r"Next Function: (\d+)", "CAPABILITY", "NEXT_FUNCTION", int),
        ("ARICtl", r"Function Group: (\d+)", "CONTROL", "FUNCTION_GROUP", int),
    ],
    "Address Translation Service (ATS)": [
        ("ATSCap", r"Queue Depth: (\w+)", "CAPABILITY", "QUEUE_DEPTH", _hex),
        ("ATSCtl", r"Translation Unit: (\w+)", "CONTROL", "SMALLEST_UNIT", _hex),
    ],
    "Page Request Interface (PRI)": [
        ("Page Request Capacity", r"^(\w+)", "CAPACITY", "", _hex),
        ("Page Request Capacity", r"Allocation: (\w+)", "ALLOCATION", "", _hex),
    ],
    "Process Address Space ID (PASID)": [
        ("PASIDCap", r"Width: (\w+)", "CAPABILITY", "WIDTH", _hex),
    ],
    "Single Root I/O Virtualization (SR-IOV)": [
        ("IOVCap", r"Message Number: (\w+)", "CAPABILITIES", "MIGRATION_VECTOR", _hex),
        ("IOVCap", r"IntMsgNum (\d+)", "CAPABILITIES", "MIGRATION_VECTOR", int),
        ("Initial VFs", r"Link: (\w+)", "FUNCTION_DEPENDENCY", "", _hex),
        ("Supported Page Size", r"^(\w+)", "SUPPORTED_PAGE_SIZES", "", _hex),
        ("Supported Page Size", r"System Page Size: (\w+)", "SYSTEM_PAGE_SIZE", "", _hex),
    ],
    "Virtual Channel": [
        ("Caps", r"LPEVC=(\d)", "PORT_CAPABILITY_1", "LOW_PRIORITY_VCS", int),
        ("VC0", r"ID=(\d)", "VC0_CONTROL", "VC_ID", int),
        ("VC0", r"TC/VC=(\w+)", "VC0_CONTROL", "TC_MAP", _hex),
    ],
    "Downstream Port Containment": [
        ("DpcCap", r"(?:INT Msg #|IntMsgNum )(\d+)", "CAPABILITY", "INTERRUPT_MESSAGE", int),
        ("DpcCap", r"PIO Log (\d+)", "CAPABILITY", "LOG_SIZE", int),
        ("DpcCtl", r"Trigger:(\d)", "CONTROL", "TRIGGER", int),
        ("DpcSta", r"Reason:(\d+)", "STATUS", "REASON", int),
        ("Source", r"^(\w+)", "SOURCE", "", _hex),
    ],
    "Precision Time Measurement": [
        ("PTMClockGranularity", r"^(\d+)ns", "CAPABILITY", "GRANULARITY", int),
        ("PTMEffectiveGranularity", r"^(\d+)ns", "CONTROL", "GRANULARITY", int),
    ],
    "Multicast": [
        ("McastCap", r"MaxGroups (\d+)", "CAPABILITY", "MAX_GROUP", _less(1)),
        ("McastCap", r"WindowSz (\d+)", "CAPABILITY", "WINDOW_SIZE", int),
        ("McastCtl", r"NumGroups (\d+)", "CONTROL", "GROUPS", _less(1)),
    ],
    "Vendor Specific Information": [
        ("", r"ID=(\w+)", "VENDOR_HEADER", "ID", _hex),
        ("", r"Rev=(\d+)", "VENDOR_HEADER", "REVISION", int),
        ("", r"Rev=\d+ Len=(\w+)", "VENDOR_HEADER", "LENGTH", _hex),
        ("", r": Len=(\w+)", "LENGTH", "", _hex),
    ],
    "Designated Vendor-Specific": [
        ("", r"Vendor=(\w+)", "HEADER_1", "VENDOR", _hex),
        ("", r" ID=(\w+)", "HEADER_2", "", _hex),
        ("", r"Rev=(\d+)", "HEADER_1", "REVISION", int),
        ("", r"Len=(\d+)", "HEADER_1", "LENGTH", int),
    ],
    "Data Object Exchange": [
        ("DOECap", r"Message Number (\w+)", "CAPABILITIES", "MESSAGE", _hex),
        ("DOECap", r"IntMsgNum (\d+)", "CAPABILITIES", "MESSAGE", int),
    ],
}
"""By capability: label, pattern, register, field (or none: all of it), and how it is written."""


def fields(name: str, lines: list[str]) -> Iterator[Field]:
    """The facts in the lines that `lspci` prints for the capability `name`."""
    parts = labelled(lines)
    for (label, register), words in FLAGS.get(name, {}).items():
        for word, field in words.items():
            sign = re.search(rf"(?<![\w.-]){re.escape(word)}:?([+-])(?!\w)", parts.get(label, ""))
            if sign:
                yield Field(label, register, field, int(sign[1] == "+"))
    for label, pattern, register, field, number in VALUES.get(name, ()):
        if match := re.search(pattern, parts.get(label, "")):
            yield Field(label, register, field, number(match[1]))


def labelled(lines: list[str]) -> dict[str, str]:
    """The text behind each label; what the first line says has the label ''."""
    parts, label = {"": lines[0]}, ""
    for line in lines[1:]:
        if match := re.match(r"\t\t(\w[^:]*):\s*(.*)", line):
            label = match[1]
            parts[label] = match[2]
        else:
            parts[label] += " " + line.strip()
    return parts


def every() -> set[tuple[str, str, str, str]]:
    """Each capability, label, register and field of the two tables."""
    rows = {
        (name, label, register, field)
        for name, lines in FLAGS.items()
        for (label, register), words in lines.items()
        for field in words.values()
    }
    return rows | {
        (name, row[0], row[2], row[3]) for name, group in VALUES.items() for row in group
    }
