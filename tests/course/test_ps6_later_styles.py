"""Right answers to tasks 4 to 6 of problem set 6 that are not the solution."""

import pytest

from tests.course.answers import right
from virtlab.course.checks import check

BY_LIBRARY = """
from virtlab.interrupts import Interrupt, Msi
from virtlab.iommu.layouts import DST_XAPIC, IRTE, IRTE_POSTED, REQUEST_ADDRESS
def remap_interrupt(memory, irta, compatibility, source_id, address, data):
    form = REQUEST_ADDRESS.decode(address)
    if not form["FORMAT"]:
        if compatibility and not irta & 0x800:
            old = Interrupt.of(Msi(address, data))
            return "send", old.vector, old.destination, old.mode, int(old.level)
        return 0x25
    index = form["HANDLE"] + 0x8000 * form["HANDLE_15"]
    if form["SHV"]:
        if data > 0xFFFF:
            return 0x20
        index += data
    if index > (2 << irta % 16) - 1:
        return 0x21
    raw = memory.read(irta - irta % 4096 + index * 16, 16)
    if not raw:
        return 0x23
    number = int.from_bytes(raw, "little")
    layout = IRTE_POSTED if IRTE.IM.get(number) else IRTE
    fields = layout.decode(number)
    if not fields["P"]:
        return 0x22
    bad = layout.reserved(number) or fields["SVT"] == 3 or fields.get("DLM") in (3, 6)
    if layout is IRTE and not irta & 0x800:
        bad = bad or fields["DST"] & ~0xFF00
    if bad:
        return 0x24
    low = [0xFFFF, 0xFFFB, 0xFFF9, 0xFFF8][fields["SQ"]]
    first, last = divmod(fields["SID"], 256)
    allowed = [
        True,
        source_id & low == fields["SID"] & low,
        source_id // 256 in range(first, last + 1),
    ][fields["SVT"]]
    if not allowed:
        return 0x26
    if layout is IRTE_POSTED:
        at = fields["PDAH"] << 32 | fields["PDAL"] << 6
        return "post", fields["VV"], at, fields["URG"]
    to = fields["DST"] if irta & 0x800 else DST_XAPIC.get(number)
    return "send", fields["V"], to, fields["DLM"], fields["TM"]
"""

BY_BYTES = """
def remap_interrupt(memory, irta, compatibility, source_id, address, data):
    '''Byte by byte; some shortcuts that are none: bit 20 of the address is always 0.'''
    wide = irta & 1 << 11
    if address & 16 == 0:
        if wide or not compatibility:
            return 37
        return ("send", data % 256, address // 4096 % 256, data // 256 % 8, data // 32768 % 2)
    index = address >> 5 & 0xFFFF
    index += (address & 4) << 13
    if address & 8:
        index += data
        if data >= 1 << 16:
            return 32
    count = 1 << (irta & 15) + 1
    if index not in range(count):
        return 33
    entry = memory.read((irta & ~4095) + index * 16, 16)
    if entry is None:
        return 35
    b = entry
    if b[0] % 2 == 0:
        return 34
    posted = b[1] >= 0x80
    if b[3] or b[1] & 0x30 or b[10] & 0xF0 or b[11]:
        return 36
    if posted and (b[0] & 0xFC or b[4] & 0x3F):
        return 36
    if not posted and (b[1] & 0x40 or any(b[12:]) or b[0] >> 5 in (3, 6)):
        return 36
    if not posted and not wide and (b[4] or b[6] or b[7]):
        return 36
    kind, forgiven = b[10] >> 2, b[10] & 3
    if kind == 3:
        return 36
    mine, theirs = b[8] | b[9] << 8, source_id
    if kind == 1:
        for bit in ((), (2,), (1, 2), (0, 1, 2))[forgiven]:
            mine, theirs = mine | 1 << bit, theirs | 1 << bit
        if mine != theirs:
            return 38
    if kind == 2 and (source_id >> 8 < b[9] or source_id >> 8 > b[8]):
        return 38
    if posted:
        low = int.from_bytes(b[4:8], "little")
        return ("post", b[2], int.from_bytes(b[12:], "little") * 2**32 + low, b[1] >> 6 & 1)
    destination = int.from_bytes(b[4:8], "little") if wide else b[5]
    return ("send", b[2], destination, b[0] >> 5, b[0] >> 4 & 1)
"""

STEP_BY_STEP = """
def virtual_functions(place, capability, sized, ecam):
    number = lambda at, size: int.from_bytes(capability[at:at + size], "little")
    found, seen = [], {place[0] * 256 + place[1] * 8 + place[2]}
    here = next(iter(seen)) + number(20, 2)
    bars = []
    skip = False
    for index in range(6):
        low = int.from_bytes(sized[4 * index:4 * index + 4], "little")
        if skip or not low:
            skip = False
            continue
        skip = low & 4
        width = 8 if skip else 4
        mask = int.from_bytes(sized[4 * index:4 * index + width], "little") // 16 * 16
        size = 1
        while not mask & size:
            size *= 2
        while size < 4096 * number(32, 4):
            size += size
        bars.append([number(36 + 4 * index, width) // 16 * 16, size])
    if capability[8] & 1 == 0:
        return []
    for _ in range(number(16, 2)):
        if len(found) == number(14, 2):
            break
        here %= 65536
        if here in seen:
            return "broken"
        seen.add(here)
        memory = [(at, size) for at, size in bars] if capability[8] & 8 else []
        found.append((here, ecam + 4096 * here, memory))
        for bar in bars:
            bar[0] += bar[1]
        here += number(22, 2)
    return found

def room_for_all(place, capability, sized):
    '''As if all were there.'''
    total = capability[14:16]
    data = capability[:8] + bytes([9]) + capability[9:16] + total + capability[18:]
    every = virtual_functions(place, data, sized, 0)
    if every == "broken":
        return every
    count = total[0] + 256 * total[1]
    one = bytes([1, 0]) + bytes([1, 0])
    data = data[:14] + one + data[18:20] + bytes([1, 0]) + data[22:]
    ((_, _, bars),) = virtual_functions((0, 0, 0), data, sized, 0)
    return max([place[0]] + [each >> 8 for each, _, _ in every]), [s * count for _, s in bars]
"""

JOINED = """
def iommu_groups(functions):
    '''Sets that grow together, from the leaves up.'''
    sets = {each.name: {each.name} for each in functions}

    def join(one, other):
        if sets[one] is not sets[other]:
            sets[one] |= sets[other]
            for name in sets[other]:
                sets[name] = sets[one]

    def below(name):
        for each in functions:
            if each.above == name:
                yield each.name
                yield from below(each.name)

    for each in functions:
        if not each.isolates:
            for name in below(each.name):
                join(each.name, name)
            for other in functions:
                if other.device == each.device and not other.isolates:
                    join(each.name, other.name)
    return [sorted(group) for group in {id(group): group for group in sets.values()}.values()]

def assign(functions, vms):
    '''Late VMs first, VFs from the end.'''
    of = {each.name: each for each in functions}
    groups = {name: group for group in iommu_groups(functions) for name in group}
    plan = {name: "software" if wish else [] for name, _, wish in vms}
    given = set()
    for name, root, wish in reversed(vms):
        if wish and wish[0] == "card":
            parts = [of[n] for n in groups[wish[1]] if of[n].kind != "bridge"]
            if {"pf", "host"} & {part.kind for part in parts}:
                plan[name] = "host"
            elif not all(root in part.roots for part in parts):
                plan[name] = "root"
            elif any(part in given for part in parts):
                plan[name] = "taken"
            else:
                plan[name] = [part.name for part in parts]
                given |= set(parts)

    def best(movable, fixed):
        if movable:
            return max((best(movable[1:], {**fixed, movable[0].name: root})
                        for root in movable[0].roots[::-1]), key=len)
        shares = {}
        for letter in "BA":
            pool = [f.name for f in functions if f.kind == "vf" and fixed[f.pf] == letter
                    and len(groups[f.name]) == 1]
            wishes = sorted((w[1], n) for n, r, w in vms if r == letter and w and w[0] == "net")
            for count, name in wishes:
                if count > len(pool):
                    break
                shares[name] = [pool.pop() for _ in range(count)]
        return shares

    return plan | best([f for f in functions if f.kind == "pf"], {})
"""

RECURSIVE = """
from functools import cache
from itertools import product

def iommu_groups(functions):
    '''The key of a function is that of the bridge above it, unless that isolates.'''
    by_name = {each.name: each for each in functions}

    @cache
    def key(name):
        each = by_name[name]
        inherited = key(each.above) if each.above else None
        if inherited and inherited[0] == "leak":
            return inherited
        return ("safe", name) if each.isolates else ("leak", each.device)

    return [[e.name for e in functions if key(e.name) == k]
            for k in dict.fromkeys(key(e.name) for e in functions)]

def assign(functions, vms):
    '''Everything by trying: who of the VMs gets VFs is a subset, the largest that fits.'''
    by_name = {each.name: each for each in functions}
    plan, gone = {}, {}
    group_of = {name: group for group in iommu_groups(functions) for name in group}
    for name, root, wish in vms:
        plan[name] = [] if not wish else "software"
        if not wish or wish[0] != "card":
            continue
        all_of_it = [m for m in group_of[wish[1]] if by_name[m].kind != "bridge"]
        plan[name] = all_of_it
        for member in all_of_it:
            if root not in by_name[member].roots:
                plan[name] = "root"
        for member in all_of_it:
            if by_name[member].kind in ("pf", "host"):
                plan[name] = "host"
        if plan[name] is all_of_it:
            if wish[1] in gone:
                plan[name] = "taken"
            gone.update(dict.fromkeys(all_of_it, name))
    wished = [(name, root, wish[1]) for name, root, wish in vms if wish and wish[0] == "net"]
    pfs = [each for each in functions if each.kind == "pf"]
    best = {}
    for roots in product(*(pf.roots for pf in pfs)):
        for chosen in product((0, 1), repeat=len(wished)):
            pools = {"A": [], "B": []}
            for pf, root in zip(pfs, roots):
                pools[root] += [e.name for e in functions
                                if e.pf == pf.name and group_of[e.name] == [e.name]]
            try:
                share = {n: [pools[r].pop(0) for _ in range(count)]
                         for yes, (n, r, count) in zip(chosen, wished) if yes}
            except IndexError:
                continue
            if len(share) > len(best):
                best = share
    return {**plan, **best}
"""

ANSWERS = [
    ("ps6.q4", BY_LIBRARY),
    ("ps6.q4", BY_BYTES),
    ("ps6.q5", STEP_BY_STEP),
    ("ps6.q6", JOINED),
    ("ps6.q6", RECURSIVE),
]


@pytest.mark.parametrize(("task", "source"), ANSWERS)
@pytest.mark.parametrize("seed", range(2))
def test_an_answer_of_another_style_passes(task, source, seed):
    names = right()
    exec(source, names)
    assert check(task, seed=seed, namespace=names).ok
