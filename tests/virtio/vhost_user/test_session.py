"""The session, request by request: features, configuration, status."""

from __future__ import annotations

import os
import socket

import numpy as np
import pytest

from tests.virtio.devices import Echo
from tests.virtio.vhost_user.front_end import FrontEnd
from tests.virtio.vhost_user.world import state
from virtlab.backends.disk import Disk
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.features import Feature, from_bits, to_bits
from virtlab.virtio.status import Status
from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.channel import Channel
from virtlab.virtio.vhost_user.layouts import (
    CONFIG,
    CONFIG_MIGRATION,
    LOG_ALL,
    NEED_REPLY,
    PROTOCOL_FEATURES,
    REPLY,
    U64,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.messages import ProtocolError, pack
from virtlab.virtio.vhost_user.session import PROTOCOL

F = ProtocolFeature


def test_the_offer_is_that_of_the_device_and_of_our_queues(make):
    world = make(start=False, device={"features": {7}})
    offered = world.front.offered
    assert offered >= {7, Feature.VERSION_1, Feature.RING_PACKED, PROTOCOL_FEATURES}
    # A doorbell is an eventfd, which says nothing; a ring alone is reset by stopping it.
    assert not offered & {Feature.NOTIFICATION_DATA, Feature.RING_RESET, LOG_ALL}
    assert world.front.extensions == PROTOCOL
    assert F.LOG_SHMFD not in world.front.extensions


def test_what_was_never_offered_is_refused(make):
    world = make(start=False)
    word = to_bits({3, Feature.VERSION_1})
    assert (
        world.fails(Request.SET_FEATURES, pack(U64, word)) == "SET_FEATURES: never offered: bit 3"
    )
    note = world.fails(Request.SET_PROTOCOL_FEATURES, pack(U64, 1 << 60))
    assert "never offered: bits [60]" in note
    assert world.front.extensions == world.back_end.protocol


def test_what_a_feature_needs_is_the_front_ends_business(make):
    """QEMU serves the control queue of a network device itself, and does not tell us of it."""
    world = make(start=False, device={"features": {5, 6}})
    world.device.requires = {5: frozenset({6})}
    world.front.tell(Request.SET_FEATURES, pack(U64, to_bits({5})))
    assert world.back_end.features == {5}


def test_features_do_not_change_while_a_ring_runs(make):
    world = make()
    world.say()
    note = world.fails(Request.SET_FEATURES, pack(U64, to_bits({Feature.VERSION_1})))
    assert "while a ring runs" in note
    assert world.back_end.features == world.driver.features


def test_inband_notifications_need_the_other_two(make):
    """The back-end should close the connection: it has no other way of signalling this error."""
    world = make(start=False)
    world.front.tell(Request.SET_PROTOCOL_FEATURES, pack(U64, 0))
    why = world.ends(
        Request.SET_PROTOCOL_FEATURES, pack(U64, to_bits({F.INBAND_NOTIFICATIONS, F.REPLY_ACK}))
    )
    assert "without BACKEND_REQ" in why


def test_a_request_of_an_extension_that_was_not_agreed_on(make):
    world = make(start=False)
    world.front.send(Request.SET_PROTOCOL_FEATURES, pack(U64, 0))
    assert world.ends(Request.GET_QUEUE_NUM) == "GET_QUEUE_NUM: MQ was not agreed on"


def test_without_reply_ack_a_failure_ends_the_connection(make):
    world = make(start=False)
    world.front.tell(Request.SET_PROTOCOL_FEATURES, pack(U64, 0))
    assert "ring 9, where there are 2" in world.ends(Request.SET_VRING_NUM, state(9, 8))
    assert world.front.loop.back_ends == []


def test_the_flag_counts_only_with_the_extension(make):
    """`need_reply` without REPLY_ACK: nobody answers."""
    world = make(start=False)
    world.front.send(Request.SET_PROTOCOL_FEATURES, pack(U64, 0))
    world.front.send(Request.SET_OWNER, flags=NEED_REPLY)
    world.front.channel.sock.setblocking(False)
    assert world.front.channel.receive() is None


def test_who_has_an_answer_gets_one(make):
    """For what is answered anyway `need_reply` changes nothing: there is one answer."""
    world = make(start=False)
    answer = world.front.ask(Request.GET_QUEUE_NUM, flags=NEED_REPLY)
    assert answer.value == 2
    assert answer.flags == REPLY | 1
    world.front.channel.sock.setblocking(False)
    assert world.front.channel.receive() is None


def test_the_session_is_a_transport_to_the_device(make):
    world = make()
    assert world.device.host is world.back_end
    assert world.back_end.legacy is False
    assert world.back_end.features == world.driver.features
    world.front.close()
    assert world.device.host is None
    world.front.loop.close = world.front.channel.close = lambda: None
    world.front.rings.clear()
    world.front.ram_fd = os.dup(0)


# -- configuration and status


def test_the_configuration_has_the_size_that_is_asked_for(make):
    world = make(start=False)
    for offset, size in ((0, 12), (4, 4), (0, 60), (200, 8)):
        answer = world.front.ask(Request.GET_CONFIG, pack(CONFIG, offset, size, 0) + bytes(size))
        whole = (bytes(range(12)) + bytes(300))[offset : offset + size]
        assert answer.payload == pack(CONFIG, offset, size, 0) + whole


@pytest.mark.parametrize(("size", "sent"), [(300, 256), (8, 4), (4, 8), (1 << 31, 0)])
def test_no_payload_says_that_there_is_nothing_to_read(make, size, sent):
    world = make(start=False)
    answer = world.front.ask(Request.GET_CONFIG, pack(CONFIG, 0, size, 0) + bytes(sent))
    assert answer.payload == b""


def test_only_some_fields_are_written(make):
    world = make(start=False)
    world.front.config_write(4, 4, 0xAABBCCDD)
    assert world.device.config[4:8] == bytes.fromhex("ddccbbaa")
    # What a driver writes to a field for reading is lost, as with any transport.
    world.front.config_write(0, 4, 0xAABBCCDD)
    assert world.device.config[:4] == bytes(range(4))
    assert "for reading only" in world.events[-1].note
    seen = len(world.events)
    world.front.tell(Request.SET_CONFIG, pack(CONFIG, 0, 4, CONFIG_MIGRATION) + bytes(range(4)))
    assert len(world.events) == seen
    assert "beyond" in world.fails(Request.SET_CONFIG, pack(CONFIG, 11, 2, 0) + bytes(2))
    assert "beyond" in world.fails(Request.SET_CONFIG, pack(CONFIG, 0, 8, 0) + bytes(2))


def test_the_status_is_kept_and_zero_resets(make):
    world = make()
    world.say()
    resets = world.device.resets
    world.front.tell(Request.SET_STATUS, pack(U64, 0xF))
    assert world.front.ask(Request.GET_STATUS).value == 0xF
    world.front.tell(Request.SET_STATUS, pack(U64, 0))
    assert world.front.ask(Request.GET_STATUS).value == 0
    assert world.device.resets == resets + 1
    assert not world.back_end.running


def test_needs_reset_goes_away_by_a_reset_alone(make):
    world = make()
    world.front.ram.store(world.driver.queues[0].rings.avail + 2, 2, 500)
    world.front.notify(0, 0)
    world.front.tell(Request.SET_STATUS, pack(U64, 0xF))
    assert world.front.ask(Request.GET_STATUS).value == 0xF | Status.DEVICE_NEEDS_RESET
    world.front.tell(Request.RESET_DEVICE)
    assert world.front.ask(Request.GET_STATUS).value == 0


def test_events_say_what_happened(make):
    world = make()
    world.say(b"hello")
    texts = [str(event) for event in world.events]
    assert texts == [
        "kick ring 0",
        "start ring 0 8 entries",
        "pop ring 0 0:10",
        "push ring 0 0:5",
        "call ring 0",
    ]
    assert world.back_end.statistics.bytes == 10


def test_a_back_end_alone(tmp_path):
    """It needs no loop: whoever has the socket can hand it messages."""
    mine, theirs = socket.socketpair()
    back_end = BackEnd(VirtioBlk(Disk.of(bytes(512))), theirs)
    assert back_end.receive() is False
    Channel(mine).send(Request.GET_FEATURES)
    assert back_end.receive() is True
    assert PROTOCOL_FEATURES in from_bits(int.from_bytes(mine.recv(100)[12:], "little"))
    mine.close()
    with pytest.raises(ProtocolError):
        back_end.receive()
    back_end.close()
    assert np.all(back_end.memory.size == 0)


def test_who_does_not_watch_is_not_told():
    front = FrontEnd(Echo())
    answer = front.ask(Request.SET_VRING_NUM, state(0, 9), (), NEED_REPLY)
    assert answer.value == 1
    front.close()
