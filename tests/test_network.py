"""The Ethernet backend: a wire, a learning switch, a capture."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.backends.capture import Capture, Captured
from virtlab.backends.network import MAX_FRAME, QUEUE, Link, is_group
from virtlab.backends.switch import AGEING_TIME, Switch
from virtlab.clock import SECOND, Clock

A, B, C = (bytes([2, 0, 0, 0, 0, n]) for n in (1, 2, 3))
BROADCAST, GROUP = b"\xff" * 6, bytes.fromhex("01005e000001")


def frame(to, source, body=b"hello"):
    """A frame from `source` to `to`."""
    return to + source + b"\x88\xb5" + body


# -- a wire


@pytest.fixture
def link():
    made = Link("cable")
    made.heard = {"a": [], "b": []}
    made.a.listener = made.heard["a"].append
    made.b.listener = made.heard["b"].append
    return made


def test_what_one_end_sends_the_other_hears(link):
    assert link.a.send(frame(B, A))
    assert link.b.send(frame(A, B))
    assert link.heard == {"a": [frame(A, B)], "b": [frame(B, A)]}
    assert link.a.counts == {"sent": 1, "received": 1}


def test_a_frame_is_a_copy(link):
    data = bytearray(frame(B, A))
    link.a.send(data)
    data[0] ^= 0xFF
    assert link.heard["b"] == [frame(B, A)]


@pytest.mark.parametrize(
    ("length", "passes"), [(13, False), (14, True), (MAX_FRAME, True), (MAX_FRAME + 1, False)]
)
def test_a_frame_has_a_header_and_a_largest_size(link, length, passes):
    assert link.a.send(bytes(length)) == passes
    assert link.a.counts == {"sent" if passes else "dropped: size": 1}


def test_where_nobody_listens_a_frame_is_dropped_and_counted():
    link = Link()
    assert link.a.send(frame(B, A))
    assert link.b.counts == {"dropped: nobody": 1}


def test_both_ends_hear_that_the_cable_was_pulled(link):
    news = []
    link.a.link_listener = lambda up: news.append(("a", up))
    link.b.link_listener = lambda up: news.append(("b", up))
    link.set_up(False)
    link.set_up(False)
    assert not link.a.send(frame(B, A))
    assert link.a.counts == {"dropped: no link": 1}
    assert repr(link.a) == "LinkEnd('cable.a', down)"
    link.set_up(True)
    assert link.a.send(frame(B, A))
    assert news == [("a", False), ("b", False), ("a", True), ("b", True)]
    assert repr(link.a) == "LinkEnd('cable.a', up)"


def test_two_ends_that_answer_each_other_do_not_nest():
    """Ping-pong of a thousand frames at a depth of one, in order."""
    link, depth, seen = Link(), [0], []

    def answer(end):
        def listen(data):
            depth[0] += 1
            assert depth[0] == 1
            seen.append(data[14])
            if len(seen) < 1000:
                end.send(frame(B, A, bytes([len(seen) % 256])))
            depth[0] -= 1

        return listen

    link.a.listener, link.b.listener = answer(link.a), answer(link.b)
    link.a.send(frame(B, A, b"\0"))
    assert seen == [n % 256 for n in range(1000)]


def test_the_queue_is_bounded():
    """A listener that sends ever more frames than it hears fills the wire, and no more."""
    link, heard = Link(queue=10), []

    def multiply(data):
        heard.append(data)
        if len(heard) < 50:
            for _ in range(3):
                link.b.send(data)

    link.a.listener = lambda data: link.a.send(data)
    link.b.listener = multiply
    link.a.send(frame(B, A))
    assert link.b.counts["dropped: full"] > 50
    assert len(heard) < 300
    assert not link.full


def test_the_queue_has_256_frames():
    link = Link()
    link.b.listener = lambda data: [link.b.send(data) for _ in range(QUEUE + 5)]
    link.a.listener = lambda data: None
    link.a.send(frame(B, A))
    assert link.b.counts == {"received": 1, "sent": QUEUE, "dropped: full": 5}


def test_what_waits_in_a_cable_that_is_pulled_is_lost():
    link, heard = Link(), []
    link.a.listener = heard.append

    def pull(data):
        link.b.send(data)
        link.set_up(False)

    link.b.listener = pull
    link.a.send(frame(B, A))
    assert heard == []


def test_a_listener_that_fails_does_not_block_the_wire(link):
    """An error of a listener is its caller's; the wire works on."""

    def fail(data):
        raise RuntimeError("a bug of the listener")

    link.b.listener = fail
    with pytest.raises(RuntimeError, match="a bug"):
        link.a.send(frame(B, A))
    link.b.listener = link.heard["b"].append
    link.a.send(frame(B, A))
    assert link.heard["b"] == [frame(B, A)]


# -- a switch


class Stations:
    """A switch with a listener at each port."""

    def __init__(self, ports=3, **options):
        self.clock = Clock()
        self.switch = Switch(ports, self.clock, **options)
        self.heard = [[] for _ in range(ports)]
        for port, heard in zip(self.switch.ports, self.heard, strict=True):
            port.listener = heard.append

    def send(self, port, to, source):
        """Which ports hear a frame that comes in at `port`."""
        for heard in self.heard:
            heard.clear()
        self.switch.ports[port].send(frame(to, source))
        return [number for number, heard in enumerate(self.heard) if heard]


def test_a_switch_learns():
    """802.1D 7.8: it floods what it does not know, and learns from every source."""
    stations = Stations()
    assert stations.send(0, B, A) == [1, 2]
    assert stations.send(1, A, B) == [0]
    assert stations.send(0, B, A) == [1]
    assert stations.switch.counts == {"flooded": 1, "forwarded": 2}


def test_group_addresses_are_flooded_and_never_learnt():
    stations = Stations()
    assert stations.send(0, BROADCAST, A) == [1, 2]
    assert stations.send(1, C, GROUP) == [0, 2]
    assert stations.send(0, GROUP, A) == [1, 2]
    assert list(stations.switch.table) == [A]
    assert is_group(GROUP)
    assert not is_group(A)


def test_what_is_behind_the_port_it_came_from_is_filtered():
    stations = Stations()
    stations.send(0, BROADCAST, A)
    assert stations.send(0, A, B) == []
    assert stations.switch.counts["filtered"] == 1


def test_a_station_that_moves_is_found_again():
    stations = Stations()
    stations.send(0, BROADCAST, A)
    stations.send(2, BROADCAST, A)
    assert stations.send(1, A, B) == [2]


def test_an_address_is_forgotten_after_its_time():
    stations = Stations()
    stations.send(0, BROADCAST, A)
    stations.clock.advance(AGEING_TIME - 1)
    assert stations.send(1, A, B) == [0]
    stations.clock.advance(1)
    assert stations.send(1, A, B) == [0, 2]
    assert A not in stations.switch.table


def test_a_frame_renews_the_address():
    stations = Stations()
    stations.send(0, BROADCAST, A)
    stations.clock.advance(AGEING_TIME - 1)
    stations.send(0, BROADCAST, A)
    stations.clock.advance(AGEING_TIME - 1)
    assert stations.send(1, A, B) == [0]


def test_a_switch_without_a_clock_never_forgets():
    switch = Switch(2)
    switch.learn(A, 1)
    assert switch.now == 0
    assert switch.where(A) == 1


def test_the_table_is_bounded_and_the_oldest_goes():
    stations = Stations(addresses=2)
    stations.send(0, BROADCAST, A)
    stations.send(1, BROADCAST, B)
    stations.send(0, BROADCAST, A)
    stations.send(2, BROADCAST, C)
    assert list(stations.switch.table) == [A, C]


def test_a_pulled_cable_forgets_its_stations():
    stations = Stations()
    stations.send(0, BROADCAST, A)
    stations.send(1, BROADCAST, B)
    stations.switch.links[0].set_up(False)
    assert list(stations.switch.table) == [B]
    stations.switch.links[0].set_up(True)
    assert list(stations.switch.table) == [B]


@pytest.mark.parametrize(("ports", "addresses"), [(0, 1), (1, 0)])
def test_a_switch_has_ports_and_addresses(ports, addresses):
    with pytest.raises(ValueError, match="has ports and addresses"):
        Switch(ports, addresses=addresses)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 5)), max_size=60))
def test_a_switch_delivers_to_whoever_was_seen_last(sends):
    """Against a dictionary: the port where an address sent last, or everywhere else."""
    stations, last = Stations(4), {}
    for port, to, source in sends:
        last[source] = port
        expected = {0, 1, 2, 3} - {port} if to not in last else {last[to]} - {port}
        heard = stations.send(port, bytes([2, 0, 0, 0, 0, to]), bytes([2, 0, 0, 0, 0, source]))
        assert set(heard) == expected


# -- a capture


def parse(data):
    """A reader of capture files (draft-ietf-opsawg-pcap): nanoseconds, bytes, whole frames."""
    magic, major, minor, _, _, snapshot, network = struct.unpack_from("<IHHIIII", data)
    assert (magic, major, minor, snapshot, network) == (0xA1B23C4D, 2, 4, MAX_FRAME, 1)
    at, frames = 24, []
    while at < len(data):
        seconds, nanoseconds, kept, length = struct.unpack_from("<IIII", data, at)
        assert kept == length
        frames.append((seconds * SECOND + nanoseconds, data[at + 16 : at + 16 + kept]))
        at += 16 + kept
    return frames


def test_a_capture_keeps_what_passes(link, tmp_path):
    clock = Clock()
    capture = Capture(clock).watch(link)
    link.a.send(frame(B, A))
    clock.advance(3 * SECOND + 7)
    link.b.send(frame(A, B, b"an answer"))
    assert capture.frames == [
        Captured(0, "cable.a", frame(B, A)),
        Captured(3 * SECOND + 7, "cable.b", frame(A, B, b"an answer")),
    ]
    capture.save(tmp_path / "wire.pcap")
    assert parse((tmp_path / "wire.pcap").read_bytes()) == [
        (0, frame(B, A)),
        (3 * SECOND + 7, frame(A, B, b"an answer")),
    ]


def test_an_empty_capture_is_a_file_too():
    assert parse(Capture().pcap()) == []


def test_a_capture_is_bounded(link):
    capture = Capture(limit=40).watch(link)
    for _ in range(3):
        link.a.send(frame(B, A))
    assert (len(capture.frames), capture.dropped) == (2, 1)


def test_what_is_not_sent_is_not_captured(link):
    capture = Capture().watch(link)
    link.a.send(b"short")
    link.set_up(False)
    link.a.send(frame(B, A))
    assert capture.frames == []


def test_one_capture_may_watch_several_cables():
    switch = Switch(2)
    capture = Capture()
    for cable in switch.links:
        capture.watch(cable)
    switch.ports[1].listener = lambda data: None
    switch.ports[0].send(frame(BROADCAST, A))
    assert [each.sender for each in capture.frames] == ["port0.a", "port1.b"]
