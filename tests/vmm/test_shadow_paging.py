"""Shadow paging and EPT under the same guest: what it sees is the same, what it costs is not."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm.paged import DEVICE, FIRST, LAST, LEAVES, OTHER_ROOT, ROOT, Paged, Plain, put
from tests.vmm.rig import MMIO
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.exits import GENERAL_PROTECTION, PAGE_FAULT, HltExit
from virtlab.vmm.frames import Frames
from virtlab.vmm.guest_paging import Paging4Level
from virtlab.vmm.nested_paging import NestedPaging
from virtlab.vmm.shadow_paging import ShadowPaging
from virtlab.vmm.table_memory import PlainMemory

LEVELS = pytest.mark.parametrize("levels", [2, 4])


# -- what it costs: closed forms


@LEVELS
@pytest.mark.parametrize("n", [0, 1, 7])
def test_n_pages_written_cost_n_exits_and_nothing_with_ept(levels, n):
    for kind, each in (("shadow", 1), ("ept", 0)):
        machine = Paged(kind, levels)
        for _ in range(3):
            for page in range(FIRST, FIRST + n):
                machine.cpu.store(page * PAGE, page, 4)
        assert sum(machine.exits.values()) == each * n
        assert machine.vm.ram.read(FIRST * PAGE, 4) == (FIRST if n else 0).to_bytes(4, "little")


@LEVELS
def test_pages_read_first_and_written_later_cost_two_each(levels):
    machine = Paged("shadow", levels)
    for page in range(FIRST, FIRST + 5):
        machine.cpu.load(page * PAGE)
        assert machine.entry(page) & 0x60 == 0x20
        machine.cpu.store(page * PAGE, 1)
        assert machine.entry(page) & 0x60 == 0x60
        machine.cpu.load(page * PAGE)
    assert dict(machine.exits) == {"ShadowFault": 10}
    assert dict(machine.paging.counts) == {"hidden fault": 10}


def test_what_is_dirty_already_costs_one():
    machine = Paged("shadow")
    put(machine, FIRST, FIRST * PAGE | 0x67)
    machine.cpu.load(FIRST * PAGE)
    machine.cpu.store(FIRST * PAGE, 1)
    assert machine.paging.counts["hidden fault"] == 1


@LEVELS
def test_m_pages_mapped_cost_a_table_write_and_a_fill_each(levels):
    for kind in ("shadow", "ept"):
        machine = Paged(kind, levels)
        size, m = machine.guest.ENTRY, 6
        machine.cpu.store(FIRST * PAGE, 1)
        before = sum(machine.exits.values())
        for page in range(LAST, LAST + m):
            machine.cpu.store(LEAVES + size * page, FIRST * PAGE | 7, size)
            assert machine.cpu.load(page * PAGE) == 1
        cost = sum(machine.exits.values()) - before
        assert cost == (2 * m if kind == "shadow" else 0)
        if kind == "shadow":
            assert machine.paging.counts["table write"] == m


@LEVELS
def test_k_switches_of_cr3_cost_themselves_and_n_fills(levels):
    n, k = 4, 5
    for kind in ("shadow", "ept"):
        machine = Paged(kind, levels)
        for turn in range(k):
            machine.cpu.set_cr3(OTHER_ROOT if turn % 2 else ROOT)
            for page in range(FIRST, FIRST + n):
                machine.cpu.store(page * PAGE, 1)
        expected = k * (1 + n) if kind == "shadow" else 0
        assert sum(machine.exits.values()) == expected
        assert machine.guest.cr3 == ROOT


@LEVELS
def test_invlpg_costs_one_exit_and_one_fill(levels):
    for kind in ("shadow", "ept"):
        machine = Paged(kind, levels)
        machine.cpu.store(FIRST * PAGE, 1)
        machine.cpu.store((FIRST + 1) * PAGE, 1)
        machine.cpu.invlpg(FIRST * PAGE)
        for page in (FIRST, FIRST + 1):
            machine.cpu.store(page * PAGE, 1)
        assert sum(machine.exits.values()) == (2 + 1 + 1 if kind == "shadow" else 0)


# -- true faults


@pytest.mark.parametrize("kind", ["ept", "shadow"])
@LEVELS
def test_a_true_fault_reaches_the_guests_handler_and_the_access_is_tried_again(kind, levels):
    machine = Paged(kind, levels)
    size, seen = machine.guest.ENTRY, []

    def handler(fault):
        seen.append((fault.cr2, fault.error_code))
        at = LEAVES + size * (fault.cr2 // PAGE)
        machine.cpu.store(at, FIRST * PAGE | 7, size)
        return True

    machine.guest.handler = handler
    machine.cpu.store(FIRST * PAGE + 8, 0x1234)
    assert machine.cpu.load(LAST * PAGE + 8) == 0x1234
    machine.cpu.store((LAST + 1) * PAGE + 8, 0x99)
    assert machine.cpu.load(FIRST * PAGE + 8) == 0x99
    assert seen == [(LAST * PAGE + 8, 0), ((LAST + 1) * PAGE + 8, 2)]
    assert machine.guest.cr2 == (LAST + 1) * PAGE + 8
    # In the shadow: a fill; twice a true fault, a table write, a fill.
    assert sum(machine.exits.values()) == (1 + 2 * 3 if kind == "shadow" else 0)
    if kind == "shadow":
        assert machine.paging.counts["true fault"] == 2
        assert machine.vm.trace.counts["inject"] == 2


@pytest.mark.parametrize("kind", ["ept", "shadow"])
def test_each_access_has_its_own_count_of_tries(kind):
    machine = Paged(kind)

    def handler(fault):
        put(machine, fault.cr2 // PAGE, FIRST * PAGE | 7)
        return True

    machine.guest.handler = handler
    for page in range(LAST, LAST + 8):
        machine.cpu.load(page * PAGE)
    assert machine.guest.faults == {PAGE_FAULT: 8}
    assert machine.exits["TripleFault"] == 0


@pytest.mark.parametrize("kind", ["ept", "shadow"])
def test_an_access_inside_a_handler_has_its_own_too(kind):
    """The outer access takes all its tries; the inner one still has two of its own."""
    machine = Paged(kind)
    seen = []

    def handler(fault):
        page = fault.cr2 // PAGE
        seen.append(page)
        if page == LAST and seen.count(LAST) == 4:
            machine.cpu.load((LAST + 1) * PAGE)
            put(machine, LAST, FIRST * PAGE | 7)
        if page > LAST and seen.count(page) == 2:
            put(machine, page, FIRST * PAGE | 7)
        return True

    machine.guest.handler = handler
    machine.cpu.load(LAST * PAGE)
    assert seen == [LAST] * 4 + [LAST + 1] * 2
    assert machine.exits["TripleFault"] == 0


@pytest.mark.parametrize("kind", ["ept", "shadow"])
def test_a_guest_with_no_handler_that_helps_ends_in_a_triple_fault(kind):
    for handler in (None, lambda fault: False, lambda fault: True):
        machine = Paged(kind)
        machine.guest.handler = handler
        assert machine.cpu.load(LAST * PAGE) == 0
        assert machine.exits["TripleFault"] == 1
        machine.cpu.store(FIRST * PAGE, 5)
        assert machine.cpu.load(FIRST * PAGE) == 5
        assert machine.cpu.read(LAST * PAGE - 2, 3) == bytes(3)


@pytest.mark.parametrize("kind", ["ept", "shadow"])
def test_a_handler_may_itself_touch_pages_that_fault(kind):
    machine = Paged(kind)

    def handler(fault):
        page = fault.cr2 // PAGE
        if page < LAST + 3:
            machine.cpu.load((page + 1) * PAGE)
        machine.cpu.store(LEAVES + 8 * page, FIRST * PAGE | 7, 8)
        return True

    machine.guest.handler = handler
    machine.cpu.store(FIRST * PAGE, 0x77)
    assert machine.cpu.load(LAST * PAGE) == 0x77
    assert machine.guest.faults[PAGE_FAULT] == 4
    assert machine.exits["TripleFault"] == 0


@pytest.mark.parametrize("kind", ["ept", "shadow"])
def test_an_address_that_is_not_canonical_raises_gp_with_no_exit(kind):
    machine = Paged(kind)
    seen = []
    machine.guest.handler = lambda fault: seen.append(fault.vector)
    assert machine.cpu.load(1 << 50) == 0
    assert seen == [GENERAL_PROTECTION]
    assert dict(machine.exits) == {"TripleFault": 1}


def test_a_user_may_not_touch_what_is_a_supervisors():
    for kind in ("ept", "shadow"):
        machine = Paged(kind)
        put(machine, FIRST, FIRST * PAGE | 3)
        codes = []
        machine.guest.handler = lambda fault, codes=codes: codes.append(fault.error_code)
        machine.cpu.store(FIRST * PAGE, 1)
        machine.guest.user = True
        machine.cpu.load(FIRST * PAGE)
        machine.cpu.store(FIRST * PAGE, 2)
        assert codes == [0b101, 0b111]


def test_with_wp_clear_the_shadow_lets_only_the_supervisor_write():
    machine = Paged("shadow")
    put(machine, FIRST, FIRST * PAGE | 5)
    machine.guest.write_protect = False
    machine.cpu.store(FIRST * PAGE, 7)
    machine.guest.user = True
    assert machine.cpu.load(FIRST * PAGE) == 7
    machine.cpu.store(FIRST * PAGE, 8)
    assert machine.exits["TripleFault"] == 1
    machine.guest.user = False
    machine.cpu.store(FIRST * PAGE, 9)
    machine.guest.write_protect = True
    machine.cpu.store(FIRST * PAGE, 10)
    assert machine.exits["TripleFault"] == 2
    assert machine.cpu.load(FIRST * PAGE) == 9
    assert machine.paging.counts["flush"] == 2


# -- devices and memory that the VMM guards


@pytest.mark.parametrize("kind", ["ept", "shadow"])
def test_an_emulated_device_behind_the_guests_tables_exits_each_time(kind):
    machine = Paged(kind)
    machine.cpu.store(DEVICE * PAGE + 4, 0xABCD)
    assert machine.cpu.load(DEVICE * PAGE + 4) == 0xABCD
    assert machine.latch.log == [("w", 4, 4), ("r", 4, 4)]
    assert sum(machine.exits.values()) == 2


@pytest.mark.parametrize("kind", ["ept", "shadow"])
def test_an_assigned_device_is_reached_with_no_exit_but_the_first(kind):
    machine = Paged(kind)
    machine.vm.assign_memory(MMIO, MMIO, PAGE)
    for _ in range(5):
        machine.cpu.store(DEVICE * PAGE, 0x55)
    assert len(machine.host.latch.log) == 5
    assert sum(machine.exits.values()) == (kind == "shadow")
    if kind == "shadow":
        assert machine.paging.shadow.walk(DEVICE * PAGE).steps[-1].entry & 0x18 == 0x18


def test_what_the_vmm_takes_away_is_gone_from_the_shadow_too():
    machine = Paged("shadow")
    machine.vm.assign_memory(MMIO, MMIO, PAGE)
    machine.cpu.store(DEVICE * PAGE, 0x55)
    machine.vm.withdraw_memory(MMIO, PAGE)
    machine.cpu.store(DEVICE * PAGE, 0x66)
    assert (machine.host.latch.bytes[0], machine.latch.bytes[0]) == (0x55, 0x66)
    machine.vm.assign_memory(MMIO, MMIO, PAGE)
    machine.cpu.store(DEVICE * PAGE, 0x77)
    assert (machine.host.latch.bytes[0], machine.latch.bytes[0]) == (0x77, 0x66)
    machine.vm.assign_memory(MMIO, MMIO + PAGE, PAGE)
    machine.cpu.store(DEVICE * PAGE, 0x88)
    assert (machine.host.latch.bytes[0], machine.host.latch.bytes[PAGE]) == (0x77, 0x88)


def test_memory_that_the_vmm_lets_be_read_only():
    machine = Paged("shadow")
    machine.vm.tables.protect(FIRST * PAGE, PAGE, writable=False)
    for _ in range(3):
        machine.cpu.store(FIRST * PAGE, 3)
        assert machine.cpu.load(FIRST * PAGE) == 3
    assert machine.paging.counts["emulated"] == 3
    assert machine.paging.counts["hidden fault"] == 1


def test_what_cannot_be_executed_cannot_be_in_the_shadow():
    machine = Paged("shadow")
    put(machine, FIRST, 1 << 63 | FIRST * PAGE | 7)
    machine.cpu.load(FIRST * PAGE)
    machine.cpu.load((FIRST + 1) * PAGE)
    entries = [machine.paging.shadow.walk(p * PAGE).steps[-1].entry for p in (FIRST, FIRST + 1)]
    assert [entry >> 63 for entry in entries] == [1, 0]


# -- keeping in step


def test_a_page_that_becomes_a_table_is_write_protected_from_then_on():
    machine = Paged("shadow")
    new = FIRST
    machine.cpu.store(new * PAGE, (FIRST + 1) * PAGE | 7, 8)
    assert machine.paging.tables == {0x1000, 0x2000, 0x3000, 0x4000}
    machine.cpu.store(0x3008, new * PAGE | 7, 8)
    machine.cpu.store((FIRST + 1) * PAGE, 0x42)
    assert machine.cpu.load(0x20_0000) == 0x42
    assert new * PAGE in machine.paging.tables
    machine.cpu.store((FIRST + 2) * PAGE, 0x43)
    machine.cpu.store(new * PAGE, (FIRST + 2) * PAGE | 7, 8)
    assert machine.cpu.load(0x20_0000) == 0x43


def test_two_ways_to_one_page_are_both_protected():
    machine = Paged("shadow")
    put(machine, LAST, FIRST * PAGE | 7)
    for page in (FIRST, LAST):
        machine.cpu.store(page * PAGE + 8, (FIRST + 1) * PAGE | 7, 8)
    machine.cpu.store(0x3008, FIRST * PAGE | 7, 8)
    assert machine.cpu.load(0x20_1000) == 0
    before = machine.paging.counts["table write"]
    for page in (FIRST, LAST):
        machine.cpu.store(page * PAGE + 8, (FIRST + 2) * PAGE | 7, 8)
    assert machine.paging.counts["table write"] == before + 2


def test_one_write_over_two_entries_drops_both():
    machine = Paged("shadow", levels=2)
    for page in (FIRST, FIRST + 1):
        machine.cpu.store(page * PAGE, page)
    machine.cpu.store(
        LEAVES + 4 * FIRST, (LAST - 1) * PAGE | 7 | (LAST - 2) * PAGE << 32 | 7 << 32, 8
    )
    assert [machine.cpu.load(page * PAGE) for page in (FIRST, FIRST + 1)] == [0, 0]


def test_a_string_move_into_a_table_is_seen_byte_by_byte():
    machine = Paged("shadow")
    machine.cpu.store(FIRST * PAGE, 1)
    machine.cpu.write(LEAVES + 8 * FIRST, ((FIRST + 1) * PAGE | 7).to_bytes(8, "little"))
    assert machine.paging.counts["table write"] == 8
    assert machine.cpu.load(FIRST * PAGE) == 0


def test_a_large_page_of_the_guest_is_shadowed_in_small_ones_and_invalidated_whole():
    machine = Paged("shadow")
    machine.vm.ram.write(0x3008, (0x87).to_bytes(8, "little"))
    for page in (FIRST, FIRST + 1):
        machine.cpu.store(page * PAGE, page)
        assert machine.cpu.load(0x20_0000 + page * PAGE) == page
    assert machine.entry(FIRST) & 0x40
    machine.cpu.invlpg(0x3F_F000)
    before = machine.paging.counts["hidden fault"]
    for page in (FIRST, FIRST + 1):
        machine.cpu.load(0x20_0000 + page * PAGE)
        machine.cpu.load(page * PAGE)
    assert machine.paging.counts["hidden fault"] == before + 2


def test_the_first_write_into_a_table_is_known_for_one():
    machine = Paged("shadow")
    machine.cpu.store(LEAVES + 8 * LAST, FIRST * PAGE | 7, 8)
    assert dict(machine.paging.counts) == {"table write": 1}


def test_half_an_entry_written_drops_it_too():
    machine = Paged("shadow")
    machine.cpu.store(FIRST * PAGE, 1)
    machine.cpu.store(LEAVES + 8 * FIRST + 4, 1 << 19, 4)
    assert machine.cpu.load(FIRST * PAGE) == 0
    assert machine.guest.faults == {PAGE_FAULT: 1}


def test_a_table_that_is_dirty_already_is_not_writable_either():
    machine = Paged("shadow")
    put(machine, LEAVES // PAGE, LEAVES | 0x67)
    machine.cpu.load(LEAVES)
    machine.cpu.store(LEAVES + 8 * LAST, 0, 8)
    assert machine.paging.counts["table write"] == 1


def test_a_flush_forgets_which_pages_are_tables():
    machine = Paged("shadow")
    machine.cpu.store(FIRST * PAGE, 1)
    machine.cpu.set_cr3(OTHER_ROOT)
    assert machine.paging.tables == set()
    machine.cpu.store(FIRST * PAGE, 1)
    assert machine.paging.tables == {OTHER_ROOT, 0x2000, 0x3000, LEAVES}
    machine.cpu.store(ROOT, 0x2007, 8)
    assert machine.paging.counts["table write"] == 0


def test_a_pool_that_runs_dry_while_filling_leaves_no_table_unguarded():
    """Five frames: the page at 2 MiB is filled after a flush, and its table is written next."""
    machine = Paged("shadow", frames=5)
    table = FIRST * PAGE
    machine.vm.ram.write(table + 8, ((FIRST + 1) * PAGE | 7).to_bytes(8, "little"))
    machine.vm.ram.write(0x3008, (table | 7).to_bytes(8, "little"))
    machine.vm.ram.write(0x2008, (0x3007).to_bytes(8, "little"))
    machine.cpu.load((1 << 30) + FIRST * PAGE)
    machine.cpu.load(0x20_1000)
    assert machine.paging.counts["flush"] == 1
    machine.cpu.store((FIRST + 2) * PAGE, 0x42)
    machine.cpu.store(table + 8, (FIRST + 2) * PAGE | 7, 8)
    assert machine.cpu.load(0x20_1000) == 0x42
    assert machine.paging.counts["flush"] == 1


def test_what_the_vmm_remembers_is_as_much_as_the_shadow_has():
    machine = Paged("shadow")
    paging = machine.paging
    for turn in range(20):
        at = LEAVES + 8 * (LAST + turn % 3)
        machine.cpu.store(at, (FIRST + turn % 5) * PAGE | 7, 8)
        machine.cpu.store((LAST + turn % 3) * PAGE, turn)
    assert len(paging._filled) == 3
    assert sum(map(len, paging._to_page.values())) == 3
    assert sum(map(len, paging._by_entry.values())) == 3 * 4
    assert all(paging._to_page.values())
    assert all(paging._by_entry.values())


@pytest.mark.parametrize(("frames", "left"), [(4, 0), (1, 0), (3, 2)])
def test_a_pool_that_is_too_small_costs_exits_and_nothing_else(frames, left):
    machine = Paged("shadow", frames=frames)
    put(machine, LAST, FIRST * PAGE | 7)
    machine.vm.ram.write(0x2008, (0x3007).to_bytes(8, "little"))
    for high in (0, 1 << 30, 0):
        machine.cpu.store(high + FIRST * PAGE, high + 1)
        assert machine.cpu.load(LAST * PAGE) == high + 1 & 0xFFFF_FFFF
    assert machine.paging.shadow.frames.left == left
    assert machine.paging.counts["flush"] > 0


# -- the same guest three times


TABLES = [0x1000, 0x2000, 0x3000, 0x4000, 0x5000]
tables_of_the_guest = st.sampled_from(TABLES)
somewhere = st.one_of(
    st.builds(lambda page, at: page * PAGE + at, st.integers(0, 31), st.sampled_from([0, 8, 64])),
    st.builds(
        lambda page, at: 0x20_0000 + page * PAGE + at, st.integers(0, 9), st.sampled_from([0, 64])
    ),
    st.sampled_from([1 << 30, 1 << 47, 0xFFFF_8000_0000_0000]),
)
an_entry = st.builds(
    lambda frame, low, odd: frame * PAGE | low | odd,
    st.integers(0, 31),
    st.sampled_from([7, 7, 7, 0x67, 5, 3, 1, 0]),
    st.sampled_from([0, 0, 0, 0, 0x80, 1 << 51, 1 << 63]),
)
programs = st.lists(
    st.one_of(
        st.tuples(st.just("load"), somewhere),
        st.tuples(st.just("store"), somewhere, an_entry),
        st.tuples(
            st.just("store"),
            st.builds(lambda t, n: t + 8 * n, tables_of_the_guest, st.integers(0, 31)),
            an_entry,
        ),
        st.tuples(st.just("cr3"), st.sampled_from([ROOT, OTHER_ROOT])),
        st.tuples(st.just("invlpg"), somewhere),
        st.tuples(st.just("user"), st.booleans()),
        st.tuples(st.just("wp"), st.booleans()),
    ),
    max_size=20,
)


def run(machine, program):
    """Run it, and tell all that the guest could notice."""
    seen = []
    guest = machine.guest
    guest.handler = lambda fault: bool(seen.append(fault))
    for verb, *operands in program:
        match verb, operands:
            case "load", [gva]:
                seen.append(machine.cpu.load(gva, 8))
            case "store", [gva, value]:
                machine.cpu.store(gva, value, 8)
            case "cr3", [value]:
                machine.cpu.set_cr3(value)
            case "invlpg", [gva]:
                machine.cpu.invlpg(gva)
            case "user", [on]:
                guest.user = on
            case "wp", [on]:
                guest.write_protect = on
    return seen, machine.ram


@settings(max_examples=50, deadline=None)
@given(programs, st.sampled_from([4, 6, 32]))
def test_no_guest_can_tell_ept_from_a_shadow_from_a_machine_of_its_own(program, frames):
    plain = run(Plain(), program)
    assert run(Paged("ept"), program) == plain
    assert run(Paged("shadow", frames=frames), program) == plain


def test_long_programs_too():
    """Programs that Hypothesis would take long to grow: 60 steps, most of which get through."""
    kinds, faults, steps = set(), 0, 0
    for seed in range(24):
        rng = random.Random(seed)
        program = [random_step(rng) for _ in range(60)]
        plain = run(Plain(), program)
        machine = Paged("shadow", frames=rng.choice([5, 8, 32]))
        assert run(Paged("ept"), program) == plain
        assert run(machine, program) == plain
        kinds |= machine.paging.counts.keys()
        faults, steps = faults + machine.guest.faults.total(), steps + len(program)
    assert 0.05 < faults / steps < 0.5
    assert kinds == {"hidden fault", "true fault", "table write", "emulated", "flush", "INVLPG"}


def random_step(rng):
    """Most steps touch pages; a table is seldom broken, or the guest would soon see only faults."""
    page = rng.choice([4, 4, 8, 8, 9, 9, 10, rng.randrange(LAST + 1)])
    low = rng.choice([7] * 8 + [0x67, 0x67, 5, 3, 1 << 63 | 7])
    place = rng.choice([0, 0, 0, 0x20_0000, 1 << 30]) + page * PAGE + 8 * rng.randrange(24)
    table, frame = rng.choice(TABLES), rng.randrange(FIRST, 34)
    kind = rng.choice(["load"] * 8 + ["store"] * 8 + ["table", "leaf", "leaf", "leaf"] * 2 + OTHERS)
    match kind:
        case "load" | "invlpg":
            return kind, place
        case "store":
            at = rng.randrange(FIRST, LAST) * PAGE + 8 * rng.randrange(24)
            return kind, at, frame * PAGE | 7
        case "leaf":
            leaf = rng.choice([8, 9, 10, rng.randrange(FIRST, 32)])
            return "store", LEAVES + 8 * leaf, frame * PAGE | low
        case "table":
            entry = rng.choice([0x4007, 0x4067, FIRST * PAGE | 7, 0x87, 0, frame * PAGE | low])
            return "store", table + 8 * rng.choice([0, 1, 1, 1]), entry
        case "cr3":
            return kind, rng.choice([ROOT, OTHER_ROOT])
    return kind, rng.random() < 0.3


OTHERS = ["cr3", "invlpg", "user", "wp"]


@LEVELS
@pytest.mark.parametrize("kind", ["ept", "shadow"])
def test_a_hostile_guest_never_raises_and_never_leaves_its_frames(kind, levels):
    """Tables full of anything, CR3 anywhere; every address that gets through is the VM's own."""
    through = 0
    for seed in range(12):
        rng = random.Random(seed)
        machine = Paged(kind, levels, frames=6)
        own = set(machine.vm.ram.frames.values())
        size = machine.guest.ENTRY
        for _ in range(60):
            at = rng.randrange(0x1000, 0x6000, size)
            wild = rng.choice([rng.getrandbits(8 * size), rng.randrange(40) * PAGE | 7])
            machine.vm.ram.write(at, wild.to_bytes(size, "little"))
        for _ in range(60):
            gva = rng.choice([rng.getrandbits(64), rng.randrange(LAST) * PAGE, 1 << 47, PAGE - 3])
            machine.guest.user = rng.random() < 0.2
            match rng.randrange(6):
                case 0:
                    machine.cpu.set_cr3(rng.choice([rng.getrandbits(52), ROOT, ROOT, ROOT]))
                case 1:
                    machine.cpu.invlpg(gva)
                case 2 | 3:
                    machine.cpu.store(gva, rng.getrandbits(64), 8)
                case _:
                    machine.cpu.load(gva, 8)
            hpa = machine.paging.translate(gva, 1, False)
            if isinstance(hpa, int):
                through += 1
                assert hpa & -PAGE in own
    assert through > 20


# -- misuse


def test_it_takes_its_own_exits_alone():
    for kind in ("ept", "shadow"):
        with pytest.raises(TypeError, match="not HltExit"):
            Paged(kind).paging.serve(HltExit(0))


def test_each_needs_a_vm_of_its_kind():
    ept, shadow = Paged("ept"), Paged("shadow")
    with pytest.raises(TypeError, match="must be by a shadow page table"):
        ShadowPaging(ept.guest, ept.vm.tables, ept.host.frames, ept.vm.vmm)
    with pytest.raises(TypeError, match="must be by EPT"):
        NestedPaging(shadow.guest, shadow.vm.tables, shadow.vm.vmm)


def test_a_pool_without_a_frame_is_refused():
    machine = Paged("shadow")
    empty = Frames(GuestMemory(PAGE), 0, 0)
    guest = Paging4Level(PlainMemory(GuestMemory(PAGE)))
    with pytest.raises(ValueError, match="0 are left"):
        ShadowPaging(guest, machine.vm.tables, empty, machine.vm.vmm)
