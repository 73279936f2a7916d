"""The emulator of MMIO instructions: capstone decodes as it does, Unicorn ends where it ends."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.oracles.mmio_code import (
    CODE,
    DEVICE,
    OPCODES,
    PAGE,
    Memory,
    Outcome,
    mmio_code,
    register_values,
    unicorn_device_log,
    unicorn_once,
)
from tests.oracles.x86 import capstone_texts
from virtlab.vmm.emulate import Registers, accesses, complete, decode
from virtlab.vmm.emulate_records import MmioInstruction

pytestmark = pytest.mark.oracle

ARITHMETIC_FLAGS = (0x1, 0x4, 0x10, 0x40, 0x80, 0x800)
eflags = st.sets(st.sampled_from((*ARITHMETIC_FLAGS, 0x400))).map(lambda bits: sum(bits) | 2)


def emulated(code: bytes, general: tuple[int, ...], eflags: int) -> Outcome:
    """The same as `unicorn_once`, by the emulator."""
    memory, made = Memory(), []
    registers = Registers(general, CODE, eflags)
    instruction = decode(code)
    while registers.eip == CODE:
        loaded = 0
        todo = accesses(instruction, registers)
        for access in todo:
            made.append((access.write, access.linear, access.size))
            if not access.write:
                loaded = memory.load(access.linear, access.size)
        registers, value = complete(instruction, registers, loaded)
        for access in todo:
            if access.write:
                memory.store(access.linear, access.size, value)
    return Outcome(registers.general, registers.eip, registers.eflags, made, memory.written)


def in_code(outcome: Outcome) -> bool:
    return any(at - CODE < PAGE and CODE - at < 8 for _, at, _ in outcome.accesses)


def device_log(
    code: bytes, general: tuple[int, ...], answers: tuple[int, ...]
) -> list[tuple[bool, int, int, int]]:
    """The same as `unicorn_device_log`, by the emulator."""
    registers, left, log = Registers(general), list(answers), []
    while registers.eip < len(code):
        instruction, value = decode(code[registers.eip :]), 0
        todo = accesses(instruction, registers)
        loaded = [left.pop(0) & (1 << 8 * a.size) - 1 for a in todo if not a.write]
        registers, value = complete(instruction, registers, *loaded)
        for write, linear, size in ((a.write, a.linear, a.size) for a in todo):
            log.append((write, linear - DEVICE, size, value if write else loaded[0]))
    return log


def same_text(instruction: MmioInstruction, theirs: tuple[int, bytes, str]) -> bool:
    """Equal length and text, where `- 0x10` and `+ 0xfffffff0` are one displacement."""
    return (instruction.code, unsigned(str(instruction))) == (theirs[1], unsigned(theirs[2]))


def unsigned(text: str) -> str:
    def turned(found: re.Match[str]) -> str:
        return f"+ {-int(found[1], 0) & 0xFFFF_FFFF:#x}]"

    return re.sub(r"- (\w+)\]", turned, text)


# -- capstone reads what it reads


@pytest.mark.parametrize("opcode", OPCODES, ids=hex)
@settings(max_examples=8)
@given(data=st.data())
def test_each_opcode_reads_as_capstone_reads_it(opcode, data):
    code = data.draw(mmio_code(opcode))
    instruction = decode(code)
    assert isinstance(instruction, MmioInstruction)
    assert same_text(instruction, capstone_texts(code, 0)[0])


PREFIXES = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3)


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(PREFIXES), max_size=3).map(bytes),
    st.sampled_from(OPCODES) | st.integers(0, 0xFF),
    st.binary(min_size=12, max_size=12),
)
def test_what_is_decoded_of_any_bytes_is_what_capstone_decodes(prefixes, opcode, rest):
    code = prefixes + opcode.to_bytes(1 + (opcode > 0xFF), "big") + rest
    instruction = decode(code)
    if isinstance(instruction, MmioInstruction):
        assert same_text(instruction, capstone_texts(instruction.code, 0)[0])


# -- Unicorn ends where it ends


@pytest.mark.parametrize("opcode", OPCODES, ids=hex)
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(data=st.data(), general=register_values(), eflags=eflags)
def test_each_opcode_leaves_what_it_leaves_on_unicorn(opcode, data, general, eflags):
    code = data.draw(mmio_code(opcode))
    ours = emulated(code, general, eflags)
    assume(not in_code(ours))
    assert ours == unicorn_once(code, general, eflags)


def test_a_device_sees_what_unicorns_device_sees():
    program = (
        "c605 0040 03fe 41",  # mov byte ptr [DEVICE], 0x41
        "0fb6 0d 1440 03fe",  # movzx ecx, byte ptr [DEVICE + 0x14]
        "6681 0c8d 0840 03fe 0002",  # or word ptr [ecx*4 + DEVICE + 8], 0x200
        "f087 1d 0c40 03fe",  # lock xchg dword ptr [DEVICE + 12], ebx
        "f3 aa",  # rep stosb
        "66 a5",  # movsw, where the two before it left EDI
    )
    code = bytes.fromhex("".join(program))
    general = (0x42, 0, 0, 0x1234_5678, 0x9000, 0, DEVICE + 0x14, DEVICE)
    answers = (0x2, 0x60, 0x8765_4321, 0xCAFE_F00D)
    ours = device_log(code, general, answers)
    assert ours == unicorn_device_log(code, general, answers)
    assert [offset for write, offset, *_ in ours if write] == [0, 16, 12, 0, 1, 2]
