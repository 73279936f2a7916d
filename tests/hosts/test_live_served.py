"""A disk in a thread of this process: private, bounded in every wait, gone when it is closed."""

from __future__ import annotations

import socket
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.descriptors import fd_count
from tests.hosts.vhost_user_threads import ROOM, new_cpu
from virtlab.backends.disk import Disk
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.hosts import live_served
from virtlab.hosts.live_record import Recorder
from virtlab.hosts.live_served import ServedDisk
from virtlab.hosts.vhost_user import VhostUserDevice
from virtlab.virtio.features import Feature
from virtlab.virtio.status import DeviceId

IMAGE = bytes(range(256)) * 64


def served(**how):
    return closing(ServedDisk(Disk.of(IMAGE), Recorder(), 8, **how))


class Driver:
    """Our driver, on a machine of its own."""

    def __init__(self, path):
        cpu = new_cpu()
        self.device = VhostUserDevice(str(path), cpu, DeviceId.BLOCK, queue_size=8)
        self.disk = BlkDriver(cpu, self.device, Room(*ROOM), slots=4)
        self.disk.start()

    def __enter__(self):
        return self.disk

    def __exit__(self, *_):
        self.device.close()


def test_what_a_driver_does_is_done_counted_and_on_the_tape():
    with served() as there:
        assert there.statistics.requests == 0
        assert there.shot() is None
        with Driver(there.path) as disk:
            disk.write(1, IMAGE[:512])
            assert disk.read(1, 1) == IMAGE[:512]
            shot = there.shot()
            assert (shot.ring, shot.rings.size, shot.used) == (0, 8, shot.added)
            assert shot.regions == ((0, 0xA0000), (0x10_0000, 8 << 20))
            counts = there.call(lambda: there.statistics)
            assert counts.requests == 2
        # The driver has gone: what it did is still known, and no ring runs.
        assert there.shot() is None
        assert there.statistics.requests == 2
        tape = there.recorder.tape()
    assert len(tape.chains) == 2
    kinds = [event.kind for event in tape.events]
    assert kinds.count("pop") == kinds.count("push") == 2
    assert "start" in kinds
    story = [moment.what.kind if moment.kind == "event" else moment.kind for moment in tape.moments]
    at = story.index("pop")
    assert story[at - 2 : at + 5] == ["kick", "ring", "pop", "ring", "chain", "push", "ring"]


def test_only_the_ring_features_that_were_asked_for_are_offered():
    with served(ring={Feature.VERSION_1}) as there, Driver(there.path) as disk:
        assert Feature.RING_PACKED not in disk.virtio.offered
        assert Feature.RING_EVENT_IDX not in disk.virtio.offered
    with served() as there, Driver(there.path) as disk:
        assert Feature.RING_PACKED in disk.virtio.offered


def test_the_socket_lies_where_nobody_else_can_go():
    with served() as there:
        assert stat.S_IMODE(there.folder.stat().st_mode) == 0o700
        assert there.path.is_socket()
    assert not there.folder.exists()


def test_a_folder_with_a_long_name_is_not_where_the_socket_lies(tmp_path, monkeypatch):
    deep = tmp_path / ("long" * 20)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with served() as there:
        assert there.folder.parent == Path("/tmp")
        with Driver(there.path) as disk:
            assert disk.read(0, 1) == IMAGE[:512]
    assert list(deep.iterdir()) == []


def two_at_once():
    with served() as one, served() as two:
        assert one.path != two.path
        with Driver(one.path) as disk, Driver(two.path) as other:
            disk.write(0, b"\x01" * 512)
            assert other.read(0, 1) == IMAGE[:512]
        one.close()
        assert one.shot() is None
        assert one.call(lambda: 5) == 5
        with Driver(two.path) as disk:
            assert disk.read(0, 1) == IMAGE[:512]


def test_two_at_once_and_the_same_again_leave_nothing_behind():
    before = fd_count(), threading.active_count()
    for _ in range(3):
        two_at_once()
    assert (fd_count(), threading.active_count()) == before


def test_it_is_closed_with_a_driver_at_work():
    before = fd_count()
    with served() as there:
        driver = Driver(there.path)
        there.close()
        assert driver.device.device_id == DeviceId.BLOCK
        driver.device.close()
        del driver
    assert fd_count() == before


def test_what_is_asked_is_asked_in_the_thread_and_its_error_comes_back():
    with served() as there:
        assert there.call(threading.current_thread) is not threading.current_thread()
        with pytest.raises(ZeroDivisionError):
            there.call(lambda: 1 // 0)
        assert there.call(lambda: 5) == 5


def test_a_thread_that_ended_by_itself_says_so(monkeypatch):
    with served() as there:
        there._loop.call(lambda: 1 // 0)
        there._thread.join(5)
        with pytest.raises(RuntimeError, match="has ended") as caught:
            there.call(lambda: 5)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_thread_that_is_busy_for_ever_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(live_served, "PATIENCE", 0.05)
    monkeypatch.setattr(live_served, "TURN", 0.01)
    busy = threading.Event()
    with served() as there:
        there._loop.call(lambda: busy.wait(20))
        with pytest.raises(TimeoutError, match="does not answer"):
            there.call(lambda: 5)
        busy.set()
        monkeypatch.setattr(live_served, "PATIENCE", 20.0)


def test_where_no_socket_can_be_nothing_is_left(monkeypatch):
    before = fd_count(), threading.active_count()

    class Refusing(socket.socket):
        def bind(self, address):
            raise PermissionError(1, "not here")

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(PermissionError):
        served()
    monkeypatch.undo()
    assert (fd_count(), threading.active_count()) == before
