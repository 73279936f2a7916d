"""A decoded function in words, and as data for a program.

`verbose_text` says every register and every field, with its clause. `as_data` is what
`virtlab inspect pci --json` prints. Both read the declarations; neither knows a layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from virtlab.pci.config import Header
from virtlab.pci.decode import DecodedCapability, DecodedFunction
from virtlab.pci.fields import Register, Registers
from virtlab.pci.tree import describe

WORD_WIDTH = 92
"""Columns that a line of fields may take."""


# -- in words


def verbose_text(function: DecodedFunction) -> str:
    """Every register of one function, with its fields, what it is for, and its clause."""
    lines = [describe(function)]
    if function.present:
        lines += _summary(function)
        lines += ["  header", *_registers(function.header)]
        for each in function.capabilities:
            lines += [f"  capability {each.id:#04x} at {each.offset:#04x}: {each.name}"]
            lines += _registers(each.registers)
        for each in function.extended:
            head = f"extended capability {each.id:#06x} at {each.offset:#05x}"
            lines += [f"  {head}: {each.name}, version {each.version}"]
            lines += _registers(each.registers)
    return "\n".join(lines + [f"  note: {note}" for note in function.notes])


def _summary(function: DecodedFunction) -> Iterator[str]:
    """Where it answers and what it passes down."""
    for bar in function.bars:
        place = f"at {bar.address:#x}" if bar.address else "not assigned"
        ahead = ", prefetchable" if bar.prefetchable else ""
        kind = f"memory, {bar.width} bits{ahead}" if bar.kind == "memory" else "ports"
        yield f"  BAR {bar.index}: {kind}, {place}{'' if bar.enabled else ' (disabled)'}"
    if function.rom:
        place = f"at {function.rom.address:#x}" if function.rom.address else "not assigned"
        yield f"  ROM: {place}{'' if function.rom.enabled else ' (disabled)'}"
    if function.bridge:
        for window in function.bridge.windows:
            reach = f"{window.base:#x} to {window.limit:#x}" if window.open else "closed"
            yield f"  window, {window.kind}: {reach}"
    if function.sriov:
        vfs = function.sriov
        yield f"  virtual functions: {vfs.num_vfs} of {vfs.total_vfs}, {_on(vfs.vf_enable)}"


def _on(bit: bool) -> str:
    return "enabled" if bit else "not enabled"


def _registers(registers: Registers) -> Iterator[str]:
    for each in registers:
        declared = each.declared
        digits = 2 * declared.width
        yield (
            f"    {each.offset:03x} {each.name} = {each.value:0{digits}x}"
            f"  {declared.doc} [{declared.spec}]"
        )
        yield from _fields(each)


def _fields(register: Register) -> Iterator[str]:
    """The fields, as many on a line as fit."""
    line = ""
    for name, value in register.fields.items():
        word = f"{name} {value:#x}" if value > 9 else f"{name} {value}"
        if line and len(line) + len(word) + 2 > WORD_WIDTH:
            yield f"        {line}"
            line = ""
        line += f", {word}" if line else word
    if line:
        yield f"        {line}"


# -- as data


def as_data(function: DecodedFunction, verbose: bool = False) -> dict[str, Any]:
    """What JSON can hold of one function; with `verbose`, every register too.

    `class` is class and subclass, 16 bits, as `lspci -n` prints it; `class_code` has all 24.
    """
    card = function.subsystem
    data: dict[str, Any] = {
        "bdf": function.bdf,
        "vendor": function.vendor,
        "device": function.device,
        "class": function.class_code >> Header.CLASS_CODE.SUBCLASS.lo,
        "class_code": function.class_code,
        "revision": function.revision,
        "header_type": function.header_type,
        "multi_function": function.multi_function,
        "present": function.present,
        "subsystem": {"vendor": card[0], "device": card[1]} if card else None,
        "bars": [asdict(bar) for bar in function.bars],
        "rom": function.rom._asdict() if function.rom else None,
        "capabilities": [_capability(each, verbose) for each in function.capabilities],
        "extended_capabilities": [_capability(each, verbose) for each in function.extended],
        "bridge": _bridge(function),
        "sriov": _sriov(function),
        "notes": function.notes,
    }
    if verbose:
        data["registers"] = _register_data(function.header)
    return data


def _capability(capability: DecodedCapability, verbose: bool) -> dict[str, Any]:
    data: dict[str, Any] = {"id": capability.id, "offset": capability.offset}
    if capability.version is not None:
        data["version"] = capability.version
    data["name"] = capability.name
    if verbose:
        data["registers"] = _register_data(capability.registers)
    return data


def _register_data(registers: Registers) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "offset": each.offset,
            "width": each.declared.width,
            "value": each.value,
            "fields": each.fields,
            "spec": each.declared.spec,
        }
        for each in registers
    ]


def _bridge(function: DecodedFunction) -> dict[str, Any] | None:
    if function.bridge is None:
        return None
    windows = [window._asdict() | {"open": window.open} for window in function.bridge.windows]
    return function.bridge._asdict() | {"windows": windows}


def _sriov(function: DecodedFunction) -> dict[str, Any] | None:
    if function.sriov is None:
        return None
    return function.sriov._asdict() | {"bars": [asdict(bar) for bar in function.sriov.bars]}
