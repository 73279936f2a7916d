"""The block driver on a device on paper: what it asks for, what it believes, what it says."""

import random
import struct

import pytest

from tests.guest.paper_virtio import PaperDisk, PaperTransport, RamCpu, ring_name
from virtlab.backends import Disk
from virtlab.guest.calls import BlocksFailed
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_blk_queue import PATIENCE, Request
from virtlab.guest.virtio_blk_slots import SLOT, UNANSWERED
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_transport import EAGER, VirtioFailed
from virtlab.guest.virtqueue import DeviceBroken
from virtlab.memory import GuestMemory
from virtlab.virtio.blk_layouts import BlkFeature, BlkStatus, BlkType
from virtlab.virtio.features import Feature
from virtlab.virtio.status import Status

V, P = Feature.VERSION_1, Feature.RING_PACKED
I, E, O = Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX, Feature.IN_ORDER  # noqa: E741
RINGS = [{V}, {V, P}, {V, I}, {V, P, I}, {V, E}, {V, P, E}, {V, O}, {V, P, O}, {V, P, I, E, O}]

IMAGE = random.Random(1).randbytes(256 * 512)


def disk_with(offered=frozenset({V}), started=True, legacy=False, image=IMAGE, **driver):
    """A driver, and the device on paper that it drives."""
    ram = GuestMemory(0x20_0000)
    own = {BlkFeature.FLUSH, BlkFeature.BLK_SIZE}
    paper = PaperDisk(ram, Disk(bytearray(image)), {*own, *offered}, legacy)
    disk = BlkDriver(RamCpu(ram), paper, Room(0x1_0000, 0x10_0000), **driver)
    if started:
        disk.start()
    return disk, paper


def content(paper):
    return paper.device.disk.read(0, 256)


# -- beginning


def test_it_goes_live_when_everything_is_in_place():
    disk, paper = disk_with()
    steps = [line for line in paper.log if line.startswith(("status", "queue"))]
    assert steps[-2].startswith("queue 0: 256")
    assert steps[-1] == "status 0x0f"
    assert disk.config == {"capacity": 256, "blk_size": 512}
    assert (disk.capacity, disk.read_only) == (256, False)


def test_only_a_block_device_is_driven():
    paper = PaperTransport(device_id=1)
    disk = BlkDriver(RamCpu(GuestMemory(4096)), paper, Room(0, 4096))
    with pytest.raises(VirtioFailed, match="no block device, but type 1"):
        disk.start()
    assert paper.now & Status.FAILED
    assert disk.capacity == 0
    with pytest.raises(ValueError, match="has not been started"):
        disk.read(0, 0)


def test_a_field_is_read_only_if_its_feature_was_negotiated():
    """2.5.1: the driver must check that before."""
    _, paper = disk_with({V, BlkFeature.TOPOLOGY, BlkFeature.MQ}, understood=frozenset({V}))
    read = [line for line in paper.log if line.startswith("config")]
    assert read == ["config+0/4", "config+4/4"]
    disk, paper = disk_with({V, BlkFeature.CONFIG_WCE, BlkFeature.GEOMETRY})
    assert set(disk.config) == {
        "capacity",
        "blk_size",
        "cylinders",
        "heads",
        "sectors",
        "writeback",
    }


def config(**fields):
    """A configuration with `capacity` 256 and SIZE_MAX, SEG_MAX as told."""
    return struct.pack("<QII", 256, fields.get("size_max", 0), fields.get("seg_max", 0)) + bytes(48)


def test_pieces_are_no_longer_than_the_device_takes():
    """SIZE_MAX: chains of eight pieces of data, and two more."""
    disk, paper = disk_with({V, BlkFeature.SIZE_MAX, BlkFeature.SEG_MAX}, started=False)
    paper.configs = [config(size_max=512, seg_max=8)]
    lengths = []
    serve = paper.serve_one
    paper.serve_one = lambda chain: (
        lengths.append([b.length for b in chain.buffers]) or serve(chain)
    )
    disk.start()
    assert disk.read(0, 8) == IMAGE[:4096]
    assert disk.read(8, 3) == IMAGE[4096:5632]
    assert lengths == [[16, *[512] * 8, 1], [16, *[512] * 3, 1]]


def test_a_device_that_takes_fewer_pieces_is_given_up():
    disk, paper = disk_with({V, BlkFeature.SIZE_MAX, BlkFeature.SEG_MAX}, started=False)
    paper.configs = [config(size_max=512, seg_max=7)]
    with pytest.raises(VirtioFailed, match="takes no request of 8 pieces"):
        disk.start()
    assert paper.now & Status.FAILED


@pytest.mark.parametrize(("slots", "chunk"), [(1, 0), (1, 100), (1, 513), (1, -512), (0, 512)])
def test_slots_are_whole_sectors(slots, chunk):
    with pytest.raises(ValueError, match=f"slots of whole sectors, not {slots} of {chunk} bytes"):
        disk_with(slots=slots, chunk=chunk, started=False)


# -- sectors, on every ring


@pytest.mark.parametrize("offered", RINGS, ids=ring_name)
def test_what_is_written_is_read(offered):
    disk, paper = disk_with(offered)
    assert disk.virtio.features & RING_FEATURES == offered
    data = random.Random(2).randbytes(20 * 512)
    disk.write(100, data)
    assert disk.read(99, 22) == IMAGE[99 * 512 : 100 * 512] + data + IMAGE[120 * 512 : 121 * 512]
    assert content(paper) == IMAGE[: 100 * 512] + data + IMAGE[120 * 512 :]
    assert paper.most == 3  # 20 sectors are three requests of 4 KiB at most


@pytest.mark.parametrize("offered", RINGS, ids=ring_name)
@pytest.mark.parametrize(("slots", "size"), [(64, None), (7, 8), (64, 4)])
def test_many_requests_in_flight_in_any_order(offered, slots, size):
    """Random reads and writes; the device answers in another order, if it may."""
    disk, paper = disk_with(offered, slots=slots, size=size, chunk=1024)
    rng = random.Random(3)
    if O not in offered:
        paper.order = lambda chains: rng.sample(chains, len(chains))
    model = bytearray(IMAGE)
    for _ in range(6):
        requests = [
            Request(BlkType.OUT, at, rng.randbytes(512 * rng.randint(1, 2)))
            if rng.random() < 0.5
            else Request(BlkType.IN, at, length=512 * rng.randint(1, 2))
            for at in rng.sample(range(0, 256, 2), 50)
        ]
        for request, answer in zip(requests, disk.run(requests), strict=True):
            at = slice(request.sector * 512, request.sector * 512 + request.size)
            if request.type == BlkType.OUT:
                model[at] = request.data
            assert answer.data == (model[at] if request.type == BlkType.IN else b"")
            assert answer == (BlkStatus.OK, answer.data, request.length + 1)
    assert content(paper) == model
    assert paper.most <= slots
    assert disk.requests.slots.in_flight == 0


def test_as_many_as_possible_are_in_flight():
    disk, paper = disk_with({V, I}, slots=30)
    disk.run([Request(BlkType.IN, at, length=512) for at in range(100)])
    assert paper.most == 30
    disk, paper = disk_with({V}, slots=30, size=16)
    disk.run([Request(BlkType.IN, at, length=512) for at in range(100)])
    assert paper.most == 5  # three descriptors each


@pytest.mark.parametrize("offered", RINGS, ids=ring_name)
def test_one_at_a_time_is_done(offered):
    """While some wait and others fly; the slots are full, and none of them is lost."""
    disk, paper = disk_with(offered, slots=3, chunk=512)
    paper.lazy = True
    held = []

    def one():
        held.extend(iter(paper.queue.pop, None))
        chain = held.pop(0)
        paper.queue.push(chain, paper.serve_one(chain))

    disk.cpu.asleep = one
    requests = [Request(BlkType.IN, at, length=512) for at in range(8)]
    assert b"".join(answer.data for answer in disk.run(requests)) == IMAGE[: 8 * 512]
    assert disk.cpu.waits == 8
    slots = disk.requests.slots
    assert len(slots.submit(BlkType.IN, [1, 2, 3, 4], 512)) == 3
    assert slots.submit(BlkType.IN, [5], 512).tolist() == []


def test_a_request_that_never_fits():
    with pytest.raises(ValueError, match="a queue of 2 has no room for 3 pieces"):
        disk_with({V}, size=2)
    disk_with({V}, size=4)


def test_slots_that_no_string_move_can_carry():
    with pytest.raises(ValueError, match="a string move has 0 to 16777216 bytes"):
        disk_with(slots=33, chunk=512 << 10)


def test_a_request_longer_than_a_slot():
    disk, paper = disk_with(chunk=1024)
    requests = [Request(BlkType.IN, 0, length=1024), Request(BlkType.IN, 0, length=1536)]
    with pytest.raises(ValueError, match="at most 1024 bytes, not 1536"):
        disk.run(requests)
    with pytest.raises(ValueError, match="at most 1024 bytes, not 1536"):
        disk.requests.slots.submit(0, 0, [512, 1536])
    assert (paper.most, disk.requests.slots.in_flight) == (0, 0)


def test_no_request_at_all():
    disk, paper = disk_with()
    assert disk.run([]) == []
    assert disk.read(7, 0) == b""
    disk.write(7, b"")
    assert paper.most == 0


@pytest.mark.parametrize(("sector", "count"), [(256, 1), (255, 2), (-1, 1), (3, -1)])
def test_nothing_past_the_end_is_asked(sector, count):
    """5.2.6.1: a driver must not."""
    disk, paper = disk_with()
    with pytest.raises(ValueError, match="the disk has 256 sectors"):
        disk.read(sector, count)
    with pytest.raises(ValueError, match="the disk has 256 sectors"):
        disk.write(sector, bytes(512 * max(count, 0)) or bytes(1024 * 512))
    assert paper.most == 0


def test_data_is_whole_sectors():
    disk, _ = disk_with()
    with pytest.raises(ValueError, match="whole sectors of 512 bytes, not 100 bytes"):
        disk.write(0, bytes(100))


# -- the other requests


def asked(chain, paper):
    """Type, reserved, sector and data of a request."""
    return (*struct.unpack("<IIQ", chain.read(paper.ram, 0, 16)), chain.read(paper.ram, 16))


def test_a_flush_has_no_sector_and_no_data():
    """5.2.6.1."""
    disk, paper = disk_with()
    seen = []
    paper.serve_one = lambda chain: (
        seen.append((asked(chain, paper), chain.writable)) or done(chain, paper)
    )
    disk.flush()
    assert seen == [((BlkType.FLUSH, 0, 0, b""), 1)]


def done(chain, paper, status=0):
    return chain.write(paper.ram, bytes(chain.writable - 1) + bytes([status]))


def test_without_flush_nothing_is_asked():
    disk, paper = disk_with(understood=frozenset({V}))
    disk.flush()
    assert not any(line.startswith("bell") for line in paper.log)


def test_the_name():
    disk, _ = disk_with()
    assert disk.get_id() == "paper"


def test_segments_are_laid_out_as_the_device_reads_them():
    disk, paper = disk_with({V, BlkFeature.DISCARD, BlkFeature.WRITE_ZEROES})
    seen = []
    paper.serve_one = lambda chain: seen.append(asked(chain, paper)) or done(chain, paper)
    disk.discard(5, 6)
    disk.write_zeroes(7, 8)
    disk.write_zeroes(9, 10, unmap=True)
    assert seen == [
        (BlkType.DISCARD, 0, 0, struct.pack("<QII", 5, 6, 0)),
        (BlkType.WRITE_ZEROES, 0, 0, struct.pack("<QII", 7, 8, 0)),
        (BlkType.WRITE_ZEROES, 0, 0, struct.pack("<QII", 9, 10, 1)),
    ]
    with pytest.raises(ValueError, match="the disk has 256 sectors"):
        disk.discard(256, 1)


def test_what_was_not_negotiated_is_not_asked():
    disk, _ = disk_with()
    with pytest.raises(ValueError, match="DISCARD was not negotiated"):
        disk.discard(0, 1)
    with pytest.raises(ValueError, match="WRITE_ZEROES was not negotiated"):
        disk.write_zeroes(0, 1)


# -- what goes wrong


@pytest.mark.parametrize(
    ("status", "name"), [(1, "IOERR"), (2, "UNSUPP"), (3, "0x3"), (UNANSWERED, "0xff")]
)
def test_a_status_that_is_not_ok(status, name):
    disk, paper = disk_with()
    paper.serve_one = lambda chain: done(chain, paper, status)
    with pytest.raises(BlocksFailed, match=f"FLUSH of sector 0: the device answered {name}"):
        disk.flush()
    paper.serve_one = lambda chain: paper.device.serve(chain, paper.queue)
    disk.flush()


@pytest.mark.parametrize("offered", [{V}, {V, P}], ids=ring_name)
def test_each_answer_belongs_to_its_request(offered):
    """The device answers backwards, and says IOERR of one of them."""
    disk, paper = disk_with(offered)
    paper.order = lambda chains: chains[::-1]
    serve = paper.serve_one
    paper.serve_one = lambda chain: (
        done(chain, paper, 1) if asked(chain, paper)[2] == 5 else serve(chain)
    )
    answers = disk.run([Request(BlkType.IN, at, length=512) for at in (3, 4, 5, 6)])
    assert [answer.status for answer in answers] == [0, 0, 1, 0]
    assert answers[3].data == IMAGE[6 * 512 : 7 * 512]


def test_an_answer_that_was_never_written():
    """The device uses the buffer, and leaves the status byte as it was."""
    disk, paper = disk_with()
    paper.serve_one = lambda chain: 0
    for _ in range(2):
        with pytest.raises(BlocksFailed, match="IN of sector 3: the device answered 0xff"):
            disk.read(3)


def test_a_device_that_does_not_answer():
    disk, paper = disk_with()
    paper.lazy = True
    with pytest.raises(BlocksFailed, match="the device does not answer"):
        disk.read(0)
    assert disk.cpu.waits > EAGER


def test_a_device_that_breaks_the_ring():
    disk, paper = disk_with()
    paper.lazy = True
    rings = disk.requests.slots.queue.rings
    paper.notify = lambda *_: paper.ram.store(rings.used_field("idx"), 2, 7)
    with pytest.raises(DeviceBroken):
        disk.read(0)


def test_a_device_that_is_slow():
    disk, paper = disk_with()
    paper.lazy = True
    disk.cpu.asleep = paper.serve
    assert disk.read(0) == IMAGE[:512]
    assert disk.cpu.waits == 1


def test_after_a_reset_it_begins_anew():
    disk, paper = disk_with()
    paper.lazy = True
    with pytest.raises(BlocksFailed):
        disk.run([Request(BlkType.IN, at, length=512) for at in range(5)])
    assert disk.requests.slots.in_flight == 5
    paper.lazy = False
    with pytest.raises(BlocksFailed, match="requests of before are still in flight"):
        disk.read(0)
    disk.start()
    assert disk.requests.slots.in_flight == 0
    assert disk.read(0) == IMAGE[:512]


def test_a_disk_that_cannot_be_written():
    disk, paper = disk_with({V, BlkFeature.RO})
    assert disk.read_only
    paper.serve_one = lambda chain: done(chain, paper, BlkStatus.IOERR)
    with pytest.raises(BlocksFailed, match="OUT of sector 0: the device answered IOERR"):
        disk.write(0, bytes(512))


# -- interrupts


@pytest.mark.parametrize("offered", RINGS, ids=ring_name)
def test_it_sleeps_until_the_device_calls(offered):
    disk, paper = disk_with(offered, interrupts=True)
    paper.lazy = True
    disk.cpu.asleep = lambda: paper.serve() or paper.called
    for at in range(3):
        assert disk.read(at) == IMAGE[512 * at : 512 * at + 512]
        assert (disk.cpu.waits, paper.called, paper.isr) == (at + 1, at + 1, 0)


def test_with_msix_the_vector_says_why():
    """Both are mapped before the queue is handed over; the ISR is left alone (4.1.4.5.2)."""
    disk, paper = disk_with(interrupts=True, vectors=(3, 4))
    mapped = [paper.log.index(line) for line in ("config vector 3", "queue 0 vector 4")]
    handed = next(at for at, line in enumerate(paper.log) if line.startswith("queue 0: "))
    assert max(mapped) < handed
    paper.lazy = True
    disk.cpu.asleep = lambda: paper.serve() or paper.called
    disk.read(0)
    assert (disk.cpu.waits, paper.isr) == (1, 1)


@pytest.mark.parametrize("offered", RINGS, ids=ring_name)
def test_while_it_looks_the_device_does_not_call(offered):
    disk, paper = disk_with(offered)
    for at in range(20):
        disk.read(at)
    assert paper.called == 0


def test_what_is_used_before_it_sleeps_needs_no_call():
    """2.7.7.1, 2.7.14: look once more when callbacks are on again."""
    disk, paper = disk_with(interrupts=True)
    paper.lazy = True
    queue = disk.requests.slots.queue
    enable = queue.enable_cb
    queue.enable_cb = lambda: paper.serve() or enable()
    disk.read(0)
    assert (disk.cpu.waits, paper.called) == (0, 0)


def test_a_call_that_never_comes():
    disk, paper = disk_with(interrupts=True)
    paper.lazy = True
    with pytest.raises(BlocksFailed, match="the device does not interrupt"):
        disk.read(0)
    assert disk.cpu.waits == 1
    assert PATIENCE == 1_000_000_000


# -- memory


def test_the_heads_and_the_data_lie_where_the_layout_says():
    disk, paper = disk_with(slots=4, chunk=1024)
    paper.lazy = True
    disk.cpu.asleep = paper.serve
    slots = disk.requests.slots
    taken = slots.submit([BlkType.OUT, BlkType.IN], [7, 9], [512, 1024])
    assert taken.tolist() == [0, 1]
    assert slots.in_flight == 2
    slots.put(taken, [b"\x77" * 512, b""])
    raw = paper.ram.read(slots.heads, 2 * SLOT.itemsize)
    assert raw[:17] == struct.pack("<IIQB", BlkType.OUT, 0, 7, UNANSWERED)
    assert raw[32:49] == struct.pack("<IIQB", BlkType.IN, 0, 9, UNANSWERED)
    assert slots.heads % 32 == 0
    assert slots.data_at(1) - slots.data_at(0) == 1024
    slots.kick()
    paper.serve()
    found = slots.finish()
    assert (found.slots.tolist(), found.status.tolist(), found.wrote.tolist()) == (
        [0, 1],
        [0, 0],
        [1, 1025],
    )
    assert slots.get(found.slots, found.wrote - 1) == [b"", IMAGE[9 * 512 : 11 * 512]]
    slots.release(found.slots)
    assert slots.in_flight == 0
    assert content(paper)[7 * 512 : 8 * 512] == b"\x77" * 512


def test_all_that_is_understood_of_a_block_device_is_named():
    known = {bit.name for bit in BlkFeature}
    assert {BlkFeature(bit).name for bit in BLK_FEATURES} == known - {
        "SCSI",
        "LIFETIME",
        "SECURE_ERASE",
        "ZONED",
    }
