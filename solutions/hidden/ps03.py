"""Hidden cases of problem set 3: more memory, longer pieces, more VMs, other numbers.

A machine has another size than the one that every visible case has; an instruction stands at
another address; frames lie just below 4 GiB. See `ps01.py` for the rules of such a file.
"""

from itertools import product

from virtlab.course.ps2.regions import Pieces
from virtlab.course.ps3.bitmaps import PORTS, _asks, _bits, _policies
from virtlab.course.ps3.discovery import _in, _item, _out, _Pair, _register, _runs
from virtlab.course.ps3.instructions import Address, Move, any_move
from virtlab.course.ps3.layer_counts import _count
from virtlab.course.ps3.link_twins import CardTwin, LinkTwin, Pair
from virtlab.course.ps3.links import _go, _r, _s
from virtlab.course.ps3.machines import Memory
from virtlab.course.ps3.mmio import LOOK_ACCESS, START, Devices, _move
from virtlab.course.ps3.noted_disk import _take
from virtlab.course.ps3.page_maps import _Mapper
from virtlab.course.ps3.page_tables import PAGES, _lookup
from virtlab.course.ps3.page_trees import SMALL, Tree
from virtlab.course.ps3.partition import _Guest, _steps
from virtlab.course.ps3.proxy import FLUSH, _Pair as _Proxied, _r as _load, _w
from virtlab.course.ps3.remapping import _remap
from virtlab.course.ps3.scattered_vm import LOW, Vm
from virtlab.course.ps3.shadow_tables import prd, shadow
from virtlab.course.ps3.three_layers import _Disk, _Files
from virtlab.course.ps3.virtual_ports import function
from virtlab.course.tasks import Case, Difference, compare, first
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.ept import Ept
from virtlab.wire import all_ones

# -- 1. three layers


def other_memory(answer, rng):
    """A guest with three pages, and one with forty: what its memory's size is, memory says."""
    for pages in (3, 40):
        files, driver = _Files(answer, rng), _Disk(answer, rng)
        for one in (files, driver):
            one.ram = GuestMemory(pages * PAGE)
            one.ram.write(0, rng.randbytes(one.ram.size))
            one.memory = Memory(one.ram)
        end = pages * PAGE
        calls = ((0, 1, 2, end - 1024), (1, 5, 1, end - 512), (0, 1, 2, end - 1023), (0, 1, 1, end))
        found = files.write(3, end - 200, 200) or files.write(5, end - 199, 200)
        if found := found or first(driver.call(*call) for call in calls):
            return found
    return None


def large_requests(answer, rng):
    """Gigabytes, and one byte more or less than a whole number of everything."""
    lengths = [at + by for at in (4096, 8192, 1 << 17, 1 << 30) for by in (-1, 0, 1)]
    layers = ("system call", "driver call", "I/O operation")
    asked = product(layers, [*lengths, rng.randrange(1 << 29, 1 << 32)], (0, 9))
    return first(_count(answer, *one, False) for one in asked)


# -- 2. the proxy


def much_room(answer, rng):
    """Room for a hundred, and a guest that fills it."""
    pair = _Proxied(answer, {0x1000, 0x1008}, 100)
    steps = [_w(rng.choice((0x1000, 0x1008)), rng.getrandbits(64), 8) for _ in range(150)]
    return first(pair.step(step) for step in [*steps, _load(0x1000, 8), FLUSH])


def three_devices(answer, rng):
    """Three devices in use at once, each with its own quiet registers and its own room."""
    pairs = [_Proxied(answer, quiet, room) for quiet, room in (({0}, 2), ({4}, 5), (set(), 9))]
    for _ in range(40):
        step = rng.choice((_w(0), _w(4, 2), _w(8, 3), _load(0), FLUSH))
        if found := rng.choice(pairs).step(step):
            return found
    return None


# -- 3. a board


def any_word(answer, rng):
    """Words with bits that name nothing: they are read back as they were written."""
    words = [rng.getrandbits(32) for _ in range(20)] + [0xFFFF_FFFF, 0x7F00_0003, 0x8000_0003]
    return _runs(*(step for word in words for step in (_out(0xCF8, word, 4), _in(0xCF8, 4))))(
        answer, rng
    )


def long_item(answer, rng):
    """An item of three hundred bytes, read past its end; and one that is empty."""
    items = {0: b"QEMU", 0xFFFF: rng.randbytes(300), 3: b""}
    pair = _Pair(answer, items=items)
    steps = [*_item(3, 2), *_item(0xFFFF, 303), *_item(0, 5)]
    return first(pair.step(step) for step in steps)


def last_function(answer, rng):
    """The last function of the last bus; the same word without enable; and its neighbour."""
    pair = _Pair(answer, {(255, 31, 7): function(5, seed=rng.randrange(99))})
    steps = [step for at in (0, 0x40, 0xFC, 0xFF, 0xFD) for step in _register(255, 31, 7, at, 1)]
    steps += [*_register(255, 31, 6, 0), _out(0xCF8, 0x00FF_FF00, 4), _in(0xCFC, 4)]
    return first(pair.step(step) for step in steps)


# -- 4. bitmaps


def large_ranges(answer, rng):
    """Half of all ports; all but one; a policy that keeps all that it opens."""
    middle = rng.randrange(0x100, 0xF000)
    policies = (
        ([(0, 0x8000)], []),
        ([(0x8000, 0x8000)], [(middle, 1)]),
        ([(0, PORTS)], [(0, middle), (middle + 1, PORTS - middle - 1)]),
        ([(middle, 300)], [(middle - 10, 400)]),
    )
    return first(_bits(answer, *policy) for policy in policies)


def no_ports(answer, rng):
    """Ranges of no port at all open nothing, and keep nothing."""
    return _policies(([(0x3F8, 0)], []), ([(0x60, 5)], [(0x62, 0)]))(answer, rng)


def byte_by_byte(answer, rng):
    """Single closed ports among open ones: each byte of an access counts."""
    port = rng.randrange(0x100, 0x7000)
    near = [(port + by, size) for by in range(-4, 3) for size in (1, 2, 4)]
    return _asks([(0, port), (port + 1, 0x200)], *near)(answer, rng)


# -- 5. tables


class OtherPointer(Ept):
    """Tables whose pointer has another bit set: the processor keeps accessed and dirty flags."""

    @property
    def pointer(self):
        """As in the EPTP field, bit 6 set (SDM 3C 25.6.11)."""
        return super().pointer | 1 << 6


def other_pointer(answer, rng):
    """What stands in the low bits of the pointer is no part of an address."""
    tree = Tree()
    tree.ept = OtherPointer(tree.frames)
    for page in PAGES:
        tree.plant(*page)
    asked = ((0x5FFF, False), (0x4000_0001, True), (0x1000, False))
    if found := first(_lookup(answer, tree, *one) for one in asked):
        return found
    mapper = _Mapper(answer)
    mapper.tree.ept = OtherPointer(mapper.tree.frames)
    return mapper.map(0x7000, 0x9000, SMALL) or mapper.map(0x8000, 0xB000, SMALL, 5)


def full_table(answer, rng):
    """The first and the last entry of each table, and some between."""
    mapper = _Mapper(answer)
    entries = [0, 511, *rng.sample(range(1, 511), 6)]
    pages = [entry << 12 for entry in entries] + [(1 << 48) - PAGE, (1 << 39) - PAGE]
    return first(mapper.map(gpa, 0x5000 + gpa % 0x1_0000, SMALL) for gpa in pages)


# -- 6. instructions


def elsewhere(answer, rng):
    """The instruction, and the page that it touches, lie elsewhere than they always did."""
    for _ in range(30):
        move, registers = any_move(rng), [rng.getrandbits(32) for _ in range(8)]
        eip, gpa = rng.randrange(0x10_0000, 0xF000_0000), rng.getrandbits(45)
        devices, size = Devices(rng.getrandbits(32)), move.access_size
        answer.given = f"code {move.code.hex(' ')} at eip {eip:#x}; gpa {gpa:#x}"
        yours = answer.call("emulate", move.code, list(registers), eip, gpa, devices)
        written, then, access = move.written(registers), list(registers), f"read({gpa:#x}, {size})"
        if written is None:
            then = move.loaded(registers, devices.value & all_ones(size))
        else:
            access = f"write({gpa:#x}, {size}, {written:#x})"
        if devices.seen != [access]:
            return Difference(access, "; ".join(devices.seen[:4]) or "no access", LOOK_ACCESS)
        if found := compare((then, eip + len(move.code)), yours, LOOK_ACCESS):
            return found
    return None


def every_address(answer, rng):
    """Every combination of mod, rm and the base in S, in front of fifteen bytes."""
    for mod, rm, base in product(range(3), range(8), range(8)):
        if rm != 4 and base:
            continue
        count = 1 if mod == 1 else 4 if mod == 2 or (base if rm == 4 else rm) == 5 else 0
        sib = bytes([rng.randrange(32) << 3 | base]) if rm == 4 else b""
        address = Address(mod, rm, sib + rng.randbytes(count))
        move = Move(rng.choice(("store", "load", "extend")), 2, rng.randrange(8), address)
        if found := _move(answer, move, START, rng.getrandbits(32), rng.randbytes(15)):
            return found
    return None


# -- 7. DMA


def high_frames(answer, rng):
    """Frames just below 4 GiB."""
    vm = Vm({page: 0xFFFE_0000 + (page ^ 0x3000) for page in LOW})
    pieces: Pieces = [(0x1F00, 0x400), (0x1_F800, 0x800), (0x3000, 2)]
    vm.write(0x8000, prd(pieces))
    return shadow(answer, vm, 0x8000, pieces) or _remap(answer, Vm(dict(vm.frames)), pieces)


def pinned_before(answer, rng):
    """Pages that something else has pinned already stay pinned when a request is refused."""
    vm = Vm({page: 0x10_0000 + 2 * page for page in LOW})
    for page in (0x1000, 0x1000, 0x2000):
        vm.pin(page)
    before = dict(vm.pins)
    pieces = [(0x1000, 0x2000), (0x1008, 8), (0x5_0000, 8)]
    answer.given = "remap(vm, pieces) of a VM with pins of its own; the last piece is not the VM's"
    if found := compare(None, answer.call("remap", vm, list(pieces))):
        return found
    look = "let go of what was pinned for this request, and of nothing else"
    if found := compare(sorted(before.items()), sorted((+vm.pins).items()), look):
        return found
    return compare([(vm.frames[0x3000], 16)], answer.call("remap", vm, [(0x3000, 16)]), look)


# -- 8. disks


def many_pieces(answer, rng):
    """A disk of forty pieces, the last of which lies first."""
    pieces: Pieces = [(390 - 9 * number, 1 + number % 3) for number in range(40)]
    size = sum(count for _, count in pieces)
    guest = _Guest(answer, pieces)
    steps = (("capacity",), ("read", size - 1, 1), ("read", 0, size), ("write", 20, 30))
    return _steps(guest, (*steps, ("read", rng.randrange(size - 9), 9), ("read", size, 1)))


def other_owners(answer, rng):
    """Many VMs on a large disk; a piece that fits exactly between two of them."""
    sectors = 1 << 40
    taken = [(1 << at, 1 << at - 1) for at in range(2, 39)]
    gap = (3 << 20, 1 << 20)
    tries = ([gap], [(gap[0], gap[1] + 1)], [(gap[0] - 1, 1)], [(sectors - 1, 1), gap], [(0, 4)])
    odd = ([(0, 5)], [(sectors - 1, 2)], [gap, (gap[0], 1)])
    return first(_take(answer, sectors, taken, pieces) for pieces in (*tries, *odd))


# -- 9. shared and virtual


def many_vms(answer, rng):
    """Sixty VMs on one card, with room for fifty frames each."""
    pair = Pair(answer, CardTwin(60, 50))
    senders = rng.sample(range(60), 7)
    steps = [step for vm in senders for step in _s(vm, rng.randrange(1, 4))]
    steps += [*_go(9), *_s(59, 52), *_s(0), *_go(12), ("sent", 59), ("reset", 59), *_go(30)]
    return first(pair.step(step) for step in steps)


def long_queue(answer, rng):
    """A hundred messages wait, one is lost, and they come out in order."""
    pair = Pair(answer, LinkTwin(100))
    steps = [*_s(0, 101), *_r(1, 40), *_s(1, 2), *_s(0, 3), *_r(0, 3), *_r(1, 65)]
    return first(pair.step(step) for step in steps)


HIDDEN = {
    "ps3.q1": (
        Case("memory of another size", other_memory),
        Case("large requests", large_requests),
    ),
    "ps3.q2": (
        Case("much room", much_room),
        Case("three devices at once", three_devices),
    ),
    "ps3.q3": (
        Case("any word", any_word),
        Case("a long item", long_item),
        Case("the last function", last_function),
    ),
    "ps3.q4": (
        Case("large ranges", large_ranges),
        Case("ranges of no port", no_ports),
        Case("one closed port", byte_by_byte),
    ),
    "ps3.q5": (
        Case("other bits in the pointer", other_pointer),
        Case("from the first entry to the last", full_table),
    ),
    "ps3.q6": (
        Case("somewhere else", elsewhere),
        Case("every way to write an address", every_address),
    ),
    "ps3.q7": (
        Case("frames far up", high_frames),
        Case("pins from before", pinned_before),
    ),
    "ps3.q8": (
        Case("many pieces", many_pieces),
        Case("a large disk of many VMs", other_owners),
    ),
    "ps3.q9": (
        Case("many VMs", many_vms),
        Case("a long queue", long_queue),
    ),
}
