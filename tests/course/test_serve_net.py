"""``virtlab serve net``: cards on one switch, and a peer whose frames follow their lengths."""

from __future__ import annotations

import select
import socket
import time

import pytest

from tests.course.serve_command import card_at, run, run_with
from tests.descriptors import fd_count
from tests.virtio.net_rig import frame
from virtlab.backends.network import BROADCAST, Link
from virtlab.backends.switch import Switch
from virtlab.course import serve_peer, serve_plug
from virtlab.course.serve_peer import LENGTH, MOST, WAITING, StreamPeer
from virtlab.course.serve_plug import Plug
from virtlab.virtio.net import DEFAULT_MAC
from virtlab.virtio.vhost_user.loop import Loop

SECOND = DEFAULT_MAC[:5] + bytes([DEFAULT_MAC[5] + 1])
OTHER = bytes.fromhex("02aabbccddee")


def packed(*frames):
    return b"".join(len(each).to_bytes(LENGTH, "big") + each for each in frames)


def received(card, count):
    """So many frames that come to a card."""
    found = []
    while len(found) < count:
        packets = card.receive(10**9)
        assert packets, f"{len(found)} of {count} frames came"
        found += [packet.frame for packet in packets]
    return found


class Peer:
    """A program at a socket; one connection."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(10)
        self.sock = None
        self.bytes = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.hang_up()

    def accept(self):
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(10)

    def send(self, data):
        self.sock.sendall(data)

    def frame(self):
        size = int.from_bytes(self._take(LENGTH), "big")
        return self._take(size)

    def _take(self, count):
        while len(self.bytes) < count:
            data = self.sock.recv(65536)
            assert data, "it hung up"
            self.bytes += data
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken

    def hang_up(self):
        if self.sock is not None:
            self.sock.close()


# -- the command


@pytest.mark.parametrize("ring", [[], ["--packed"]], ids=["split", "packed"])
def test_a_card_and_a_peer_exchange_frames(tmp_path, monkeypatch, ring):
    path = tmp_path / "net.sock"
    out = [frame(60 + n, OTHER, DEFAULT_MAC, fill=n) for n in range(30)]
    back = [frame(70 + n, DEFAULT_MAC, OTHER, fill=n) for n in range(30)]
    with Peer(tmp_path / "peer") as peer:

        def client():
            peer.accept()
            with card_at(path) as card:
                assert (card.address, card.link) == (DEFAULT_MAC, True)
                for begin in range(0, 30, 10):
                    card.send(*out[begin : begin + 10])
                    assert [peer.frame() for _ in range(10)] == out[begin : begin + 10]
                    peer.send(packed(*back[begin : begin + 10]))
                    assert received(card, 10) == back[begin : begin + 10]

        words = ("net", "--socket", path, "--peer", tmp_path / "peer", *ring)
        status, _, lines = run_with(monkeypatch, client, *words)
    assert status == 0
    assert lines[:2] == [
        f"{tmp_path / 'peer'}: the peer, port 1",
        f"{path}: a card with address 52:54:00:12:34:56, port 0",
    ]
    assert not path.exists()


def test_cards_of_one_process_are_on_one_switch(tmp_path, monkeypatch):
    one, two = tmp_path / "one.sock", tmp_path / "two.sock"
    mac = bytes.fromhex("5254000000ff")
    next_mac = bytes.fromhex("525400000100")

    def client():
        with card_at(one) as first, card_at(two) as second:
            assert (first.address, second.address) == (mac, next_mac)
            first.send(frame(64, BROADCAST, mac))
            assert received(second, 1) == [frame(64, BROADCAST, mac)]
            second.send(frame(65, mac, next_mac), frame(66, mac, next_mac))
            assert received(first, 2) == [frame(65, mac, next_mac), frame(66, mac, next_mac)]

    words = ("net", "--socket", one, "--socket", two, "--mac", "52:54:00:00:00:ff")
    assert run_with(monkeypatch, client, *words)[0] == 0


def test_two_cards_reach_one_peer_and_each_other(tmp_path, monkeypatch):
    one, two = tmp_path / "one.sock", tmp_path / "two.sock"
    with Peer(tmp_path / "peer") as peer:

        def client():
            peer.accept()
            with card_at(one) as first, card_at(two) as second:
                peer.send(packed(frame(64, BROADCAST, OTHER)))
                assert received(first, 1) == received(second, 1) == [frame(64, BROADCAST, OTHER)]
                second.send(frame(65, OTHER, SECOND))
                assert peer.frame() == frame(65, OTHER, SECOND)
                peer.send(packed(frame(66, SECOND, OTHER)))
                assert received(second, 1) == [frame(66, SECOND, OTHER)]
                first.send(frame(67, SECOND, DEFAULT_MAC))
                assert received(second, 1) == [frame(67, SECOND, DEFAULT_MAC)]

        words = ("net", "--socket", one, "--socket", two, "--peer", tmp_path / "peer")
        assert run_with(monkeypatch, client, *words)[0] == 0


def test_a_peer_that_hangs_up_is_one_line_and_the_cards_go_on(tmp_path, monkeypatch):
    one, two = tmp_path / "one.sock", tmp_path / "two.sock"
    with Peer(tmp_path / "peer") as peer:

        def client():
            peer.accept()
            with card_at(one) as first, card_at(two) as second:
                peer.hang_up()
                for number in range(3):
                    first.send(frame(64 + number, BROADCAST, DEFAULT_MAC))
                assert len(received(second, 3)) == 3

        words = ("net", "--socket", one, "--socket", two, "--peer", tmp_path / "peer")
        status, _, lines = run_with(monkeypatch, client, *words)
    assert status == 0
    gone = [line for line in lines if "gone" in line]
    assert len(gone) == 1
    assert gone[0].startswith(f"{tmp_path / 'peer'}: the peer has gone: ")


def test_a_peer_that_comes_back_is_plugged_in_again(tmp_path, monkeypatch):
    """The cards stay what they are, and frames go both ways as before."""
    monkeypatch.setattr(serve_plug, "AGAIN", 0.01)
    path, where = tmp_path / "net.sock", tmp_path / "peer"
    peers = [Peer(where)]

    def client():
        peers[0].accept()
        with card_at(path) as card:
            peers[0].__exit__()
            where.unlink()
            time.sleep(0.03)  # some tries in vain
            with Peer(where) as peer:
                peer.accept()
                peer.send(packed(frame(65, DEFAULT_MAC, OTHER)))
                assert received(card, 1) == [frame(65, DEFAULT_MAC, OTHER)]
                card.send(frame(64, OTHER, DEFAULT_MAC))
                assert peer.frame() == frame(64, OTHER, DEFAULT_MAC)

    status, _, lines = run_with(monkeypatch, client, "net", "--socket", path, "--peer", where)
    assert status == 0
    told = [line.split(": ")[1] for line in lines if line.startswith(f"{where}: the peer ")]
    assert told[:2] == ["the peer has gone", "the peer is back"]


def test_a_peer_without_room_for_one_more_is_tried_again(tmp_path):
    """Its queue of connections is full: a try is over at once, and leaves nothing open."""
    path = str(tmp_path / "peer")
    switch, loop, said = Switch(1), Loop(), []
    with Peer(path) as peer, socket.socket(socket.AF_UNIX) as waiting:
        plug = Plug(path, switch, 0, loop, said.append)
        peer.accept()
        peer.listener.listen(0)
        waiting.connect(path)
        before = fd_count()
        plug._gone("a test says so")
        plug._try()
        assert fd_count() == before - 2  # the old connection, and its poll object
        assert (len(said), switch.links[0].up) == (1, False)
        peer.hang_up()
        peer.accept()
        plug._try()
        assert (len(said), switch.links[0].up) == (2, True)
        plug.close()
        loop.close()


def test_a_peer_that_is_not_there_is_one_line(tmp_path, capfd):
    missing, path = tmp_path / "nobody", tmp_path / "net.sock"
    assert run("net", "--socket", path, "--peer", missing) == 1
    why = "no peer listens there: No such file or directory"
    assert capfd.readouterr() == ("", f"virtlab serve: {missing}: {why}\n")
    assert not path.exists()


# -- the peer alone


class World:
    """A `StreamPeer` on a cable; we are the program, and whoever is at the other end."""

    def __init__(self):
        self.link = Link()
        ours, theirs = socket.socketpair()
        self.sock = ours
        self.sock.settimeout(10)
        self.reasons, self.heard = [], []
        self.peer = StreamPeer(theirs, self.link.b, self.reasons.append)
        self.link.a.listener = self.heard.append

    @property
    def is_ready(self):
        return bool(select.select([self.peer], [], [], 0)[0])

    def close(self):
        self.sock.close()
        self.peer.close()


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


def test_a_frame_may_come_in_any_pieces(world):
    frames = [frame(60), frame(1514, fill=3), frame(14), frame(900, fill=9)]
    for byte in packed(*frames):
        world.sock.send(bytes([byte]))
        world.peer.ready()
    assert world.heard == frames


def test_many_frames_may_come_at_once(world):
    frames = [frame(60 + n, fill=n) for n in range(100)]
    world.sock.send(packed(*frames))
    world.peer.ready()
    assert world.heard == frames
    assert not world.is_ready
    world.peer.ready()
    assert world.heard == frames


def test_what_is_no_frame_is_dropped_by_the_wire(world):
    long = frame(20_000)
    data = packed(b"", bytes(13), long, frame(60))
    for begin in range(0, len(data), 4096):
        world.sock.send(data[begin : begin + 4096])
        world.peer.ready()
    assert world.heard == [frame(60)]
    assert world.link.b.counts["dropped: size"] == 3


def test_a_length_that_no_frame_has_ends_it_behind_the_frames_before(world):
    world.sock.send(packed(frame(60)) + (MOST + 1).to_bytes(LENGTH, "big"))
    world.peer.ready()
    assert world.reasons == [f"a frame of {MOST + 1} bytes, above {MOST}"]
    assert world.heard == [frame(60)]
    world.link.a.send(frame(60))
    world.peer.ready()
    assert len(world.reasons) == 1


def test_who_hangs_up_in_the_middle_of_a_frame_has_gone(world):
    world.sock.send(packed(frame(60))[:-1])
    world.sock.close()
    for _ in range(3):
        world.peer.ready()
    assert (world.reasons, world.heard) == (["it has hung up"], [])
    assert not world.is_ready


def test_who_does_not_take_his_frames_loses_some_and_keeps_nobody_waiting(world):
    """Each that comes is whole, and in order."""
    sent = 3000
    for number in range(sent):
        world.link.a.send(frame(1500, fill=number % 256) + number.to_bytes(4, "big"))
    assert 0 < world.peer.dropped < sent
    assert world.peer.waiting <= WAITING
    assert not world.is_ready
    numbers, data = [], b""
    deadline = time.monotonic() + 20
    world.sock.settimeout(0.05)
    while len(numbers) < sent - world.peer.dropped and time.monotonic() < deadline:
        data += world.sock.recv(1 << 20)
        if world.is_ready:
            world.peer.ready()
        while len(data) >= LENGTH + 1504:
            assert data[:LENGTH] == (1504).to_bytes(LENGTH, "big")
            numbers.append(int.from_bytes(data[LENGTH + 1500 : LENGTH + 1504], "big"))
            data = data[LENGTH + 1504 :]
    assert len(numbers) == sent - world.peer.dropped
    assert numbers == sorted(set(numbers))
    assert world.peer.waiting == 0
    assert not world.is_ready


@pytest.mark.parametrize("way", ["send", "receive", "flush"])
def test_a_connection_that_breaks_has_gone(world, way, monkeypatch):
    class Broken:
        def fileno(self):
            return world.peer_sock.fileno()

        def recv(self, _):
            raise ConnectionResetError(104, "Connection reset by peer")

        def send(self, _):
            raise BrokenPipeError(32, "Broken pipe")

        def close(self):
            world.peer_sock.close()

    if way == "flush":
        for _ in range(500):
            world.link.a.send(frame(1500))
        assert world.peer.waiting
        world.sock.recv(1 << 20)
    world.peer_sock = world.peer._sock
    monkeypatch.setattr(world.peer, "_sock", Broken())
    if way == "send":
        world.link.a.send(frame(60))
    else:
        world.sock.send(packed(frame(60)))
        world.peer.ready()
    reason = "Connection reset by peer" if way == "receive" else "Broken pipe"
    assert world.reasons == [reason]
    assert not world.peer.open


def test_a_ready_peer_that_has_nothing_keeps_nobody_waiting(world, monkeypatch):
    world.sock.send(packed(frame(60)))
    monkeypatch.setattr(serve_peer, "PIECE", 1 << 18)
    world.peer._receive()
    world.peer._receive()
    assert world.heard == [frame(60)]
    assert not world.reasons


def test_it_leaves_no_descriptor_behind():
    before = fd_count()
    world = World()
    world.close()
    world.peer.close()
    assert fd_count() == before
