"""What is shared beside the memory: notes on chains in flight, and the log of pages."""

from __future__ import annotations

import os

import pytest

from tests.descriptors import fd_count
from tests.virtio.vhost_user.front_end import DATA, memfd
from tests.virtio.vhost_user.world import World
from virtlab.virtio.features import Feature, to_bits
from virtlab.virtio.vhost_user.layouts import (
    INFLIGHT,
    LOG,
    LOG_ALL,
    U64,
    VRING_ADDR,
    VRING_LOG,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.messages import pack

F = ProtocolFeature


def test_notes_of_queues_that_cannot_be(make):
    world = make(start=False)
    ask = lambda *numbers: pack(INFLIGHT, *numbers, 0)  # noqa: E731
    fd = memfd(1 << 20)
    for payload, why in (
        (ask(1 << 20, 0, 3, 8), "3 queues, where there are 2"),
        (ask(1 << 20, 0, 0, 8), "of 0 queues"),
        (ask(1 << 20, 0, 2, 0), "queues of 0"),
        (ask(1 << 20, 0, 2, 0xFFFF), "queues of 65535"),
        (ask(16, 0, 2, 8), "16 bytes for chains in flight, where"),
        (ask(1 << 20, 8, 2, 8), "no page border"),
        (ask(1 << 20, 1 << 63, 2, 8), "no page border"),
        (ask(1 << 20, 1 << 20, 2, 8), "of a file that has"),
    ):
        assert why in world.fails(Request.SET_INFLIGHT_FD, payload, [fd])
    os.close(fd)
    assert "of 0 queues" in world.ends(Request.GET_INFLIGHT_FD, ask(0, 0, 0, 8))


def test_notes_without_the_padding_of_a_compiler(make):
    """The text has 20 bytes, and every implementation in C has 24."""
    world = make(start=False)
    answer = world.front.ask(Request.GET_INFLIGHT_FD, pack(INFLIGHT, 0, 0, 2, 8, 0)[:20])
    assert answer.fields(INFLIGHT)[2:4] == (2, 8)
    with answer:
        world.front.tell(Request.SET_INFLIGHT_FD, answer.payload[:20], answer.fds.lent)


def test_other_notes_while_a_ring_runs(make):
    world = make()
    world.say()
    with world.front.ask(Request.GET_INFLIGHT_FD, pack(INFLIGHT, 0, 0, 2, 16, 0)) as answer:
        note = world.fails(Request.SET_INFLIGHT_FD, answer.payload, answer.fds.lent)
    assert "while a ring runs" in note


def test_notes_that_cannot_be_written(make, tmp_path):
    world = make(start=False)
    path = tmp_path / "notes"
    path.write_bytes(bytes(1 << 16))
    with path.open("rb") as only:
        payload = pack(INFLIGHT, 1 << 16, 0, 2, 16, 0)
        assert "cannot be mapped" in world.fails(Request.SET_INFLIGHT_FD, payload, [only.fileno()])


@pytest.mark.parametrize("without", [{Feature.RING_PACKED}, set()], ids=["split", "packed"])
def test_pages_that_are_written_are_logged(make, without):
    world = make(without, migration=True)
    front = world.front
    assert F.LOG_SHMFD in front.extensions
    assert LOG_ALL in front.offered
    fd = memfd(8192)
    front.ask(Request.SET_LOG_BASE, pack(LOG, 4096, 4096), [fd])
    front.tell(Request.SET_LOG_FD)
    log = lambda: {  # noqa: E731
        8 * at + bit
        for at, byte in enumerate(os.pread(fd, 4096, 4096))
        for bit in range(8)
        if byte >> bit & 1
    }
    world.say()
    assert world.heard() == b"hello"
    # The log is there, but nobody has asked for it.
    assert log() == set()
    word = to_bits(world.back_end.accepted | {LOG_ALL})
    front.tell(Request.SET_FEATURES, pack(U64, word))
    place = [front.user(area) for area in front.rings[0].areas]
    used = front.rings[0].areas[2]
    front.tell(
        Request.SET_VRING_ADDR, pack(VRING_ADDR, 0, VRING_LOG, place[0], place[2], place[1], used)
    )
    world.say()
    assert world.heard() == b"hello"
    assert log() == {(DATA + 4096) // 4096, used // 4096}
    os.pwrite(fd, bytes(4096), 4096)
    # Many at once, and a buffer over a page border.
    queue = world.driver.queues[0]
    for number in range(7):
        gpa = DATA + 0x4000 + 4096 * number
        queue.add_buf([(DATA, 4)], [(gpa + 4000, 200)], number)
    queue.kick()
    pages = {(DATA + 0x4000) // 4096 + number for number in range(8)}
    assert pages <= log() | {(DATA + 0x4000) // 4096 + 7}
    assert (used // 4096) in log()
    front.tell(Request.SET_FEATURES, pack(U64, word & ~(1 << LOG_ALL)))
    os.pwrite(fd, bytes(4096), 4096)
    while queue.get_buf():
        continue
    world.say()
    assert log() == set()
    os.close(fd)


def test_a_log_that_cannot_be(make):
    world = make(start=False, migration=True)
    fd = memfd(4096)
    assert "the most" in world.ends(Request.SET_LOG_BASE, pack(LOG, 0, 0), [fd])
    os.close(fd)


def test_a_connection_leaves_nothing_behind():
    before = fd_count()
    world = World(inflight=True)
    world.say()
    back_end = world.back_end
    world.front.loop.close()
    assert back_end.memory.size == 0
    assert not back_end.running
    assert all(ring.kick.fd is ring.call.fd is ring.err.fd is None for ring in back_end.rings)
    world.front.loop.close = lambda: None
    world.front.close()
    assert fd_count() == before


def give_notes(world, queues, size=16):
    """The front-end hands over notes on so many queues."""
    with world.front.ask(Request.GET_INFLIGHT_FD, pack(INFLIGHT, 0, 0, queues, size, 0)) as answer:
        world.front.tell(Request.SET_INFLIGHT_FD, answer.payload, answer.fds.lent)


def test_notes_of_another_layout_or_on_fewer_rings(make):
    world = make()
    give_notes(world, 1)
    world.front.notify(1, 0)
    assert "ring 1, and notes on 1 rings, split ones" in world.events[-1].note
    world.front.notify(0, 0)
    assert world.back_end.rings[0].queue is not None
    world.front.stop_ring(0)
    word = to_bits(world.back_end.accepted | {Feature.RING_PACKED})
    world.front.tell(Request.SET_FEATURES, pack(U64, word))
    world.front.notify(0, 0)
    assert "ring 0, and notes on 1 rings, split ones" in world.events[-1].note


def test_notes_on_more_queues_than_there_are(make):
    world = make(start=False)
    why = world.ends(Request.GET_INFLIGHT_FD, pack(INFLIGHT, 0, 0, 3, 16, 0))
    assert "3 queues, where there are 2" in why
