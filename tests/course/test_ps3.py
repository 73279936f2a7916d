"""Tasks 1 to 5 of problem set 3: their judges, held to the library and to hardware's rules."""

from random import Random

import pytest

from tests.course.answers import ROOT, notebook, solutions, sources
from tests.course.refusals import refusal
from virtlab.course.answers import Answer, Stopped
from virtlab.course.ps3 import bitmaps, layer_counts, machines, page_maps, proxy, virtual_ports
from virtlab.course.ps3.page_trees import ADDRESS, RWX, WB, Tree, index, shift, text
from virtlab.course.ps3.virtual_ports import FUNCTIONS, ITEMS, Model, NoNumber, Ports, function
from virtlab.guest.pci import Place
from virtlab.machine import lesson_pc
from virtlab.memory import PAGE, GuestMemory
from virtlab.pci.access import ConfigPorts, config_address
from virtlab.vmm.ept import Ept
from virtlab.wire import all_ones

SOLUTION_TEXT = ROOT / "solutions" / "text" / "ps03.py"


# -- memory that notes


def memory(size=PAGE):
    return machines.Memory(GuestMemory(size))


def test_memory_is_noted_and_reads_as_ones_where_it_is_not():
    ram = memory()
    ram.store(8, 8, 0x1122334455667788)
    ram.write(16, b"ab")
    assert ram.read(16, 2) == b"ab"
    assert ram.load(8, 2) == 0x7788
    assert ram.load(PAGE - 4, 8) == ram.load(1 << 60, 8) == all_ones(8)
    assert [tuple(access) for access in ram.accesses[:3]] == [
        ("store", 8, 8),
        ("write", 16, 2),
        ("read", 16, 2),
    ]
    assert ram.size == PAGE


@pytest.mark.parametrize(
    ("verb", "arguments", "error"),
    [
        ("read", ("0", 1), TypeError),
        ("read", (0, None), TypeError),
        ("read", (0, -1), ValueError),
        ("read", (0, 1 << 40), ValueError),
        ("load", (0.0, 8), TypeError),
        ("store", (0, 8, "x"), TypeError),
    ],
)
def test_an_access_that_cannot_be_made_is_an_error_in_the_answers_line(verb, arguments, error):
    with pytest.raises(error):
        getattr(memory(), verb)(*arguments)


def test_accesses_to_memory_are_bounded():
    ram = memory()
    for _ in range(machines.ACCESSES):
        ram.load(0, 8)
    with pytest.raises(Stopped, match="after 5,000 accesses to memory"):
        ram.load(0, 8)


def test_an_endless_walk_is_ended():
    said = refusal("ps3.q5", "def lookup(m, *a):\n    while True: m.load(0, 8)")
    assert "it was stopped after 5,000 accesses" in said


# -- task 1: counts


@pytest.mark.parametrize("polls", [0, 1, 4])
@pytest.mark.parametrize("length", [1, 511, 512, 513, 1500, 4096])
def test_the_closed_form_is_what_a_vm_counts(length, polls):
    form = layer_counts.closed_form("I/O operation", length, polls)
    assert layer_counts.counted(length, polls) == form


def test_the_layers_differ_as_the_lesson_says():
    counts = [layer_counts.closed_form(layer, 4096, 1) for layer in layer_counts.LAYERS]
    assert counts == [1, 1, 6 + 1 + 8 * 257]


def test_a_count_that_is_wrong_is_said_in_decimal_and_with_its_judge():
    said = refusal("ps3.q1", "def count_exits(layer, n, p): return 7 if layer[0] == 'I' else 1")
    assert "FAILS several system calls" in said
    assert "expected 2 exits yours 1" in said
    source = "c = count_exits\ndef count_exits(*a):\n    n = c(*a)\n    return n + (n > 500)"
    said = refusal("ps3.q1", source)
    assert "expected 1035 exits, as a VM's were counted yours 1036" in said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("None", "yours None: is there a return?"),
        ("1.0", "yours 1.0, of type float, not int"),
        ("True", "yours True, of type bool, not int"),
        ("10**200", "yours 1000000"),
    ],
)
def test_what_is_no_count_is_said(value, said):
    assert said in refusal("ps3.q1", f"def count_exits(*a): return {value}")


def test_a_handler_that_closes_files_or_moves_too_much_is_said():
    said = refusal(
        "ps3.q1",
        "w = shadow_write\ndef shadow_write(m, files, n, b, l):\n    r = w(m, files, n, b, l)\n"
        "    files.pop(5)\n    return r",
    )
    assert "expected files [3, 5] yours files [3]" in said
    said = refusal(
        "ps3.q1",
        "h = hypercall\ndef hypercall(m, disk, n, s, c, g):\n    r = h(m, disk, n, s, c, g)\n"
        "    if n == 0 and s == 7: disk.write(9, bytes(512))\n    return r",
    )
    assert "expected the disk as the call says yours other sectors" in said
    said = refusal(
        "ps3.q1",
        "h = hypercall\ndef hypercall(m, disk, n, s, c, g):\n    r = h(m, disk, n, s, c, g)\n"
        "    if n == 1: m.write(0, b'x')\n    return r",
    )
    assert "expected memory as the call says yours other bytes" in said


def test_an_application_that_gets_nowhere_is_ended_and_its_exits_are_said():
    source = (
        "w = shadow_write\ndef shadow_write(m, files, n, b, l):\n"
        "    return 0 if l == 10_000 or l > 1 << 16 and b == 1 else w(m, files, n, b, l)"
    )
    said = refusal("ps3.q1", source)
    assert "FAILS an application" in said
    assert "expected 3 exits yours 10 exits" in said


# -- task 2: the other process


@pytest.mark.parametrize(
    "batch",
    [
        None,
        [],
        (("read", 0, 4),),
        [["read", 0, 4]],
        [()],
        [("load", 0, 4)],
        [("read", 0, 4, 0)],
        [("write", 0, 4)],
        [("write", 0, 4, True)],
        [("read", 0, 4), ("read", 0, 4)],
        [("read", 0, 4), ("write", 0, 4, 1)],
    ],
)
def test_what_is_no_batch_is_noted_and_does_nothing(batch):
    service = proxy.Service()
    assert service.call(batch) == 0
    assert service.wrong.startswith("call(")
    assert service.seen == []


def test_a_read_says_which_register_and_after_how_many_accesses():
    service = proxy.Service()
    assert service.call([("write", 4, 4, 1)]) == 0
    assert service.call([("write", 4, 4, 1), ("read", 8, 2)]) == 8 << 16 | 3
    assert not service.wrong


def test_the_costs_in_the_task_are_those_with_a_source():
    text = " ".join(SOLUTION_TEXT.read_text(encoding="utf-8").split())
    assert f"together {proxy.EXIT} ns" in text
    assert f"{proxy.SWITCH} ns each" in text


def test_a_cost_that_only_looks_right_is_refused():
    source = """
right_ = cost
class Int(int): pass
def cost(*a): return tuple(map(Int, right_(*a)))
"""
    said = refusal("ps3.q2", source)
    assert "expected (2, 230) yours (2, 230), not all whole numbers" in said
    assert "yours [2, 0xe6]" in refusal("ps3.q2", "def cost(*a): return [2, 230]")


def test_a_report_tells_order_from_number_of_calls():
    source = (
        "class Proxy(Proxy):\n    def flush(self):\n"
        "        self.waiting[:-1] = self.waiting[:-1][::-1]\n"
        "        return super().flush()"
    )
    said = refusal("ps3.q2", source)
    assert "the model saw [w 0x10, w 0x14, r 0x4]" in said
    assert "the model sees every access once, in the guest's order" in said


# -- task 3: the ports


def test_the_model_answers_configuration_as_the_librarys_ports_do():
    class Root:
        def config_read(self, bus, device, number, offset, size):
            data = FUNCTIONS.get((bus, device, number))
            found = data and data[offset : offset + size]
            return int.from_bytes(found, "little") if found else all_ones(size)

    model, ports, rng = Model(FUNCTIONS, ITEMS), ConfigPorts(Root()), Random(3)
    for _ in range(2000):
        place = rng.choice([*FUNCTIONS, (0, 1, 0), (9, 4, 0)])
        word = config_address(*place, rng.randrange(256)) & rng.choice((1 << 31, 0)) - 1 | (
            rng.choice((0, 1)) << 31
        )
        size = rng.choice((1, 2, 4))
        at = rng.randrange(5 - size)
        model.out(0xCF8, word, 4)
        ports.write(0, 4, word)
        assert model.inp(0xCFC + at, size) == ports.read(4 + at, size)


def test_the_model_answers_as_the_librarys_keyboard_controller_does():
    cpu, model = lesson_pc().cpu, Model({}, {})

    def ask(writes, count):
        answers = []
        for port, value in writes:
            cpu.out(port, value)
            model.out(port, value, 1)
        for _ in range(count):
            assert cpu.inp(0x64) & 1 == model.inp(0x64, 1) & 1 == 1
            answers.append((cpu.inp(0x60), model.inp(0x60, 1)))
        assert cpu.inp(0x64) & 1 == model.inp(0x64, 1) & 1 == 0
        return answers

    for writes, count in (
        ([(0x64, 0xAA)], 1),
        ([(0x64, 0xAB)], 1),
        ([(0x64, 0x60), (0x60, 0x05)], 0),
        ([(0x64, 0x20)], 1),
        ([(0x60, 0xF4)], 1),
        ([(0x60, 0xF2)], 3),
    ):
        answers = ask(writes, count)
        assert all(theirs == ours for theirs, ours in answers), (writes, answers)


def test_a_driver_on_an_answers_ports_is_bounded_and_gets_numbers():
    class Board:
        def call(self, verb, *arguments):
            return {0x60: 7, 0x61: None, 0x62: 256, 0x63: -1, 0x64: True}.get(arguments[0])

    ports = Ports(Board())
    ports.out(0x60, 1)
    assert ports.inp(0x60) == 7
    for port in (0x61, 0x62, 0x63, 0x64):
        with pytest.raises(NoNumber, match=f"inp\\({port:#x}, 1\\) gave"):
            ports.inp(port)
    ports.accesses = virtual_ports.ACCESSES
    with pytest.raises(Stopped, match="a driver has made 40,000 accesses"):
        ports.inp(0x60)


def test_functions_are_alike_by_seed_and_have_no_bars():
    assert function(3) == function(3) != function(4)
    assert function(3)[0:4] == bytes.fromhex("f41a0300")
    assert function(3, multi=True)[0x0E] == 0x80
    assert function(3)[0x10:0x28] == bytes(0x18)


def test_a_scan_that_finds_too_much_or_too_little_is_said():
    more = """
class Board(Board):
    def inp(self, port, size):
        if (0, 9, 0) in self.functions and self.word >> 11 & 31 == 30:
            self.word ^= (30 ^ 9) << 11
        return super().inp(port, size)
"""
    said = refusal("ps3.q3", more)
    assert "FAILS a scan" in said
    assert "expected found: 00:09.0 yours found: 00:09.0, 00:1e.0" in said
    none = """
class Board(Board):
    def inp(self, port, size):
        ours = (0, 9, 0) in self.functions and 0xCFC <= port < 0xD00
        return {} if ours else super().inp(port, size)
"""
    assert "yours found: nothing" in refusal("ps3.q3", none.format("(1 << 8 * size) - 1"))
    said = refusal("ps3.q3", none.format("None"))
    assert "inp(0xcfc, 2) gave None" in said
    assert str(Place(0, 9, 0)) in said


# -- task 4: the bitmaps


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("None", "yours None"),
        ("(b'', b'')", "a tuple of 0 bytes, 0 bytes"),
        ("[bytes(4096), bytes(4096)]", "a list of 4096 bytes, 4096 bytes"),
        ("(bytearray(4096), bytes(4096))", "a tuple of bytearray, 4096 bytes"),
        ("()", "a tuple of nothing"),
        ("bytes(8192)", "yours b'"),
    ],
)
def test_what_is_no_pair_of_pages_is_said(value, said):
    found = refusal("ps3.q4", f"def bitmaps(*a): return {value}")
    assert "expected a tuple of two bytes, 4096 each" in found
    assert said in found


@pytest.mark.parametrize("seed", range(5))
def test_a_guest_sees_what_the_bitmaps_say(seed):
    rng, answer = Random(seed), Answer(solutions())
    direct, kept = (bitmaps._any_ports(rng, 3) for _ in range(2))
    accesses = [(rng.randrange(0x7F00, 0x8100), rng.choice((1, 2, 4))) for _ in range(200)]
    assert bitmaps._runs(answer, direct, kept, accesses) is None


def test_a_guest_that_exits_where_it_should_not_is_said():
    wrong = Answer({"bitmaps": lambda direct, kept: (b"\xff" * PAGE, b"\xff" * PAGE)})
    found = bitmaps._runs(wrong, [(0x60, 1)], [], [(0x61, 1), (0x60, 1)])
    assert (found.expected, found.yours) == ("0 exits", "2 exits")
    assert wrong.given.endswith("the guest reads and writes 1 bytes at 0x60")
    open_ = Answer({"bitmaps": lambda direct, kept: (bytes(PAGE), bytes(PAGE))})
    found = bitmaps._runs(open_, [], [], [(0x60, 2)])
    assert (found.expected, found.yours) == ("2 exits", "0 exits")


def test_a_driver_counts_its_exits():
    wrong = Answer({"bitmaps": lambda direct, kept: (b"\xff" * PAGE, b"\xff" * PAGE)})
    found = bitmaps._driver(wrong, Random(0))
    assert found.expected == "0 exits"
    assert int(found.yours.split()[0]) > 10


@pytest.mark.parametrize("case", ["_guest", "_driver", "_runs"])
def test_no_pair_of_pages_ends_every_case(case):
    arguments = ([], [], []) if case == "_runs" else (Random(0),)
    found = getattr(bitmaps, case)(Answer({"bitmaps": lambda *a: 0}), *arguments)
    assert found.expected == "a tuple of two bytes, 4096 each"


# -- task 5: the tables


def test_what_was_planted_is_what_the_librarys_walk_finds():
    tree = Tree()
    gpa = 0x7F_1234_5678
    tree.plant(gpa, 1, 0x9000 | WB << 3 | RWX)
    walk = tree.ept.walk(gpa)
    assert (walk.hpa, walk.page_size, walk.problem) == (0x9678, PAGE, "")
    assert text(walk).startswith(f"level 4 {walk.steps[0].entry:#x}, level 3 ")
    tree.spoil(gpa, 2, RWX)
    assert [step.level for step in tree.ept.walk(gpa).steps] == [4, 3, 2]
    assert tree.ept.walk(gpa).problem
    tree.spoil(gpa, 1, RWX)  # the walk does not come so far: nothing changes
    tree.spoil(gpa, 2, RWX)
    assert tree.ept.walk(gpa) == walk
    assert text(tree.ept.walk(1 << 48)) == "no entry"


def test_an_index_is_nine_bits():
    assert [index(0xFFFF_8765_4321_F123, level) for level in (4, 3, 2, 1)] == [270, 405, 25, 31]
    assert [shift(level) for level in (1, 2, 3, 4)] == [12, 21, 30, 39]
    assert ADDRESS == 0xF_FFFF_FFFF_F000


def test_too_many_frames_are_said():
    source = "def map_page(memory, take_frame, *a):\n    while True: take_frame()"
    assert "map_page has taken 46 frames, and wants more" in refusal("ps3.q5", source)


def test_tables_that_allow_less_than_everything_are_said_as_such():
    right = sources(notebook("solutions", "ps03"))["ps3.q5"]
    source = right.replace("take_frame() | 0b111", "take_frame() | rights")
    said = refusal("ps3.q5", source)
    assert "FAILS rights and types" in said
    assert "expected tables with all rights yours level 4 0x2001," in said


def test_a_store_by_the_walk_is_said():
    source = "l = lookup\ndef lookup(m, *a):\n    m.store(0, 8, 0)\n    return l(m, *a)"
    said = refusal("ps3.q5", source)
    assert "expected nothing is written yours a store" in said


def test_a_guest_on_tables_without_the_device_exits():
    nothing = Answer({"map_page": lambda *a: None})
    found = page_maps.direct(nothing, Random(0))
    assert (found.expected, found.yours) == (
        "0 exits, and 200 accesses",
        "200 exits, the device saw 0 accesses",
    )


def test_a_guest_that_lost_its_ram_is_said():
    def both(mem, take, eptp, gpa, hpa, size, rights, kind):
        names = solutions()
        for offset in (0, size):
            names["map_page"](mem, take, eptp, gpa + offset, hpa, size, rights, kind)

    found = page_maps.direct(Answer({"map_page": both}), Random(0))
    assert found.yours == "0 exits"


@pytest.mark.parametrize("seed", range(30))
def test_the_solution_walks_as_the_library_does_on_spoiled_trees(seed):
    rng, tree, lookup = Random(seed), Tree(), solutions()["lookup"]
    for _ in range(4):
        tree.plant(rng.randrange(1 << 33) << 12, 1, rng.getrandbits(46) & -PAGE | WB << 3 | RWX)
    used = [at for at in range(0, tree.ram.size, 8) if tree.ram.load(at, 8)]
    for at in used:
        tree.ram.store(at, 8, tree.ram.load(at, 8) ^ rng.choice((0, 0, 1 << rng.randrange(64))))
    for _ in range(40):
        gpa = rng.choice((0, rng.randrange(1 << 48)))
        for step_gpa in (gpa, gpa | 0x1FF000):
            found = lookup(tree.memory, tree.ept.pointer, step_gpa, True)
            right = tree.ept.translate(step_gpa, 1, True)
            assert found == page_verdict(right)


def page_verdict(right):
    name = type(right).__name__
    kinds = {"EptViolation": "violation", "EptMisconfiguration": "misconfiguration"}
    return (kinds[name], None) if name in kinds else ("mapped", right)


def test_the_judge_is_the_library():
    assert isinstance(Tree().ept, Ept)


def test_a_table_that_was_spoilt_away_cannot_be_spoilt_again():
    tree = Tree()
    tree.plant(0x5000, 1, 0x9000 | 7)
    tree.spoil(0x5000, 2, 1 << 30)  # the table of level 1 is now where no memory is
    before = tree.ram.bytes.copy()
    assert tree.ept.walk(0x5000).steps[-1].entry_at >= 1 << 30
    tree.spoil(0x5000, 1, 1)
    assert (tree.ram.bytes == before).all()
