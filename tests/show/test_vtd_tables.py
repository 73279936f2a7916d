"""The tables about VT-d: fault records, caches, the queue, buffers, what was broken, the cost."""

import pytest

from tests.oracles.vtd_worlds import EDU, EDU2, FRAMES
from tests.show.vtd_scene import IOVA, Scene
from virtlab.iommu.descriptors import DESCRIPTOR_SIZE, DescriptorType
from virtlab.iommu.layouts import FAULT_RECORD, FI_INDEX
from virtlab.iommu.reasons import Reason
from virtlab.iommu.vtd import CACHE_SIZES
from virtlab.memory import PAGE
from virtlab.show.vtd_break import Break, break_all, break_table, broken
from virtlab.show.vtd_buffers import buffers_table
from virtlab.show.vtd_cost import entries_read, expected_reads
from virtlab.show.vtd_kept import kept, kept_table, reached
from virtlab.show.vtd_queue import descriptor_words, queue_table
from virtlab.show.vtd_record import record_table, records_table
from virtlab.virtio.chain import Buffer
from virtlab.vmm.dma_remap import Piece


@pytest.fixture
def scene():
    return Scene()


# -- fault records


def test_a_record_is_read_field_by_field(scene):
    """10.4.14, of a record that the unit made."""
    scene.write(0x7000)
    record = scene.unit.faults.records[0]
    table = record_table(record)
    assert table.caption == f"A fault record: {record.to_bytes(16, 'little').hex(' ')}"
    rows = {row[1]: row for row in table.rows}
    assert rows["FI"] == ("63:12", "FI", "0x7000", "the page of the request, iova 0x7000")
    assert rows["SID"][2:] == ("0x28", "who asked: 00:05.0")
    assert rows["FR"][2:] == ("0x5", Reason.WRITE.meaning)
    assert rows["T1"][2:] == ("0", "a write")
    assert rows["F"][2:] == ("1", "in use, until software writes a 1")
    scene.vtd.faults.read()
    assert record_table(scene.unit.faults.records[0]).rows[-1][3] == "free"


def test_other_records():
    read = FAULT_RECORD.pack(F=1, FR=6, T1=1, AT=1)
    assert record_table(read).rows[4][3] == "a read"
    assert record_table(read).rows[3][3] == "a request for a translation"
    assert record_table(read, "mine").caption == "mine"
    interrupt = FI_INDEX.put(FAULT_RECORD.pack(F=1, FR=0x22), 9)
    assert record_table(interrupt).rows[0] == (
        "63:48",
        "FI",
        "9",
        "the number of the interrupt entry",
    )
    assert record_table(FAULT_RECORD.pack(FR=0x7F)).rows[2][3] == "a reason that is not known"


def test_all_records_of_a_unit(scene):
    scene.write(0x7000)
    scene.write(0x9000, source=EDU2)
    records = scene.unit.faults.records
    rows = records_table(records).rows
    assert rows[0] == ("0", "1", "00:05.0", "write", "0x7000", f"0x5, {Reason.WRITE.meaning}")
    assert rows[1][2:5] == ("00:07.0", "write", "0x9000")
    assert [row[1] for row in rows] == ["1", "1", *"000000"]
    interrupt = FI_INDEX.put(FAULT_RECORD.pack(F=1, FR=0x22), 9)
    assert records_table([interrupt]).rows[0][3:5] == ("interrupt", "entry 9")
    assert records_table([FAULT_RECORD.pack(F=1, FR=6, T1=1)]).rows[0][3] == "read"


@pytest.mark.parametrize(("overflow", "said"), [(False, False), (True, True)])
def test_an_overflow_is_said(overflow, said):
    assert ("PFO is 1" in records_table([], overflow, "mine.").caption) == said


# -- what is remembered


def test_nothing_is_remembered_at_first(scene):
    assert kept(scene.unit) == []
    assert kept_table(scene.unit).caption == "What the unit remembers: 0 entries, 0 stale"


def test_after_a_walk_all_three_caches_have_something(scene):
    """6.2."""
    scene.write(IOVA)
    found = kept(scene.unit)
    assert [each.cache for each in found] == ["IOTLB", "context", "tables", "tables", "tables"]
    assert found[0].tag == f"00:05.0, page {IOVA:#x}"
    assert found[0].says == f"{FRAMES:#x} rw, domain {scene.domain.number}"
    assert {each.dropped_by for each in found} == {f"domain {scene.domain.number}"}
    assert not any(each.stale for each in found)
    assert [row[3] for row in kept_table(scene.unit).rows] == ["the same"] * 5


def test_an_entry_that_changed_in_memory_is_stale(scene):
    scene.write(IOVA)
    last = scene.look().rows[-1]
    scene.turn(last, 3)
    (page,) = [each for each in kept(scene.unit) if each.stale]
    assert (page.cache, page.now) == ("IOTLB", "not mapped")
    assert kept_table(scene.unit).rows[0][3] == "STALE: not mapped"
    assert kept_table(scene.unit).caption.endswith("5 entries, 1 stale")


def test_a_page_with_a_reserved_bit_is_stale_by_its_fault(scene):
    scene.write(IOVA)
    scene.turn(scene.look().rows[-1], 1 << 50)
    assert kept(scene.unit)[0].now == "fault 0xc"


def test_a_page_that_moved_or_lost_a_right_is_stale(scene):
    scene.write(IOVA)
    row = scene.look().rows[-1]
    scene.turn(row, PAGE)
    assert kept(scene.unit)[0].now == f"{FRAMES + PAGE:#x} rw, domain {scene.domain.number}"
    scene.turn(row, PAGE | 2)
    assert kept(scene.unit)[0].now == f"{FRAMES:#x} r-, domain {scene.domain.number}"
    scene.turn(row, 3)
    assert kept(scene.unit)[0].now == f"{FRAMES:#x} -w, domain {scene.domain.number}"


@pytest.mark.parametrize(
    ("place", "mask", "caches"),
    [
        (1, 1, {"IOTLB", "context", "tables"}),
        (1, 1 << 30, {"IOTLB", "context", "tables"}),
        (2, 1 << 40, {"IOTLB", "tables"}),
        (4, 1 << 40, {"IOTLB", "tables"}),
        (4, 2, {"IOTLB", "tables"}),
    ],
)
def test_a_table_or_a_context_that_changed_is_stale(scene, place, mask, caches):
    scene.write(IOVA)
    scene.turn(scene.look().rows[place], mask)
    assert {each.cache for each in kept(scene.unit) if each.stale} == caches


def test_a_right_that_is_missing_above_is_missing_in_every_table_below(scene):
    """3.7: the rights of a page are those of all entries on its way."""
    scene.write(IOVA)
    scene.turn(scene.look().rows[2], 2)
    tables = [each for each in kept(scene.unit) if each.cache == "tables"]
    assert [each.now[-2:] for each in tables] == ["r-"] * 3
    assert all(each.stale for each in tables)


def test_a_detached_device_leaves_everything_stale(scene):
    scene.write(IOVA)
    scene.vtd.root.detach(EDU)
    found = kept(scene.unit)
    assert all(each.stale for each in found)
    assert {each.now for each in found if each.cache == "tables"} == {"no context"}
    assert {each.now for each in found if each.cache == "context"} == {"fault 0x2"}


def test_where_a_write_would_land(scene):
    scene.vtd.map(scene.domain, IOVA + PAGE, FRAMES + 8 * PAGE, PAGE)
    asked = scene.unit, EDU, IOVA + 0xF00, 0x200
    pieces = (Piece(FRAMES + 0xF00, 0x100), Piece(FRAMES + 8 * PAGE, 0x100))
    assert reached(*asked) == pieces
    scene.domain.unmap(IOVA, PAGE)
    assert reached(*asked) == pieces  # it remembers
    scene.vtd.forget_all()
    assert reached(*asked) == ()
    assert scene.vtd.faults.read() == []
    assert reached(scene.unit, EDU, IOVA + PAGE + 0xF00, 0x200) == (
        Piece(pieces[1].hpa + 0xF00, 0x100),
    )


# -- the queue


def test_the_queue_shows_what_was_asked(scene):
    """6.5.2: the request, and a wait behind it."""
    ring = scene.vtd.ring
    first = ring.tail
    scene.vtd.invalidation.pages(scene.domain.number, IOVA)
    table = queue_table(scene.ram, ring.gpa, first, ring.tail)
    assert [row[2] for row in table.rows] == ["IOTLB invalidation", "invalidation wait"]
    assert table.rows[0][3] == f"G=3 DID={scene.domain.number} AM=0 IH=0 page {IOVA:#x}"
    assert table.rows[1][3] == f"IF=0 SW=1 FN=0 writes {ring.number} at {ring.status_gpa:#x}"
    for row in table.rows:
        assert bytes.fromhex(row[1]) == scene.ram.read(ring.gpa + int(row[0], 16), 16)
    assert table.caption == "2 descriptors of the invalidation queue"


def test_the_queue_is_a_circle(scene):
    ring = scene.vtd.ring
    while ring.tail != PAGE - DESCRIPTOR_SIZE:
        ring.submit([])
        if ring.tail == 0:
            break
    scene.vtd.invalidation.contexts(scene.domain.number, EDU)
    table = queue_table(scene.ram, ring.gpa, PAGE - DESCRIPTOR_SIZE, DESCRIPTOR_SIZE, "mine")
    assert [row[0] for row in table.rows] == [f"{PAGE - DESCRIPTOR_SIZE:#x}", "0x0"]
    assert table.caption == "mine"


@pytest.mark.parametrize(
    ("descriptor", "what", "says"),
    [
        (0, "of no known type", ""),
        (0x201, "of no known type", ""),
        (0xF, "of no known type", ""),
        (0x0028_0007_0031, "context-cache invalidation", "G=3 DID=7 SID=40"),
        (DescriptorType.WAIT | 1 << 4, "invalidation wait", "IF=1 SW=0 FN=0"),
        (4 | 1 << 4 | 9 << 32, "interrupt-entry-cache invalidation", "G=1 IM=0 IIDX=9"),
    ],
)
def test_a_descriptor_in_words(descriptor, what, says):
    assert descriptor_words(descriptor) == (what, says)


# -- what was broken


def test_each_broken_entry_leaves_its_reason_and_is_mended(scene):
    rows = scene.look(write=True).rows
    before = [scene.ram.read(row.entry_at, len(row.raw)) for row in rows]
    breaks = [
        Break("root entry", 1, "P cleared"),
        Break("level 1", 2, "W cleared"),
        Break("context entry", 3, "P cleared, FPD set"),
    ]
    found = break_all(scene.ram, scene.vtd, rows, breaks, lambda: scene.write(IOVA))
    assert [fault and fault.code for fault in found.values()] == [1, 5, None]
    assert [scene.ram.read(row.entry_at, len(row.raw)) for row in rows] == before
    assert scene.reaches(IOVA, FRAMES)
    assert break_table(found).rows == (
        ("root entry", "P cleared", "0x1", Reason.ROOT_NOT_PRESENT.meaning),
        ("level 1", "W cleared", "0x5", Reason.WRITE.meaning),
        ("context entry", "P cleared, FPD set", "none", "no record was made"),
    )


def test_what_the_unit_learned_of_a_broken_entry_is_forgotten(scene):
    row = scene.look().rows[-1]
    assert broken(scene.ram, scene.vtd, row, PAGE, lambda: scene.write(IOVA)) == []
    assert scene.reaches(IOVA, FRAMES)


def test_a_card_that_fails_badly_leaves_the_entry_as_it_was(scene):
    row = scene.look().rows[-1]
    before = scene.ram.read(row.entry_at, 8)
    with pytest.raises(ZeroDivisionError):
        broken(scene.ram, scene.vtd, row, 3, lambda: 1 // 0)
    assert scene.ram.read(row.entry_at, 8) == before


def test_records_of_before_are_not_taken_for_those_of_the_break(scene):
    scene.write(0x9000)
    assert broken(scene.ram, scene.vtd, scene.look().rows[-1], 0, lambda: None) == []


def test_a_reason_that_is_not_known_is_said():
    from virtlab.guest.vtd_faults import Fault

    found = {Break("x", 0, "y"): Fault.of(FAULT_RECORD.pack(F=1, FR=0x7F))}
    assert break_table(found, "mine").rows[0][2:] == ("0x7f", "not known")


# -- the cost


@pytest.mark.parametrize("pages", [1, 100, CACHE_SIZES[1], CACHE_SIZES[1] + 1])
@pytest.mark.parametrize("levels", [3, 4])
def test_the_closed_form_of_reads(pages, levels):
    scene = Scene(levels=levels)
    base = 1 << 31
    for number in range(pages):
        scene.vtd.map(scene.domain, base + number * PAGE, FRAMES + (number ^ 1) * PAGE, PAGE)
    scene.vtd.forget_all()
    counts = entries_read(scene.unit, EDU, [base + n * PAGE for n in range(pages)] * 3)
    assert sum(counts) == expected_reads(pages, 3, levels, CACHE_SIZES[1])
    assert counts[0] == 2 + levels


# -- buffers


def test_a_buffer_is_cut_at_pages():
    buffers = [Buffer(0x1FF0, 0x20, False), Buffer(0x5000, 16, True), Buffer(0x6000, 0, True)]
    table = buffers_table(buffers, lambda iova: iova ^ 0x8_0000)
    assert table.rows == (
        ("read", "16", "0x1ff0", "0x81ff0"),
        ("read", "16", "0x2000", "0x82000"),
        ("write", "16", "0x5000", "0x85000"),
    )
    assert table.caption == "3 pieces of memory"
