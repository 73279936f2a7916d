"""Hidden cases of problem set 4: larger rings, longer chains, other places in memory.

The visible rings have at most 128 entries and lie where every other ring lies. Here an index does
not fit a byte, and memory has another size. See `ps01.py` for the rules of such a file.
"""

from virtlab.course.ps3.machines import PATTERN, Memory
from virtlab.course.ps4.adding import KICK, READ, SILENT, _step
from virtlab.course.ps4.avail_ring import Ring
from virtlab.course.ps4.driver_bench import Bench
from virtlab.course.ps4.events import _event, _interrupt, _kick
from virtlab.course.ps4.machines import compare_buffers
from virtlab.course.ps4.packed_device import Ring as PackedRing
from virtlab.course.ps4.sleeping import Sleeper
from virtlab.course.ps4.used_ring import Getter, Pusher
from virtlab.course.ps4.vector import N, Tables, W, _walk as _walk_many
from virtlab.course.ps4.vring import _find, _layout
from virtlab.course.ps4.walking import LOOK_WALK
from virtlab.course.ps4.walks import any_chain, expected, lay
from virtlab.course.tasks import Case, first
from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE

# -- 1. the layout


def odd_places(answer, rng):
    """The largest queue, the smallest, and alignments that no page has."""
    asked = [(0x10 * rng.randrange(1 << 40), 1 << rng.randrange(16), 1 << 16) for _ in range(8)]
    asked += [(0x1230, 32768, 4096), (0xF_FFF0, 1, 4), (0xFFE, 2, 1), (1 << 44, 32768, 1 << 20)]
    return first(_layout(answer, *one) for one in asked)


def other_ports(answer, rng):
    """A device whose registers are elsewhere, with many queues; one is large."""
    io = 0x20 * rng.randrange(0x20, 0x700)
    sizes = [0, 4, 32768, 0, 256, 1]
    gpa = 0x1000 * rng.randrange(1, 1 << 19)
    return first(_find(answer, sizes, number, gpa, None, io) for number in (2, 3, 5, 6, 300))


# -- 2. a chain


def other_memory(answer, rng):
    """Chains in memories of other sizes, with the table in other places."""
    for _ in range(20):
        ram = GuestMemory(0x1000 * rng.choice((4, 40)))
        ram.bytes[:] = PATTERN
        size = 1 << rng.randrange(3, 7)
        table = 16 * rng.randrange((ram.size >> 4) - size)
        head = any_chain(rng, ram, table, size)
        right = expected(ram, table, size, head, True)
        answer.given = f"walk(memory, {table:#x}, {size}, {head}, True); memory.size {ram.size:#x}"
        yours = answer.call("walk", Memory(ram), table, size, head, True)
        if found := compare_buffers(right, yours, LOOK_WALK):
            return found
    return None


def long_table(answer, rng):
    """A queue of 1024 whose one chain is an indirect table of four hundred entries."""
    ram, size, inner = GuestMemory(1 << 16), 1024, 0x8000
    order = rng.sample(range(1, 400), 399)
    places = [0, *order]
    rows = [(0, 0, 0, 0)] * 400
    for at, index in enumerate(places):
        last = at == 399
        flags = (WRITE if at > 200 else 0) | (0 if last else NEXT)
        rows[index] = (rng.randrange(0x8000), 1 + at, flags, 0 if last else places[at + 1])
    lay(ram, 0x1000, [(0, 0, 0, 0)] * 700 + [(inner, 6_400, INDIRECT, 0)])
    lay(ram, inner, rows)
    answer.given = "a chain of 400 buffers in an indirect table, in disorder"
    yours = answer.call("walk", Memory(ram), 0x1000, size, 700, True)
    return compare_buffers(expected(ram, 0x1000, size, 700, True), yours, LOOK_WALK)


# -- 3. add


def large_queue(answer, rng):
    """A queue of 1024, filled with chains of ten: descriptors above 255 are linked."""
    bench = Bench(answer, 1024, 65000, rng.sample(range(1024), 1024))
    for number in range(10):
        out = [(0x8000 + 16 * at, 8) for at in range(rng.randrange(1, 12))]
        in_ = [(0x9000 + 16 * at, 16) for at in range(rng.randrange(1, 12))]
        if found := _step(bench, (out, in_, f"t{number}")):
            return found
    return bench.kick() or bench.kick()


def many_kicks(answer, rng):
    """Three times round the ring, kick by kick, with other tokens than texts."""
    bench = Bench(answer, 4, rng.randrange(1 << 24))
    for number in range(12):
        free = bench.free[0]
        found = _step(bench, (*READ[:2], f"t{number}")) or _step(bench, KICK)
        if found := found or _step(bench, SILENT):
            return found
        bench.give_back(free)
    return None


# -- 4. pop


def large_ring(answer, rng):
    """A ring of 1024: heads above 255, and the first that is none."""
    ring = Ring(answer, 1024, rng.choice((0, 65000, 1 << 20)))
    heads = [1023, 256, 511, *rng.sample(range(1024), 80), 1024]
    ring.offer(*heads)
    return first(ring.pop() for _ in heads) or ring.pop()


def all_in_flight(answer, rng):
    """As many in flight as there are entries, but one; the device is far behind."""
    start = rng.randrange(1 << 16, 1 << 20)
    ring = Ring(answer, 256, start, 255)
    ring.offer(200)
    found = ring.pop() or ring.pop()
    ring.offer(7)
    return found or ring.pop()


# -- 5. push and get


def large_used_ring(answer, rng):
    """A ring of 1024 from one end to the other: ids above 255."""
    size, start = 1024, rng.choice((0, 65000))
    pusher = Pusher(answer, size, start, 300)
    heads = rng.sample(range(size), 40)
    if found := first(pusher.push(head, 3 * head) for head in [1023, 256, *heads]):
        return found
    chains = {head: (f"t{head}", [head], head) for head in [1023, 256, *heads[:30]]}
    getter = Getter(answer, size, start, chains)
    getter.uses(*((head, rng.randrange(2 * size)) for head in chains))
    return first(getter.get() for _ in range(len(chains) + 1))


def long_chains(answer, rng):
    """Chains of forty descriptors: all of their slots come back, in their order."""
    slots = rng.sample(range(128), 120)
    chains = {part[0]: (("t", part[0]), part, 1 << 20) for part in (slots[:40], slots[40:])}
    getter = Getter(answer, 128, 9, {head: ("t", *rest[1:]) for head, rest in chains.items()})
    getter.uses(*((head, 1 << 21) for head in reversed(chains)))
    return getter.get() or getter.get() or getter.get()


# -- 6. events


def large_queues(answer, rng):
    """Thresholds behind rings of a thousand entries, and of one."""
    for size in (1024, 32768 >> 4, 1, 512):
        old = rng.randrange(1 << 20)
        for by in (-1, 0, 1, 2, 3):
            ask = old + 2, old, rng.getrandbits(16), (old + by) & 0xFFFF, True
            if found := _kick(answer, *ask, size) or _interrupt(answer, *ask, size):
                return found
    driver = Sleeper(answer, True, 65535, 256)
    found = driver.disable() or driver.silent(200)
    driver.gets(200)
    return found or driver.enable(1, 3)


def half_way(answer, rng):
    """Steps of half the circle and more: which of two entries is further is not asked."""
    old = rng.getrandbits(16)
    for step in (0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF):
        for by in (0, 1, step - 1, step, step + 1, 0xFFFF):
            if found := _event(answer, (old + by) & 0xFFFF, (old + step) & 0xFFFF, old):
                return found
    return None


# -- 7. packed


def large_packed(answer, rng):
    """A ring of 300 slots, and lists of a hundred, over its end too."""
    ring = PackedRing(answer, 300, 250)
    for number, count in enumerate((100, 7, 120)):
        pieces = [(0x8000 + at, 1 + at, WRITE if at > 50 else 0) for at in range(count)]
        ring.guest.offer(pieces, 1000 + number, rng.getrandbits(16))
    return first(ring.pop() for _ in range(4))


def odd_sizes(answer, rng):
    """Rings whose size is no power of two, in their third lap."""
    for size in (7, 13, 100):
        ring = PackedRing(answer, size, 2 * size + rng.randrange(size))
        lengths = [1 + rng.randrange(3) for _ in range(size // 4)]
        for number, count in enumerate(lengths):
            ring.guest.offer([(0x8000, 8, WRITE)] * count, number, 0xFFFF)
        if found := first(ring.pop() for _ in range(len(lengths) + 1)):
            return found
    return None


# -- 8. many


def long_chains_many(answer, rng):
    """Chains of a hundred, beside chains of one and such that are one too long."""
    table = Tables(512)
    places = rng.sample(range(512), 512)
    heads = []
    for part in (places[:100], places[100:201], places[201:202], places[202:300]):
        heads.append(part[0])
        for at, index in enumerate(part):
            last = at == len(part) - 1
            table.rows[index] = (at, at + 1, W if last else N, 0 if last else part[at + 1])
    return _walk_many(answer, table, heads * 3, 100, "chains of 100, 101, 1 and 98")


def large_table(answer, rng):
    """The largest table, most of it in one loop, and heads over all 16 bits."""
    table = Tables(32768)
    table.rows["flags"] = W
    table.rows["len"] = range(32768)
    table.rows["flags"][rng.sample(range(32768), 9000)] = N
    table.rows["next"] = [rng.randrange(40000) for _ in range(32768)]
    heads = [rng.getrandbits(16) for _ in range(400)]
    return _walk_many(answer, table, heads, 3, "a table of 32768")


HIDDEN = {
    "ps4.q1": (
        Case("odd places", odd_places),
        Case("other ports", other_ports),
    ),
    "ps4.q2": (
        Case("another memory", other_memory),
        Case("a long table", long_table),
    ),
    "ps4.q3": (
        Case("a large queue", large_queue),
        Case("many kicks", many_kicks),
    ),
    "ps4.q4": (
        Case("a large ring", large_ring),
        Case("almost all in flight", all_in_flight),
    ),
    "ps4.q5": (
        Case("a large used ring", large_used_ring),
        Case("long chains", long_chains),
    ),
    "ps4.q6": (
        Case("queues of any size", large_queues),
        Case("half way round", half_way),
    ),
    "ps4.q7": (
        Case("long lists", large_packed),
        Case("odd sizes", odd_sizes),
    ),
    "ps4.q8": (
        Case("chains of a hundred", long_chains_many),
        Case("the largest table", large_table),
    ),
}
