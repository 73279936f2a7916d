"""The walk written a second time, with the numbers of the manual's figures and nothing shared."""

from __future__ import annotations

from virtlab.memory import PAGE, GuestMemory


class Refused(Exception):
    """With the reason code."""


def qword(memory: GuestMemory, gpa: int, reason: int) -> int:
    if any(start <= gpa and gpa + 8 <= start + size for start, size, _ in memory.regions):
        return int.from_bytes(memory.read(gpa, 8), "little")
    raise Refused(reason)


def model(memory, root, unit, source_id, iova, write):
    """`(gpa, page size, read, write)`, or the reason code. `unit` is a `Capabilities`."""
    try:
        return _translate(memory, root, unit, source_id, iova, write)
    except Refused as refused:
        return refused.args[0]


def _translate(memory, root, unit, source_id, iova, write):
    bus, function = divmod(source_id, 256)
    host = 2**unit.host_width
    low = qword(memory, root + bus * 16, 0x8)
    high = qword(memory, root + bus * 16 + 8, 0x8)
    if low % 2 == 0:
        raise Refused(0x1)
    if high or (low // 2) % 2**11 or low >= host:
        raise Refused(0xA)
    at = low // PAGE * PAGE + function * 16
    low, high = qword(memory, at, 0x9), qword(memory, at + 8, 0x9)
    if low % 2 == 0:
        raise Refused(0x2)
    # bits 11:4 and 71 and 127:88
    if low // 16 % 256 or low >= host or high // 128 % 2 or high // 2**24:
        raise Refused(0xB)
    depth, kind = high % 8 + 2, low // 4 % 4
    if depth not in unit.levels:
        raise Refused(0x3)
    if kind == 3 or (kind == 1 and not unit.device_tlb) or (kind == 2 and not unit.pass_through):
        raise Refused(0x3)
    if iova >= 2 ** min(unit.guest_width, 12 + 9 * depth):
        raise Refused(0x4)
    if kind == 2 and iova >= host:
        raise Refused(0x4)
    if kind == 2 and 0xFEE00000 <= iova <= 0xFEEFFFFF:
        raise Refused(0xE)
    if kind == 2:
        return iova, PAGE, True, True
    return _descend(memory, unit, low // PAGE * PAGE, depth, iova, write)


def _descend(memory, unit, table, depth, iova, write):
    read_all = write_all = True
    for level in range(depth, 0, -1):
        size = 2 ** (12 + 9 * (level - 1))
        entry = qword(memory, table + iova // size % 512 * 8, 0x3 if level == depth else 0x7)
        bits = [entry >> n & 1 for n in range(64)]
        read_all, write_all = read_all and bits[0] == 1, write_all and bits[1] == 1
        if write and not bits[1]:
            raise Refused(0x5)
        if not write and not bits[0]:
            raise Refused(0x6)
        page = level == 1 or bits[7] == 1
        must_be_0 = set(range(unit.host_width, 52))
        if level > 1 and level not in unit.large_levels:
            must_be_0.add(7)
        if not page or not unit.snoop:
            must_be_0.add(11)
        if not page or not unit.device_tlb:
            must_be_0.add(62)
        if page:
            must_be_0 |= set(range(12, 12 + 9 * (level - 1)))
        if any(bits[n] for n in must_be_0 if n < 64):
            raise Refused(0xC)
        address = sum(bits[n] << n for n in range(12, 52))
        if page:
            gpa = address + iova % size
            if 0xFEE00000 <= gpa <= 0xFEEFFFFF:
                raise Refused(0xE)
            return gpa, size, read_all, write_all
        table = address
    raise AssertionError("level 1 maps a page")
