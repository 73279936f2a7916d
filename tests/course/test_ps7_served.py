"""The solution of problem set 7 behind a real socket, and what `serve_linux` makes of it."""

import os
import socket
import struct
import threading
import time
from random import Random
from types import SimpleNamespace

import pytest

from tests.course.answers import right
from tests.descriptors import fd_count
from tests.hosts.vhost_user_threads import new_cpu
from virtlab.backends.disk import SECTOR, Disk
from virtlab.course.given.world import FEATURES
from virtlab.course.ps7 import real
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.hosts.linux import Ran
from virtlab.hosts.live_works import WORKS
from virtlab.hosts.vhost_user import VhostUserDevice
from virtlab.virtio.status import DeviceId
from virtlab.virtio.vhost_user.layouts import Request


class Serving:
    """The solution at a socket, in a thread, as `serve_linux` serves it."""

    def __init__(self, path, disk, names):
        self.disk = disk
        self.server = real.Server(
            path, lambda: names["BackEnd"](disk, b"virtlab"), names["split_stream"], names["reply"]
        )
        self.over = False
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.over:
            self.server.turn(5)

    def __enter__(self):
        self.thread.start()
        return self.server

    def __exit__(self, *_):
        self.over = True
        self.thread.join(20)
        self.server.close()


def drive(path, data, write):
    """Our driver on our front-end: write, flush, and read again."""
    cpu = new_cpu()
    with VhostUserDevice(path, cpu, DeviceId.BLOCK, queue_size=128) as device:
        driver = BlkDriver(cpu, device, Room(0x10_0000, 4 << 20))
        driver.start()
        assert driver.get_id() == "virtlab"
        if write:
            driver.write(100, data)
            driver.flush()
        assert driver.read(100, 40) == data


def serve(path, disk, data):
    """Two sessions, one after the other: the disk stays."""
    with Serving(path, disk, right()) as server:
        drive(path, data, write=True)
        drive(path, data, write=False)
        assert server.kicks > 0
        assert not server.words


def test_the_solution_serves_our_own_driver_over_a_socket(tmp_path):
    before = fd_count()
    disk, data = Disk(1 << 20), Random(1).randbytes(40 * SECTOR)
    serve(str(tmp_path / "disk.sock"), disk, data)
    assert disk.read(100, 40) == data
    assert fd_count() == before


@pytest.mark.parametrize("nonsense", [bytes(12), bytes([3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])])
def test_a_front_end_that_sends_nonsense_is_hung_up_on(tmp_path, nonsense):
    path = str(tmp_path / "disk.sock")
    with Serving(path, Disk(SECTOR), right()), socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.settimeout(10)
        sock.sendall(nonsense)
        assert sock.recv(100) == b""


def test_half_a_message_goes_with_its_sender(tmp_path):
    path, asked = str(tmp_path / "disk.sock"), bytes([1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    with Serving(path, Disk(SECTOR), right()):
        for data, due in ((asked[:5], b""), (asked, asked)):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
                sock.settimeout(10)
                sock.sendall(data)
                if due:
                    assert sock.recv(100)[12:] == struct.pack("<Q", FEATURES)


# -- Linux, and who stands in for it


class Guest:
    """Stands in for a Linux: what it is told, and how each command ends."""

    def __init__(self, devices, image=None, statuses=None):
        self.devices, self.image = devices, image
        self.statuses = statuses or {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, command):
        time.sleep(0.01)
        status = self.statuses.get(command, 0)
        if status == "lost":
            raise ConnectionError("Linux ended before it was done")
        return Ran(status, f"did {command}\n")

    def power_off(self):
        pass


def linux_of(monkeypatch, guest=Guest, names=None):
    """What `serve_linux` gives and says, with a stand-in."""
    names, said = names or right(), []
    monkeypatch.setattr(real, "linux_image", lambda: "an image")
    monkeypatch.setattr(real, "LinuxGuest", guest)
    done = real.serve_linux(names["BackEnd"], names["split_stream"], names["reply"], said.append)
    return done, said


def note_a_loop(server):
    time.sleep(0.001)
    server.words = ["loop"]


def test_linux_is_given_its_works_and_what_it_says_is_said(monkeypatch):
    monkeypatch.setattr(real.Server, "turn", note_a_loop)
    done, said = linux_of(monkeypatch)
    assert done.ok
    assert said.count("the ring is broken: loop; no request is served any more") == 1
    assert done.status == dict.fromkeys(WORKS, 0)
    assert said[0] == "Linux boots"
    assert said[1 + ("broken" in said[1])] == f"# {WORKS['driver']}\ndid {WORKS['driver']}"
    assert repr(done) == "all of it went well: 0 messages, 0 kicks, 0 calls"


def test_a_linux_that_ends_early_is_no_success(monkeypatch):
    statuses = {WORKS["mkfs"]: 1, WORKS["files"]: "lost"}
    guest = lambda devices, image: Guest(devices, image, statuses)  # noqa: E731
    done, said = linux_of(monkeypatch, guest)
    assert not done.ok
    assert done.status == {"driver": 0, "mkfs": 1, "mount": 0, "Linux": 1}
    assert said[-1] == "Linux ended before it was done"
    assert "it ended with" in repr(done)


class Asking(Guest):
    """A stand-in that sends one message, SET_OWNER, and waits for what comes."""

    def run(self, command):
        path = self.devices[1].split("path=")[1].split(",")[0]
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            sock.sendall(bytes([3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]))
            sock.settimeout(10)
            sock.recv(100)
        raise ConnectionError("gone")


@pytest.mark.parametrize(
    ("name", "gives", "said"),
    [
        ("reply", None, "hung up on SET_OWNER (3): reply gives None; QEMU has no disk now"),
        ("split_stream", ([], None), "hung up on a header: split_stream gives None as the rest"),
    ],
)
def test_a_hang_up_ends_it_and_is_said(monkeypatch, name, gives, said):
    names = {**right(), name: lambda *_: gives}
    done, texts = linux_of(monkeypatch, Asking, names)
    assert said in texts[-1]
    assert not done.ok


@pytest.mark.parametrize(
    ("name", "gives", "said"),
    [
        ("reply", "x", "reply gives bytes, or None; yours gave 'x'"),
        ("split_stream", None, r"split_stream gives a tuple \(messages, rest\); yours gave None"),
    ],
)
def test_a_value_of_another_shape_is_named(monkeypatch, name, gives, said):
    with pytest.raises(TypeError, match=said):
        linux_of(monkeypatch, Asking, {**right(), name: lambda *_: gives})


@pytest.mark.parametrize("gives", [None, True, (True,), (True, None), (False, "sleep", 1)])
def test_a_kicked_of_another_shape_is_named(gives):
    server = real.Server.__new__(real.Server)
    server.back_end = SimpleNamespace(kicked=lambda: gives)
    with pytest.raises(TypeError, match=r"kicked gives a tuple \(call, state\); yours gave"):
        server._kicked()


def test_that_nothing_comes_is_said_once(monkeypatch):
    monkeypatch.setattr(real, "QUIET", 0.0)
    monkeypatch.setattr(real.Server, "turn", lambda server: time.sleep(0.002))
    _, said = linux_of(monkeypatch)
    waits = [text for text in said if text.startswith("nothing has come for 0 s")]
    assert waits == [
        "nothing has come for 0 s (messages 0, the last of them none; kicks 0); "
        "you can stop this cell"
    ]


def test_an_error_of_the_students_ends_it_and_is_shown(monkeypatch):
    before = fd_count()
    names = right()
    names["reply"] = lambda *_: 1 // 0
    with pytest.raises(ZeroDivisionError):
        linux_of(monkeypatch, Asking, names)
    end = time.monotonic() + 20
    while fd_count() != before and time.monotonic() < end:
        time.sleep(0.01)  # the stand-in closes its socket in a thread of its own
    assert fd_count() == before


def test_a_ring_that_breaks_is_kept_in_words_and_the_driver_is_called():
    class Broken:
        acked = False

        def __init__(self, disk, name):
            pass

        def kicked(self):
            return True, words.pop()

    words = ["loop", "loop", "more"]
    server = real.Server.__new__(real.Server)
    server.back_end, server.words, server.calls = Broken(None, b""), [], 0
    server.events = {Request.SET_VRING_CALL: os.eventfd(0)}
    server._kicked()
    assert (server.words, server.again) == ([], True)
    server._kicked()
    server._kicked()
    assert (server.words, server.again, server.calls) == (["loop"], False, 3)
    assert os.eventfd_read(server.events[Request.SET_VRING_CALL]) == 3
    os.close(server.events[Request.SET_VRING_CALL])


@pytest.mark.parametrize("what", ["linux_image", "LinuxGuest"])
def test_without_qemu_or_a_kernel_it_says_what_is_missing(monkeypatch, what):
    def missing(*_, **__):
        raise FileNotFoundError("nothing here: sudo apt install something")

    monkeypatch.setattr(real, "linux_image", lambda: "an image")
    monkeypatch.setattr(real, what, missing)
    names, said = right(), []
    done = real.serve_linux(names["BackEnd"], names["split_stream"], names["reply"], said.append)
    assert done is None
    assert said == ["no Linux can be booted here: nothing here: sudo apt install something"]
