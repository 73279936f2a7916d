"""The disk through a mediator: the guest's tables become ours, and its bytes go where it said."""

from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.vmm.remap_rig import HOLE, TABLES, Rig, apart, raw_dma, together
from virtlab.backends import SECTOR
from virtlab.devices.ata.registers import BOUNDARY, PRD, PRD_EOT
from virtlab.guest.ata import READ_DMA
from virtlab.guest.ata_regions import prd_table
from virtlab.memory import PAGE
from virtlab.vmm.dma_remap import SoftwareRemapper, Untranslated
from virtlab.vmm.mediated_ide import ENTRIES, MediatedIde

ERROR, ACTIVE, INTERRUPT = 0x02, 0x01, 0x04


@cache
def rigs():
    """The same guest twice: its disk mediated, and emulated."""
    return Rig(), Rig(mediated=False)


@cache
def naive():
    """The guest whose VMM passes numbers on."""
    return Rig(remapper=Untranslated())


def table_of(entries, last=True):
    """A table's bytes; `last` marks its end."""
    rows = np.zeros(len(entries), PRD)
    for row, (base, count) in zip(rows, entries, strict=True):
        row["base"], row["count"] = base, count & 0xFFFF
    if last and len(rows):
        rows["flags"][-1] = PRD_EOT.mask
    return rows.tobytes()


def shadow(rig):
    """The VMM's table, as `(hpa, bytes)`, up to its end."""
    rows = np.frombuffer(rig.board.ram.read(TABLES, BOUNDARY), PRD).tolist()
    end = next(n for n, row in enumerate(rows) if row[2])
    return [(base, count or BOUNDARY) for base, count, _ in rows[: end + 1]]


@cache
def pieces_of(sectors, seed):
    """Regions of memory that together have so many sectors; some cross pages, some are odd."""
    rng = np.random.default_rng(seed)
    words = sectors * SECTOR // 2
    cuts = sorted({*rng.integers(1, words, rng.integers(0, 7)).tolist()})
    sizes = np.diff([0, *cuts, words]) * 2
    return [
        (0x10000 + 0x8000 * n + 2 * int(rng.integers(0, PAGE)), int(size))
        for n, size in enumerate(sizes)
    ]


@given(st.integers(1, 40), st.integers(0, 1 << 20), st.booleans())
def test_the_driver_runs_unchanged_on_a_vms_scattered_frames(sectors, seed, asleep):
    rig, _ = rigs()
    guest, regions = rig.guest, pieces_of(sectors, seed)
    guest.disk.listen(guest.pics) if asleep else guest.disk.mute()
    guest.disk.read_dma(7, regions)
    read = b"".join(guest.vm.ram.read(gpa, n) for gpa, n in regions)
    assert read == rig.disk.read(7, sectors)
    for gpa, n in regions:
        guest.vm.ram.write(gpa, bytes((gpa + i) % 249 for i in range(n)))
    wrote = b"".join(guest.vm.ram.read(gpa, n) for gpa, n in regions)
    guest.disk.write_dma(1000, regions)
    assert rig.disk.read(1000, sectors) == wrote
    assert not len(rig.pins)


@pytest.mark.parametrize("pages", [1, 2, 8, 32])
def test_how_many_pieces_there_are_costs_no_exit(pages):
    """Six: BMIDTP, BMICOM, BMISTA, START, one look at BMISTA, stop. The disk's ports are open."""
    rig, _ = rigs()
    guest = rig.guest
    guest.disk.mute()
    assert guest.exits(lambda: guest.disk.read_dma(7, [(0x10000, pages * PAGE)])) == 6
    runs = SoftwareRemapper(guest.vm.ram).pieces(0x10000, pages * PAGE)
    assert [hpa for hpa, _ in shadow(rig)] == [hpa for hpa, _ in runs]


def test_a_run_that_crosses_64_kib_is_two_entries():
    rig, _ = rigs()
    frames = rig.guest.vm.ram.frames
    page = next(gpa for gpa, frame in frames.items() if (frame + PAGE) % BOUNDARY == 0)
    rig.guest.vm.ram.frames = {0: frames[page], PAGE: frames[page] + PAGE}
    rig.guest.vm.ram.write(0x800, table_of([(PAGE - 16, 32)]))
    master = rig.ide.masters[0]
    try:
        master.pointer = 0x800
        pieces = master.translated()
        master._load()
        assert len(pieces) == 1
        assert shadow(rig) == [(pieces[0].hpa, 16), (pieces[0].hpa + 16, 16)]
    finally:
        master.release()
        rig.guest.vm.ram.frames = frames


bases = st.one_of(
    st.integers(0x10000, 0x9F000),
    st.sampled_from([page - n for page in (0x20000, 0x31000, 0x9F000) for n in (1, 2, 6, 512)]),
    st.sampled_from([0x9FFFE, 0x9FE00, 0xA0000, 0x13FE00, 0x140000, 0x400000, 0xFFFFFFFE, 1 << 31]),
    st.integers(0, (1 << 32) - 1),
)
counts = st.one_of(st.sampled_from([2, 512, 1024, PAGE, 0, 0xFFFE, 1]), st.integers(0, 0xFFFF))
tables = st.lists(st.tuples(bases, counts), min_size=1, max_size=6)
pointers = st.sampled_from(
    [0x8000, 0x8FFC, 0x8FF8, 0xFFF8, 0xFFFC, 0x9FFFC, 0xA0000, 0x13FFF8, 0x7000000, 0xFFFFFFFC]
)


@given(tables, pointers, st.integers(1, 12), st.booleans(), st.booleans())
@example([(0x20000, 512), (0x9FE00, 0xFE00)], 0x8000, 4, True, True)
@example([(0x9FE00, 1024)], 0x8000, 1, True, True)
@example([(0x20000, 0)], 0xFFFC, 3, False, False)
def test_any_table_does_to_the_guest_what_it_does_with_an_emulated_disk(
    entries, pointer, sectors, inwards, last
):
    """The same bits, the same bytes in memory and on the disk; and no byte anywhere else."""
    outcomes = []
    for rig in rigs():
        guest = rig.guest
        guest.fill(bytes(range(256)) * 16)
        table = table_of(entries, last)
        for at in range(len(table)):
            if (pointer + at) & -PAGE in guest.vm.ram.frames:
                guest.vm.ram.write(pointer + at, table[at : at + 1])
        rig.disk.write(7, b"\x55" * 16 * SECTOR)
        before = rig.strangers()
        state = raw_dma(guest, pointer, sectors, inwards)
        outcomes.append((state, guest.memory(), rig.disk.read(7, 16)))
        assert (rig.strangers() == before).all()
    assert outcomes[0][0] == outcomes[1][0]
    assert outcomes[0] == outcomes[1]
    assert not len(rigs()[0].pins)


@pytest.mark.parametrize(
    ("entries", "pointer"),
    [
        ([(0x200000, 512)], 0x8000),
        ([(0xFFFFFFFE, 512)], 0x8000),
        ([(0x20000, 256), (0xA0000, 256)], 0x8000),
        ([(0x20000, 512)], 0x140000),
    ],
)
def test_a_table_that_names_what_the_vm_has_not_ends_in_error(entries, pointer):
    rig = Rig()
    guest = rig.guest
    if pointer == 0x8000:
        guest.vm.ram.write(pointer, table_of(entries))
    with rig.board.trace.recording() as events:
        state, status = raw_dma(guest, pointer, 1, inwards=True)
    assert state & (ERROR | ACTIVE | INTERRUPT) == ERROR
    assert status & 0x08
    ours, cards = (event for event in events if event.kind == "fault")
    assert ours.address in (pointer, 0x200000, 0xFFFFFFFE, 0xA0000)
    assert cards.address == HOLE
    assert not len(rig.pins)
    guest.disk.reset()
    guest.disk.read_dma(7, [(0x20000, 512)])


def test_what_the_guest_changes_after_start_is_too_late():
    """The drive has no command yet, so the bus master waits. Another START starts nothing."""
    rig = Rig()
    guest = rig.guest
    frames = set(rig.other.vm.ram.frames.values())
    victim = next(iter(frames))
    guest.vm.ram.write(0x8000, table_of([(0x20000, 512)]))
    guest.cpu.out(guest.bus_master + 4, 0x8000, 4)
    guest.cpu.out(guest.bus_master, 0x09)
    assert rig.pins.pinned(guest.vm.ram.hpa(0x20000))
    guest.vm.ram.write(0x8000, table_of([(0x30000, 512)]))
    guest.cpu.out(guest.bus_master, 0x09)
    guest.vm.ram.write(0x8000, table_of([(victim, 512)]))
    before = rig.board.ram.read(victim, PAGE)
    guest.disk.command(READ_DMA, 7, 1)
    assert guest.vm.ram.read(0x20000, 512) == rig.disk.read(7, 1)
    assert guest.vm.ram.read(0x30000, 512) == bytes(512)
    assert rig.board.ram.read(victim, PAGE) == before
    assert guest.cpu.inp(guest.bus_master + 2) & ACTIVE == 0
    assert not len(rig.pins)


def test_frames_stay_pinned_while_the_bus_master_is_active():
    """The table has room for more: an interrupt comes, and the bus master could still move."""
    rig = Rig()
    guest = rig.guest
    guest.vm.ram.write(0x8000, table_of([(0x20000, 1024)]))
    guest.cpu.out(guest.bus_master + 4, 0x8000, 4)
    guest.cpu.out(guest.bus_master, 0x09)
    guest.disk.command(READ_DMA, 7, 1)
    assert guest.cpu.inp(guest.bus_master + 2) & (ACTIVE | INTERRUPT) == ACTIVE | INTERRUPT
    assert rig.pins.pinned(guest.vm.ram.hpa(0x20000))
    guest.cpu.out(guest.bus_master, 0x08)
    assert not len(rig.pins)


def test_the_guest_reads_its_own_pointer_in_any_width():
    rig, _ = rigs()
    cpu, at = rig.guest.cpu, rig.guest.bus_master
    cpu.out(at + 4, 0x12345679, 4)
    cpu.out(at + 6, 0xABCD, 2)
    assert cpu.inp(at + 4, 4) == 0xABCD5678
    assert cpu.inp(at + 5) == 0x56
    assert cpu.inp(at, 4) == cpu.inp(at) | cpu.inp(at + 2) << 16
    assert cpu.inp(at + 8, 4) == 0
    cpu.out(at + 12, 0x1000, 4)
    assert cpu.inp(at + 12, 4) == 0x1000


def test_a_table_that_becomes_too_long_ends_in_the_hole():
    """Every entry crosses a page: 4,200 entries would become 8,400."""
    rig = Rig()
    gpa = apart(rig.guest.vm.ram) + PAGE - 2
    rig.guest.vm.ram.write(0x10000, table_of([(gpa, 4)] * 4200))
    rig.ide.masters[0].pointer = 0x10000
    with rig.board.trace.recording() as events:
        pieces = rig.ide.masters[0].translated()
    assert pieces[-1].hpa == HOLE
    assert len(pieces) == ENTRIES - 1
    assert [event.note for event in events if event.kind == "fault"] == [
        "the table has become too long"
    ]


def test_an_entry_that_crosses_64_kib_counts_twice():
    rig, _ = rigs()
    frames = rig.guest.vm.ram.frames
    first = next(frame for frame in frames.values() if (frame + PAGE) % BOUNDARY == 0)
    rig.guest.vm.ram.frames = frames | {0x20000: first, 0x21000: first + PAGE}
    rig.guest.vm.ram.write(0x10000, table_of([(0x20FF0, 32)] * 4200))
    master = rig.ide.masters[0]
    try:
        master.pointer = 0x10000
        pieces = master.translated()
    finally:
        rig.guest.vm.ram.frames = frames
    assert pieces[-1].hpa == HOLE
    assert len(prd_table(pieces)) <= BOUNDARY < len(prd_table(pieces + pieces[:1]))


def test_each_channel_has_a_table_of_its_own():
    rig = Rig()
    guest, at = rig.guest, rig.guest.bus_master
    for pointer, base, master in ((0x8000, 0x20000, at), (0x8800, 0x30000, at + 8)):
        guest.vm.ram.write(pointer, table_of([(base, 512)]))
        guest.cpu.out(master + 4, pointer, 4)
        guest.cpu.out(master, 0x09)
    assert shadow(rig) == [(guest.vm.ram.hpa(0x20000), 512)]
    assert len(rig.pins) == 2


def test_without_bus_master_enable_nothing_moves():
    rig = Rig()
    rig.guest.pc.cards.ide.header.COMMAND &= ~4
    rig.guest.vm.ram.write(0x8000, table_of([(0x20000, 512)]))
    state, _ = raw_dma(rig.guest, 0x8000, 1, inwards=True)
    assert state & ERROR
    assert rig.guest.vm.ram.read(0x20000, 512) == bytes(512)


def test_the_mistake_lands_in_the_frame_of_that_number():
    rig = naive()
    guest, other = rig.guest, rig.other.vm.ram
    owner = {frame: page for page, frame in other.frames.items()}
    gpa = next(gpa for gpa in guest.vm.ram.frames if gpa in owner)
    guest.disk.read_dma(7, [(gpa, 512)])
    assert rig.other.cpu.read(owner[gpa], 512) == rig.disk.read(7, 1)
    assert guest.cpu.read(gpa, 512) == bytes(512)


def test_neighbours_are_one_entry():
    rig = Rig()
    gpa = together(rig.guest.vm)
    rig.guest.disk.read_dma(7, [(gpa + PAGE - 512, 1024)])
    assert sum(n for _, n in shadow(rig)) == 1024
    crosses = rig.guest.vm.ram.frames[gpa + PAGE] % BOUNDARY == 0
    assert len(shadow(rig)) == 1 + crosses


@pytest.mark.parametrize(
    ("table", "hole", "why"),
    [
        (0xC0_0004, HOLE, "two tables"),
        (0xFF_0000, HOLE, "two tables"),
        (TABLES, HOLE + 1, "a hole"),
        (TABLES, 0x20_0000, "a hole"),
    ],
)
def test_a_table_or_a_hole_in_the_wrong_place_is_refused(table, hole, why):
    rig = rigs()[1]
    one = rig.guest.pc
    with pytest.raises(ValueError, match=why):
        MediatedIde(one.vm, one.cards.ide, rig.board.cards.ide, table, hole)


@settings(max_examples=30)
@given(tables, st.booleans())
def test_even_the_mistake_never_raises_out_of_the_bus(entries, inwards):
    """It may write anywhere. The guest's table is out of its own way, at 0x8000."""
    rig = naive()
    kept = rig.board.ram.bytes.copy()
    rig.guest.vm.ram.write(0x8000, table_of(entries))
    raw_dma(rig.guest, 0x8000, 4, inwards)
    rig.board.ram.bytes[:] = kept
