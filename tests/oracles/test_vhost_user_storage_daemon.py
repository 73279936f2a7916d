"""QEMU's storage daemon as the back-end of our front-end: every answer checked, and the whole disk.

It has split rings only, and calls more often than it has news: what counts is the used index.
"""

import pytest

from tests.needs import needs_daemon
from tests.oracles.storage_daemon import RAM, daemon, started
from tests.oracles.virtio_blk_qemu import IMAGE, SECTORS, E, I, Load, V
from virtlab.guest.calls import BlocksFailed
from virtlab.guest.virtio_blk import BLK_FEATURES
from virtlab.guest.virtio_blk_queue import Request as Wish
from virtlab.virtio.blk_layouts import SECTOR, BlkFeature, BlkStatus, BlkType
from virtlab.virtio.features import Feature
from virtlab.virtio.status import Interrupt
from virtlab.virtio.vhost_user.layouts import CONFIG, ProtocolFeature, Request
from virtlab.virtio.vhost_user.messages import pack


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(IMAGE)
    return path


RINGS = {
    "plain": {V},
    "indirect": {V, I},
    "event-idx": {V, E},
    "all": {V, I, E},
}


@needs_daemon
@pytest.mark.parametrize("queues", [1, 4])
@pytest.mark.parametrize("interrupts", [False, True], ids=["polled", "called"])
@pytest.mark.parametrize("ring", RINGS.values(), ids=RINGS)
def test_ten_thousand_requests(ring, interrupts, queues, image):
    """Each answer is what a model of the disk says, and at the end the file is."""
    content = bytearray(IMAGE)
    understood = frozenset(ring) | BLK_FEATURES
    driver = {"chunk": 2048, "queues": queues, "interrupts": interrupts}
    with daemon(image, queues) as served, started(served, understood=understood, **driver) as disk:
        assert disk.virtio.features >= ring
        assert not (frozenset(RINGS["all"]) - ring) & disk.virtio.features
        assert len(disk.virtio.queues) == queues
        load = Load(disk, content, seed=10_000 + queues)
        load.run(10_000)
        disk.flush()
        assert load.count == 10_000
        assert not disk.virtio.needs_reset
        assert disk.read(0, SECTORS) == content
    assert image.read_bytes() == content


def zeroed(content, sector, count):
    """What the disk holds after `count` sectors were zeroed."""
    content[sector * SECTOR : (sector + count) * SECTOR] = bytes(count * SECTOR)


@needs_daemon
def test_zeroes_and_discards_among_other_requests(image):
    """A thousand rounds; what was given up is not looked at until it is written again (5.2.6)."""
    content = bytearray(IMAGE)
    with daemon(image) as served, started(served, chunk=4096) as disk:
        assert {BlkFeature.DISCARD, BlkFeature.WRITE_ZEROES} <= disk.virtio.features
        load = Load(disk, content, seed=7)
        for number in range(250):
            load.run(4)
            sector, count = load.rng.randrange(SECTORS - 64), load.rng.randint(1, 64)
            if number % 2:
                disk.write_zeroes(sector, count)
                zeroed(content, sector, count)
            else:
                disk.discard(sector, count)
                fresh = load.rng.randbytes(count * SECTOR)
                disk.write(sector, fresh)
                content[sector * SECTOR : (sector + count) * SECTOR] = fresh
        disk.flush()
        assert disk.read(0, SECTORS) == content
    assert image.read_bytes() == content


@needs_daemon
def test_a_request_in_many_pieces(image):
    """16 pieces of data: a chain of 18 descriptors, or a table of 18."""
    with daemon(image) as served:
        for ring in (RINGS["plain"], RINGS["all"]):
            understood = frozenset(ring) | BLK_FEATURES
            with started(served, chunk=8192, piece=512, understood=understood) as disk:
                content = bytearray(image.read_bytes())
                Load(disk, content, seed=3).run(600)
                assert disk.read(0, SECTORS) == content


# -- what is agreed on


@needs_daemon
def test_what_it_offers(image):
    with daemon(image, queues=4) as served, started(served) as disk:
        session = disk.virtio.transport.session
        assert session.queues == 4
        known = {ProtocolFeature.MQ, ProtocolFeature.REPLY_ACK, ProtocolFeature.BACKEND_REQ}
        assert session.protocol >= known | {ProtocolFeature.CONFIG}
        assert Feature.RING_PACKED not in disk.virtio.offered
        assert {30, 26} <= session.offered
        assert not {30, 26} & disk.virtio.offered  # these are no driver's
        assert disk.get_id() == "vhost_user_blk"
        assert disk.config["capacity"] == SECTORS
        assert disk.config["num_queues"] == 4


@needs_daemon
@pytest.mark.parametrize("left_out", ["REPLY_ACK", "MQ", "BACKEND_REQ"])
def test_an_extension_can_be_done_without(left_out, image):
    protocol = set(ProtocolFeature) - {ProtocolFeature[left_out]}
    with daemon(image) as served, started(served, device={"protocol": protocol}) as disk:
        assert ProtocolFeature[left_out] not in disk.virtio.transport.session.protocol
        assert disk.read(0, SECTORS) == IMAGE


@needs_daemon
@pytest.mark.parametrize("count", [1, 8])
def test_memory_in_one_region_or_eight(count, image):
    """As many regions as a message may have; rings and buffers lie in the second of them."""
    pages = [(number << 28, 16 << 12) for number in range(2, count)]
    ram = RAM[1:] if count == 1 else [*RAM, *pages]
    with daemon(image) as served, started(served, ram=ram) as disk:
        assert len(disk.cpu.ram.shapes) == count
        assert disk.read(0, SECTORS) == IMAGE


@needs_daemon
def test_the_cache_can_be_switched(image):
    with daemon(image) as served, started(served) as disk:
        before = disk.config["writeback"]
        disk.virtio.transport.config_write(32, 1, 1 - before)
        assert disk.refresh()["writeback"] == 1 - before


@needs_daemon
def test_a_disk_that_cannot_be_written(image):
    with daemon(image, writable=False) as served, started(served) as disk:
        assert disk.read_only
        with pytest.raises(BlocksFailed, match="IOERR"):
            disk.write(0, bytes(SECTOR))
        assert disk.read(0) == IMAGE[:SECTOR]
    assert image.read_bytes() == IMAGE


@needs_daemon
def test_what_it_refuses(image):
    """Past the end is IOERR; what it does not know is UNSUPP (5.2.6)."""
    with daemon(image) as served, started(served) as disk:
        asked = [Wish(BlkType.OUT, SECTORS, bytes(512)), Wish(99, 0, bytes(512))]
        statuses = [answer.status for answer in disk.run(asked)]
        assert statuses == [BlkStatus.IOERR, BlkStatus.UNSUPP]


# -- where it differs from the text


@needs_daemon
def test_it_knows_no_offset(image):
    """vhost-user.rst, GET_CONFIG: an offset belongs to the request. It always begins at byte 0."""
    with daemon(image) as served, started(served) as disk:
        session = disk.virtio.transport.session
        with session.ask(Request.GET_CONFIG, pack(CONFIG, 20, 4, 0) + bytes(4)) as answer:
            assert answer.payload == pack(CONFIG, 20, 4, 0) + SECTORS.to_bytes(4, "little")
        assert disk.config["blk_size"] == SECTOR  # which is what lies at byte 20


@needs_daemon
def test_it_calls_before_anything_was_used(image):
    """One event for each ring that it is told of: so the used index is what counts (2.7.7.1)."""
    with daemon(image) as served, started(served) as disk:
        rings = disk.requests.slots.queue.rings
        assert disk.virtio.transport.interrupts() == Interrupt.QUEUE
        assert disk.cpu.load(rings.used_field("idx"), 2) == 0
        assert disk.read(0, SECTORS) == IMAGE


# -- one connection after another, one driver after another


@needs_daemon
def test_a_driver_begins_anew(image):
    """A reset stops each ring; a start tells everything again, with other features and queues."""
    with daemon(image, queues=4) as served, started(served) as disk:
        for queues, ring in ((4, RINGS["all"]), (1, RINGS["plain"]), (2, RINGS["indirect"])):
            disk.wanted, disk.understood = queues, frozenset(ring) | BLK_FEATURES
            disk.start()
            assert len(disk.virtio.queues) == queues
            assert disk.read(0, SECTORS) == IMAGE
        disk.virtio.reset()
        assert disk.virtio.transport.status() == 0


@needs_daemon
def test_connections_follow_each_other(image):
    with daemon(image) as served:
        for number in range(20):
            with started(served) as disk:
                disk.write(number, bytes([number]) * SECTOR)
    for number in range(20):
        assert (
            image.read_bytes()[number * SECTOR : (number + 1) * SECTOR] == bytes([number]) * SECTOR
        )


@needs_daemon
def test_a_daemon_that_ends_is_an_error(image):
    """Requests wait, and nobody answers; the error says so at once, not after a long time."""
    with daemon(image) as served, started(served) as disk:
        served.kill()
        with pytest.raises(ConnectionError, match="hung up between two requests"):
            disk.read(0, SECTORS)
        with pytest.raises(ConnectionError, match="GET_CONFIG"):
            disk.refresh()
    assert image.read_bytes() == IMAGE
