"""Our front-end on our back-end in another process: every answer checked, and the whole disk.

Then the back-end is killed, again and again, while requests are in flight. Nothing is lost: each
request is answered, and the disk holds what it must. Nothing is given back twice: the driver would
meet a buffer that it has not given away, or a status that was never written.
"""

import random
import threading

import pytest

from tests.guest.paper_virtio import ring_name
from tests.hosts.vhost_user_process import served
from tests.oracles import storage_daemon
from tests.oracles.virtio_blk_qemu import IMAGE, SECTORS, E, I, Load, P, V
from virtlab.guest.virtio_blk import BLK_FEATURES
from virtlab.virtio.features import Feature

RINGS = [{V}, {V, I, E}, {V, P}, {V, P, I, E}, {V, P, I, E, Feature.IN_ORDER}]


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(IMAGE)
    return path


def started(back_end, ring, device=None, **driver):
    """Our driver on it, with the features `ring` and no others of the ring's."""
    understood = frozenset(ring) | BLK_FEATURES
    driver = {"understood": understood, "chunk": 2048, **driver}
    return storage_daemon.started(back_end, device=device, **driver)


def work(ring, image, count, **driver):
    """Requests of every kind; then the file is what the model says."""
    content = bytearray(IMAGE)
    with (
        served(image, driver.get("queues", 1)) as back_end,
        started(back_end, ring, **driver) as disk,
    ):
        assert disk.virtio.features - BLK_FEATURES == ring
        Load(disk, content, seed=count).run(count)
        disk.write_zeroes(8, 64)
        disk.discard(96, 64)
        content[8 * 512 : 72 * 512] = content[96 * 512 : 160 * 512] = bytes(64 * 512)
        disk.flush()
        assert disk.read(0, SECTORS) == content
        assert not disk.virtio.needs_reset
    assert image.read_bytes() == content


@pytest.mark.parametrize("interrupts", [False, True], ids=["polled", "called"])
@pytest.mark.parametrize("ring", [{V, I, E}, {V, P, I, E}], ids=ring_name)
def test_ten_thousand_requests(ring, interrupts, image):
    work(ring, image, 10_000, interrupts=interrupts)


@pytest.mark.parametrize("ring", RINGS, ids=ring_name)
def test_two_thousand_requests_on_four_queues(ring, image):
    work(ring, image, 2000, interrupts=Feature.RING_EVENT_IDX in ring, queues=4)


def test_a_back_end_that_looks_by_itself(image):
    """It polls for a while after each request, and asks not to be called meanwhile."""
    content = bytearray(IMAGE)
    with served(image, poll_us=200) as back_end, started(back_end, {V, P, I, E}) as disk:
        Load(disk, content, seed=1).run(3000)
        disk.flush()
    assert image.read_bytes() == content


# -- killed


MOMENTS = {
    "taken": ["pop", 1],  # noted, and not served
    "taken again": ["pop", 2],
    "given back": ["push", 1],  # and nobody was told
    "given back again": ["push", 2],
}


@pytest.mark.parametrize(
    ("ring", "interrupts"),
    [({V}, True), ({V, I, E}, False), ({V, P}, False), ({V, P, I, E}, True)],
    ids=["split-called", "split-all-polled", "packed-polled", "packed-all-called"],
)
def test_killed_when_it_has_taken_or_given_back(ring, interrupts, image):
    """Eight back-ends end at the worst moments; the ninth does what is left of it all."""
    content = bytearray(IMAGE)
    moments = [*MOMENTS.values()] * 2
    device = {"reconnects": True, "patience": 60}
    with (
        served(image, moments=moments) as back_end,
        started(back_end, ring, device, interrupts=interrupts) as disk,
    ):
        Load(disk, content, seed=8).run(1000, together=100)
        disk.flush()
        assert disk.read(0, SECTORS) == content
        assert len(back_end.children) - 1 == len(moments)
        # Some end while they are told what the one before knew: that is one loss to us.
        assert 0 < disk.virtio.transport.lost <= len(moments)
        assert back_end.again > 0
        assert not disk.virtio.needs_reset
    assert image.read_bytes() == content


class Killer:
    """Kills the back-end a moment after some of the doorbells: while it works on what they mean.

    The next one is killed after it was born, and the driver has found it: each kill is a loss.
    """

    def __init__(self, back_end, transport, seed):
        self.back_end, self.transport, self.rng = back_end, transport, random.Random(seed)
        self.timers = []
        self._notify = transport.notify
        transport.notify = self.notify

    def notify(self, index, following):
        self._notify(index, following)
        if self.rng.random() < 0.3 and self.settled:
            self.timers.append(threading.Timer(self.rng.uniform(0, 0.004), self.back_end.kill))
            self.timers[-1].start()

    @property
    def settled(self):
        done = not any(timer.is_alive() for timer in self.timers[-1:])
        return done and self.transport.lost == self.back_end.kills == len(self.timers)

    def rest(self):
        self.transport.notify = self._notify
        for timer in self.timers:
            timer.join()


def killed(image, ring, kills, **driver):
    """Random requests until the back-end was killed so often, each time under load."""
    content = bytearray(IMAGE)
    device = {"reconnects": True, "patience": 60}
    with (
        served(image, driver.get("queues", 1)) as back_end,
        started(back_end, ring, device, **driver) as disk,
    ):
        killer = Killer(back_end, disk.virtio.transport, seed=kills)
        load = Load(disk, content, seed=kills)
        for _ in range(50 * kills):
            load.run(200, together=100)
            if back_end.kills >= kills:
                break
        killer.rest()
        load.run(200)
        disk.flush()
        assert disk.read(0, SECTORS) == content
        assert disk.virtio.transport.lost == back_end.kills >= kills
        assert not disk.virtio.needs_reset
        found = back_end.again
    assert image.read_bytes() == content
    return found


@pytest.mark.parametrize("ring", [{V, I, E}, {V, P, I, E}], ids=ring_name)
def test_killed_under_load(ring, image):
    """At any moment, with four queues and with sleep in between."""
    killed(image, ring, 10, queues=4, interrupts=True)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("interrupts", [False, True], ids=["polled", "called"])
@pytest.mark.parametrize("ring", [{V}, {V, I, E}, {V, P}, {V, P, I, E}], ids=ring_name)
def test_killed_a_hundred_times(ring, interrupts, image):
    """So often that some chains were surely in flight, and were done by the next one."""
    assert killed(image, ring, 100, queues=2, interrupts=interrupts) > 0


def test_without_notes_there_is_no_way_back(image):
    with (
        served(image, without=["INFLIGHT_SHMFD"]) as back_end,
        started(back_end, {V}, {"reconnects": True}) as disk,
    ):
        back_end.kill()
        with pytest.raises(ConnectionError, match="nobody knows what it had taken"):
            disk.read(0, 64)


def test_before_it_has_anything_it_may_go_without_notes(image):
    """A back-end that is lost before DRIVER_OK, or after a reset, had nothing of ours."""
    with (
        served(image, without=["INFLIGHT_SHMFD"]) as back_end,
        started(back_end, {V}, {"reconnects": True}) as disk,
    ):
        for _ in range(3):
            back_end.kill()
            disk.start()
            assert disk.read(0, SECTORS) == IMAGE
        assert disk.virtio.transport.lost == 3
        disk.virtio.reset()
        back_end.kill()
        assert disk.virtio.transport.status() == 0


def test_who_does_not_reconnect_is_told(image):
    with served(image) as back_end, started(back_end, {V}) as disk:
        back_end.kill()
        with pytest.raises(ConnectionError, match="hung up between two requests"):
            disk.read(0, 64)
