"""Tasks 1 to 5 of problem set 4: their judges, held to the library and to the specification."""

from random import Random

import pytest

from tests.course.answers import notebook, solutions, sources
from tests.course.refusals import refusal
from virtlab.course.answers import Answer, Stopped
from virtlab.course.checks import CheckFailed, check
from virtlab.course.given import rings
from virtlab.course.ps4 import (
    avail_ring,
    driver_bench,
    machines,
    used_ring,
    vring,
    walking,
    walks,
)
from virtlab.errors import GuestError
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import PAGE, GuestMemory
from virtlab.virtio.chain import check_memory
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, SplitRings, packer
from virtlab.virtio.layouts import avail_ring as avail_layout
from virtlab.virtio.layouts import used_ring as used_layout
from virtlab.virtio.split import SplitQueue
from virtlab.virtio.split_chain import CLAUSES
from virtlab.virtio.split_chain import walk as library_walk


def slipped(task, right, wrong):
    """The solution of a task with one slip in it."""
    source = sources(notebook("solutions", "ps04"))[task]
    assert right in source
    return source.replace(right, wrong)


@pytest.mark.parametrize("number", range(1, 9))
def test_the_solution_passes(number):
    assert check(f"ps4.q{number}", seed=4, namespace=solutions()).ok


@pytest.mark.long
@pytest.mark.parametrize("number", range(1, 9))
def test_the_solution_passes_with_150_seeds(number):
    names = solutions()
    for seed in range(150):
        assert check(f"ps4.q{number}", seed=seed, namespace=names).ok


# -- the examples that the texts of the tasks give


def test_the_examples_of_tasks_1_and_2_hold():
    names = solutions()
    assert names["vring"](0x1000, 8, 4096) == (0x1000, 0x1080, 0x2000, 4166)
    assert names["vring"](0x1000, 8, 4)[2:] == (0x1098, 222)
    rows = {3: (0x4000, 16, 1, 1), 1: (0x5000, 512, 2, 0)}
    main = [rows.get(at, (0, 0, 0, 0)) for at in range(8)]
    walk = names["walk"], walking.memory_with(main, []), walking.TABLE, 8, 3, True
    assert walk[0](*walk[1:]) == [(0x4000, 16, False), (0x5000, 512, True)]
    main[1] = (0x5000, 512, 3, 3)
    assert walk[0](walking.memory_with(main, []), *walk[2:]) == "long"


def test_the_example_of_task_3_holds():
    ram = GuestMemory(PAGE)
    cpu = machines.Stepped(ram)
    q = rings.DriverSide(0, 0x100, 0x200, 8, cpu=cpu, free=[3, 5, 1], added=15)
    assert solutions()["add_buf"](q, [(0x8000, 16)], [(0x9000, 512)], "t")
    assert (q.free, q.added, q.chains) == ([1], 16, {3: ("t", [3, 5], 512)})
    assert ram.load(0x100 + 18, 2) == 3
    assert ram.load(16 * 3 + 14, 2) == 5


def test_the_examples_of_tasks_4_and_5_hold():
    ram, names = GuestMemory(PAGE), solutions()
    ram.store(0x102, 2, 1)
    ram.store(0x100 + 18, 2, 3)
    q = rings.DeviceSide(0, 0x100, 0x200, 8, memory=machines.Memory(ram), last_avail=65535)
    q.walk = lambda head: [(0x4000, 16, False)]
    assert names["pop"](q) == (3, [(0x4000, 16, False)])
    q.size, q.pushed = 4, 6
    names["push"](q, 3, 513)
    assert [ram.load(0x200 + at, size) for at, size in ((20, 4), (24, 4), (2, 2))] == [3, 513, 7]
    driver = rings.DriverSide(0, 0x100, 0x200, 4, cpu=machines.Stepped(ram))
    driver.chains, driver.last_used, driver.exposed = {3: ("t", [3, 5], 512)}, 6, 7
    assert names["get_buf"](driver) == ("t", 512)


# -- the records


def test_a_stepped_cpu_calls_before_each_access():
    cpu = machines.Stepped(GuestMemory(PAGE))
    seen = []
    cpu.before = seen.append
    cpu.store(0, 0x1234, 2)
    cpu.write(8, b"abc")
    assert (cpu.load(0, 2), cpu.read(8, 3)) == (0x1234, b"abc")
    assert seen == [0, 1, 2, 3]


def test_what_a_flipping_guest_wrote_is_read_once():
    ram = GuestMemory(PAGE)
    ram.write(0, b"abcd")
    memory = machines.Flipping(ram, [(1, 2)])
    assert memory.read(0, 4) == b"abcd"
    assert memory.load(0, 4).to_bytes(4, "little") == b"a\x9d\x9cd"
    assert memory.read(0, 4) == b"abcd"
    assert memory.load(0, 1) == ord("a")


def test_a_record_is_compared_field_by_field_and_type_by_type():
    side = rings.DriverSide(0, 0, 0, 8, free=[1, 2], chains={3: ("t", [3], 0)}, added=7)
    right = {"free": [1, 2], "chains": {3: ("t", [3], 0)}, "added": 7}
    assert machines.changed(side, right, "") is None
    for name, wrong, said in (
        ("free", (1, 2), "q.free (1, 2)"),
        ("chains", {3: ("t", (3,), 0)}, "q.chains {3: ('t', (3), 0)}"),
        ("added", True, "q.added True"),
    ):
        kept = getattr(side, name)
        setattr(side, name, wrong)
        assert machines.changed(side, right, "").yours == said
        setattr(side, name, kept)


def test_what_is_no_buffer_is_shown_all_the_same():
    assert machines.buffers_text([(1, 2, True), None, (1, 2), (1, 2, 3)]) == (
        "4 buffers: w 2 @0x1, None, (1, 2), (1, 2, 3)"
    )
    assert machines.buffers_text([(0, 1, False)] * 9).endswith("and 1 more")
    assert machines.buffers_text("range") == "'range'"


# -- task 1


@pytest.mark.parametrize("size", [1, 2, 8, 256, 32768])
def test_the_bytes_of_the_parts_are_those_of_the_layouts(size):
    desc, avail, used, total = solutions()["vring"](0, size, 4)
    assert (desc, avail) == (0, 16 * size)
    assert used >= avail + avail_layout(size).itemsize
    assert total == used + used_layout(size).itemsize


def test_a_legacy_queue_takes_as_much_as_the_specifications_formula():
    """virtio 1.3 2.7.2: both pieces are rounded up to Queue Align."""
    find_queue = solutions()["find_queue"]
    for size in (1, 8, 256, 1024):
        asked = []
        cpu = _PortsOnly(vring.LegacyQueues([size]))
        find_queue(cpu, vring.IO, 0, lambda n, asked=asked: asked.append(n) or PAGE)
        pieces = 16 * size + 2 * (3 + size), 2 * 3 + 8 * size
        assert asked == [sum(-(-piece // PAGE) * PAGE for piece in pieces)]


class _PortsOnly:
    """A Cpu that has the ports of one device."""

    def __init__(self, device):
        self.device = device

    def inp(self, port, size):
        return self.device.read(port - vring.IO, size)

    def out(self, port, value, size):
        self.device.write(port - vring.IO, size, value)


def test_a_legacy_device_keeps_a_page_for_each_queue_that_it_has():
    device = vring.LegacyQueues([8, 0], {1: 5})
    device.write(vring.SELECT, 2, 3)
    device.write(vring.PFN, 4, 7)
    assert (device.read(vring.SIZE, 2), device.frames, device.wrong) == (0, {1: 5}, "")
    assert device.read(vring.SELECT, 2) == 3
    device.read(18, 1)
    device.read(17, 1)
    assert device.wrong == "in of 1 bytes at 18"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def vring(*a): pass", "yours None: is there a return?"),
        ("def vring(b, s, a): return b, b + 16 * s, 7", "yours (0x1000, 0x1080, 0x7)"),
        ("def vring(*a): return tuple(map(float, right(*a)))", "yours (4096.0, 4224.0"),
    ],
)
def test_what_is_no_layout_is_said(source, said):
    source = "right = vring\n" + source
    assert said in refusal("ps4.q1", source)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("    cpu.inp(io + 12, 4)", "expected the registers in their own sizes yours in of 4"),
        ("    return None", "expected [12288] bytes allocated yours []"),
        ("    allocate(12288)", "expected queue 0 in page 0x80 yours no queue"),
        ("    allocate('8192')", "TypeError: addresses, sizes and values are whole numbers"),
    ],
)
def test_a_queue_that_is_not_found_is_said(source, said):
    assert said in refusal("ps4.q1", f"def find_queue(cpu, io, number, allocate):\n{source}\n")


def test_what_is_done_for_a_queue_that_is_not_there_is_said():
    found = (
        "f = find_queue\ndef find_queue(cpu, io, n, allocate):\n    r = f(cpu, io, n, allocate)\n"
    )
    said = refusal("ps4.q1", found + "    if r is None: allocate(4096)\n    return r")
    assert "FAILS no such queue" in said
    assert "expected nothing is allocated yours [4096] bytes" in said
    said = refusal("ps4.q1", found + "    return r or (0, 0, 0, 0)")
    assert "expected None yours (0x0, 0x0, 0x0, 0x0)" in said
    said = refusal("ps4.q1", found + "    if r is None: cpu.out(io + 8, 9, 4)\n    return r")
    assert "FAILS a hole" in said
    assert "expected no queue yours queue 1 in page 0x9" in said


# -- task 2: the judge against the library


def library(ram, table, size, head, indirect):
    """What the library says to the same chain: buffers, or None where it refuses."""
    features = frozenset({Feature.RING_INDIRECT_DESC} if indirect else ())
    far = 1 << 40  # the other two parts, where no buffer is
    rings = SplitRings(size, table, far, 2 * far)
    try:
        chain = library_walk(ram, rings, features, head)
        check_memory(ram, chain.buffers, CLAUSES)
    except GuestError:
        return None
    return [tuple(buffer) for buffer in chain.buffers]


def over_the_table(buffers, table, size):
    """Whether a writable buffer lies over the table, which the library refuses and the task not."""
    if not isinstance(buffers, list):
        return False
    end = table + 16 * size
    return any(write and addr < end and table < addr + n for addr, n, write in buffers)


def test_the_walk_refuses_what_the_library_refuses():
    rng, words = Random(4), set()
    for _ in range(2000):
        size = 1 << rng.randrange(5)
        main = [walks.any_descriptor(rng, walking.RAM, size) for _ in range(size)]
        inner = [walks.any_descriptor(rng, walking.RAM, size) for _ in range(4)]
        main = [
            (walks.INNER, 64, flags, on)
            if flags & 4 and rng.random() < 0.7
            else (addr, n, flags, on)
            for addr, n, flags, on in main
        ]
        ram = walking.memory_with(main, inner)
        head, indirect = rng.randrange(size + 1), rng.random() < 0.8
        mine = walks.expected(ram, walking.TABLE, size, head, indirect)
        if over_the_table(mine, walking.TABLE, size):
            continue
        right = library(ram, walking.TABLE, size, head, indirect)
        words.add(mine if isinstance(mine, str) else "a chain")
        assert (None if isinstance(mine, str) else mine) == right
    assert words == {*walking.LOOKS, "a chain"}


def test_a_good_chain_by_chance_is_one():
    rng, ram = Random(5), GuestMemory(walking.RAM)
    for _ in range(200):
        size = 1 << rng.randrange(8)
        head = walks.any_chain(rng, ram, walking.TABLE, size)
        assert isinstance(walks.expected(ram, walking.TABLE, size, head, False), list)


def test_a_descriptor_read_twice_is_said():
    source = "w = walk\ndef walk(m, t, s, h, i):\n    if h < s: m.read(t + 16 * h, 16)\n"
    said = refusal("ps4.q2", source + "    return w(m, t, s, h, i)")
    assert "FAILS one descriptor" in said
    assert "expected each descriptor is read once yours more than one read of 0x2030" in said


def test_a_whole_table_read_once_is_fine():
    names = solutions()
    source = """
def walk(memory, table, size, head, indirect):
    raw = memory.read(table, 16 * size)
    class Copy:
        size = memory.size
        def read(self, gpa, n):
            inside = table <= gpa and gpa + n <= table + len(raw)
            return raw[gpa - table : gpa - table + n] if inside else memory.read(gpa, n)
    return right(Copy(), table, size, head, indirect)
"""
    names["right"] = names["walk"]
    exec(source, names)
    assert check("ps4.q2", namespace=names).ok


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("None", "yours None: is there a return?"),
        ("[(0x4000, 16, 0)]", "yours 1 buffer: (0x4000, 0x10, 0)"),
        ("'range'", "expected 1 buffer: r 16 @0x4000 yours 'range'"),
        ("((0x4000, 16, False),)", "yours ((0x4000, 0x10, False))"),
        ("[(0x4000, 16, False), None]", "2 buffers: r 16 @0x4000, None"),
    ],
)
def test_what_is_no_walk_is_said(value, said):
    assert said in refusal("ps4.q2", f"def walk(*a): return {value}")


def test_a_walk_without_an_end_is_ended():
    said = refusal("ps4.q2", "def walk(m, t, *a):\n    while True: m.read(t, 16)")
    assert "it was stopped after 5,000 accesses to memory" in said


def test_a_class_that_equals_everything_is_no_list():
    source = "class L(list):\n    def __eq__(s, o): return True\ndef walk(*a): return L()"
    assert "yours an object of type L" in refusal("ps4.q2", source)


# -- task 3


def bench(size=8, **how):
    names = solutions()
    return driver_bench.Bench(Answer(names), size, **how)


def test_a_drivers_ring_is_that_of_the_librarys_driver():
    mine = bench()
    library_ram = machines.empty_ram(mine.rings)
    theirs = SplitDriver(machines.Stepped(library_ram), mine.rings)
    for number in range(3):
        out, in_ = [(0x8000, 16)], [(0x9000, 512)] * number
        assert mine.add(out, in_, f"t{number}") is None
        theirs.add_buf(out, in_, number)
    assert mine.kick() is None
    theirs.kick()
    assert (mine.ram.bytes == library_ram.bytes).all()


STORES = "a = add_buf\ndef add_buf(q, out, in_, token):\n    r = a(q, out, in_, token)\n"
KICKS = "k = kick\ndef kick(q):\n    r = k(q)\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (STORES + "    q.cpu.store(q.used, 0, 2)\n    return r", "yours store 0x20a0/2 <- 0x0"),
        (STORES + "    q.cpu.store(q.avail + 2, 1, 2)\n    return r", "expected idx 0, until kick"),
        (
            STORES + "    q.cpu.store(q.avail + 4, 9, 2)\n    return r",
            "expected head 0 in the entry",
        ),
        (
            STORES + "    q.cpu.write(q.desc + 12, b'\\x04\\0')\n    return r",
            "the device refuses the chain: INDIRECT without the feature",
        ),
        (STORES + "    del q.free\n    return r", "yours q.free None"),
        (KICKS + "    q.cpu.store(q.avail + 2, 9, 2)\n    return r", "expected idx 1 yours idx 9"),
        (KICKS + "    q.cpu.store(q.used, 1, 2)\n    return r", "expected no other store"),
        (KICKS + "    return int(r)", "yours 1, of type int, not bool"),
    ],
)
def test_what_a_driver_must_not_do_is_said(source, said):
    assert said in refusal("ps4.q3", source)


def test_a_driver_that_never_ends_is_ended():
    said = refusal("ps4.q3", "def kick(q):\n    while True: q.cpu.load(q.used, 2)")
    assert "FAILS a kick" in said
    assert "it was stopped after" in said


def test_a_chain_with_other_buffers_is_said():
    said = refusal("ps4.q3", slipped("ps4.q3", "(gpa, length, 2)", "(gpa, length, 0)"))
    assert "FAILS one buffer to write" in said
    assert "expected 1 buffer: w 512 @0x9000 yours 1 buffer: r 512 @0x9000" in said


def test_a_question_that_comes_too_early_is_said():
    source = "k = kick\ndef kick(q):\n    q.cpu.load(q.used, 2)\n    return k(q)\n"
    assert "FAILS" not in str(check("ps4.q3", namespace=solutions()))
    early = slipped(
        "ps4.q3",
        "    if q.exposed == q.added",
        "    f = q.cpu.load(q.used, 2)\n    if q.exposed == q.added",
    ).replace("return q.cpu.load(q.used, 2) & 1", "return f & 1")
    assert "expected idx is stored before flags is read" in refusal("ps4.q3", early)
    names = solutions()
    exec(source, names)
    assert check("ps4.q3", namespace=names).ok, "who asks again afterwards is right"


# -- task 4: the judge against the library


def test_a_pop_gives_what_the_librarys_queue_gives():
    rng, seen = Random(6), set()
    for _ in range(400):
        size = 1 << rng.randrange(5)
        ring = avail_ring.Ring(Answer({}), size, rng.choice((0, 65534)))
        for head in range(size):
            addr, n, write = avail_ring.buffers_of(head)[0]
            raw = packer(DESC).pack(addr, n, 2 * write, 0)
            ring.ram.write(ring.rings.desc_at(head), raw)
        heads = [rng.randrange(size + (rng.random() < 0.1)) for _ in range(rng.randrange(size + 1))]
        ring.offer(*heads, by=rng.choice((None, None, None, rng.getrandbits(16))))
        queue = SplitQueue(ring.ram)
        queue.enable(ring.rings, base=ring.expected["last_avail"])
        for _ in range(size + 1):
            try:
                theirs = queue.pop()
            except GuestError as error:
                theirs = "head" if "head" in error.why else "idx"
            mine = ring.right()
            seen.add(mine if isinstance(mine, str) else mine is None)
            if not isinstance(theirs, str) and theirs is not None:
                theirs = theirs.head
            assert theirs == (mine[0] if isinstance(mine, tuple) else mine)
    assert seen == {"head", "idx", True, False}


POPS = "p = pop\ndef pop(q):\n    r = p(q)\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def pop(q): return None", "FAILS one chain"),
        ("def pop(q): return 0", "expected None yours 0"),
        (POPS + "    q.memory.store(q.used, 2, 1)\n    return r", "yours something was written"),
        (POPS + "    return r and list(r)", "[3, [(0x4300, 0x10, False)"),
        (POPS + "    return r and (float(r[0]), r[1])", "yours head 3.0: r 16 @0x4300"),
        (
            POPS + "    return r and (r[0], [tuple(map(int, b)) for b in r[1]])",
            "yours head 3: (0x43",
        ),
        ("def pop(q):\n    q.walk('x')", "TypeError: addresses, sizes and values are whole"),
        (POPS + "    if r == 'head': q.walk(8)\n    return r", "expected no walk of such a head"),
    ],
)
def test_what_a_pop_must_not_do_is_said(source, said):
    assert said in refusal("ps4.q4", source)


def test_an_entry_that_is_read_before_idx_is_said():
    source = "p = pop\ndef pop(q):\n    q.memory.load(q.avail + 4, 2)\n    return p(q)"
    assert "expected idx is read first yours the entry is read first" in refusal("ps4.q4", source)


# -- task 5: the judge against the library


def test_the_used_ring_of_a_pusher_is_that_of_the_librarys_queue():
    mine = used_ring.Pusher(Answer(solutions()), 8, 0, 3)
    theirs = machines.empty_ram(mine.rings)
    driver = SplitDriver(machines.Stepped(theirs), mine.rings)
    queue = SplitQueue(theirs)
    queue.enable(mine.rings)
    for number in range(3):
        driver.add_buf([], [(0x8000, 512)], number)
    driver.kick()
    chains = [queue.pop() for _ in range(3)]
    for chain in (chains[2], chains[0], chains[1]):
        assert mine.push(chain.head, 100 + chain.head) is None
        queue.push(chain, 100 + chain.head)
    start, length = mine.rings.parts[2]
    assert mine.ram.read(start, length) == theirs.read(start, length)


PUSHES = "p = push\ndef push(q, head, written):\n    p(q, head, written)\n"
GETS = "g = get_buf\ndef get_buf(q):\n    r = g(q)\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (PUSHES + "    q.memory.store(q.used, 2, 1)", "expected nothing else written yours a byte"),
        (PUSHES + "    q.last_avail += 1", "q.last_avail"),
        (
            "def push(q, h, n):\n    q.memory.store(q.used + 4, 8, 0x1_0000_0000_0003)",
            "yours id 3, len 65536",
        ),
        (
            "def push(q, h, n):\n    q.memory.store(q.used + 4, 8, 0x3_7777_0003)",
            "yours id 0x77770003, len 0x3",
        ),
        (GETS + "    q.cpu.store(q.used, 1, 2)\n    return r", "expected no other store"),
        (GETS + "    return r and list(r)", "yours ['a', 0]"),
        (GETS + "    return r and (r[0], float(r[1]))", "yours ('a', 0.0)"),
        (GETS + "    return r or 0", "expected None yours 0"),
        (GETS + "    return r and (r[0], r[1] + 1)", "expected ('a', 0) yours ('a', 1)"),
    ],
)
def test_what_push_and_get_must_not_do_is_said(source, said):
    assert said in refusal("ps4.q5", source)


def test_an_index_that_comes_before_its_element_is_said():
    source = "p = push\ndef push(q, h, n):\n    q.memory.store(q.used + 2, 2, q.pushed + 1)\n"
    source += "    p(q, h, n)"
    assert "expected the element, then idx yours idx, then the element" in refusal("ps4.q5", source)
    source = slipped("ps4.q5", "q.pushed & 0xFFFF", "(q.pushed & 0xFFFF) - 1")
    assert "FAILS one push" in refusal("ps4.q5", source)
    source = "g = get_buf\ndef get_buf(q):\n    q.cpu.load(q.used + 4, 4)\n    return g(q)"
    assert "expected idx is read first yours the element is read first" in refusal("ps4.q5", source)


def test_a_case_that_fails_names_the_clause():
    names = solutions()
    exec(slipped("ps4.q4", "& 0xFFFF", ""), names)
    with pytest.raises(CheckFailed, match=r"virtio 1\.3 2\.7\.6"):
        check("ps4.q4", namespace=names)


def test_memory_of_an_answer_is_bounded():
    memory = machines.Flipping(GuestMemory(PAGE))
    for _ in range(5000):
        memory.load(0, 2)
    with pytest.raises(Stopped):
        memory.load(0, 2)
