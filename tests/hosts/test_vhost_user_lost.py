"""A back-end that is lost, and the one that comes after it: what it is told, and when not."""

import os
import time

import pytest

from tests.hosts.vhost_user_threads import (
    BEGIN,
    EVERYTHING,
    GO,
    NOTES,
    REPLY_ACK,
    ROOM,
    Paper,
    device,
    hang_up,
    live,
    new_cpu,
    once,
    say_nothing,
)
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import VirtioDriver
from virtlab.hosts.vhost_user_link import Refused
from virtlab.virtio.features import Feature
from virtlab.virtio.packed_layouts import PackedRings
from virtlab.virtio.status import Interrupt
from virtlab.virtio.vhost_user.layouts import (
    VRING_STATE,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.messages import pack

F = ProtocolFeature


def again(log):
    """What was said after the last time that somebody connected."""
    return log[len(log) - log[::-1].index("GET_FEATURES") - 1 :]


@pytest.mark.parametrize("packed", [False, True])
def test_who_comes_after_is_told_the_same(packed, path):
    """With the same notes, the ring where the used index says, and both bells rung."""
    cpu = new_cpu()
    features = {Feature.RING_PACKED} if packed else set()
    with Paper(path, dict(NOTES), EVERYTHING, features) as paper:
        paper.answers[Request.GET_CONFIG] = once(
            hang_up, lambda channel, m: channel.reply(m.request, paper.on_GET_CONFIG(m))
        )
        with device(path, cpu, reconnects=True) as transport:
            ring = live(transport, queues=2, packed=packed).queues[0].rings
            if isinstance(ring, PackedRings):
                base = 0x8000_8000
            else:
                base = 5
                cpu.store(ring.used_field("idx"), base, 2)
            assert transport.config_read(0, 4) == 0x03020100
            assert transport.lost == 1
            assert transport.generation() == 1  # the configuration may be another one
            assert again(paper.log) == [*BEGIN, "SET_FEATURES", *GO, "GET_CONFIG"]
            assert paper.notes[0] == paper.notes[1]
            bases = [m for name, m in paper.messages if name == "SET_VRING_BASE"]
            assert bases[2] == pack(VRING_STATE, 0, base)
            assert os.eventfd_read(paper.kicks[0]) == 1
            assert {cpu.wait(), cpu.wait()} == {1, 2}
            assert transport.interrupts() == Interrupt.QUEUE


def test_a_processor_that_waits_meets_the_next_one(path):
    cpu = new_cpu()
    answers = {Request.SET_OWNER: once(hang_up)}
    with Paper(path, answers, {F.CONFIG}) as paper, device(path, cpu, reconnects=True) as transport:
        cpu.wait()
        assert transport.lost == 1
        live(transport)
    begin = ["GET_FEATURES", "GET_PROTOCOL_FEATURES", "SET_PROTOCOL_FEATURES", "SET_OWNER"]
    assert paper.log[:9] == [*begin, *begin, "SET_FEATURES"]


def test_before_the_driver_begins_there_is_nothing_to_tell(path):
    with (
        Paper(path, {Request.GET_CONFIG: once(hang_up, say_nothing)}, {F.CONFIG}),
        device(path, reconnects=True, patience=0.2) as transport,
        pytest.raises(ConnectionError, match="GET_CONFIG: no answer"),
    ):
        transport.config_read(0, 1)
    assert transport.lost == 2  # it is asked three times, and no more


def test_lost_at_a_reset(path):
    """It has nothing of ours any more: the driver begins anew, even if less is offered."""
    with Paper(path, protocol={F.CONFIG}, features={5}) as paper:
        paper.answers[Request.GET_VRING_BASE] = once(
            hang_up, lambda channel, m: channel.reply(m.request, pack(VRING_STATE, 0, 0))
        )
        with device(path, reconnects=True) as transport:
            driver = live(transport, understood={5})
            assert driver.features == {Feature.VERSION_1, 5}
            paper.features -= {5}
            driver.reset()
            assert transport.lost == 1
            assert live(transport, understood={5}).features == {Feature.VERSION_1}


def test_lost_while_it_is_told(path):
    """At DRIVER_OK nothing was taken yet, so another one may be told."""
    answers = {Request.SET_VRING_ADDR: once(hang_up)}
    with Paper(path, answers, REPLY_ACK) as paper, device(path, reconnects=True) as transport:
        live(transport)
        assert transport.lost == 1
        assert paper.log.count("SET_VRING_ENABLE") == 1


def test_who_comes_after_must_offer_as_much(path):
    first = {Request.GET_CONFIG: hang_up}
    with Paper(path, first, {F.CONFIG}, {5}) as paper, device(path, reconnects=True) as transport:
        driver = VirtioDriver(transport.cpu, transport, Room(*ROOM))
        driver.begin()
        driver.negotiate({Feature.VERSION_1, 5})
        paper.features -= {5}
        with pytest.raises(Refused, match="GET_FEATURES: the back-end came back without bit 5"):
            transport.config_read(0, 1)


def test_who_comes_after_must_know_notes(path):
    answers = {**NOTES, Request.GET_CONFIG: hang_up}
    with Paper(path, answers, EVERYTHING) as paper, device(path, reconnects=True) as transport:
        live(transport)
        paper.protocol -= {F.INFLIGHT_SHMFD}
        with pytest.raises(Refused, match="the back-end came back without INFLIGHT_SHMFD"):
            transport.config_read(0, 1)


def test_without_notes_nobody_knows_what_it_had(path):
    with Paper(path, {Request.GET_CONFIG: hang_up}, {F.CONFIG}):
        with device(path, reconnects=True) as transport:
            live(transport)
            with pytest.raises(ConnectionError, match=r"^GET_CONFIG: .* without INFLIGHT_SHMFD"):
                transport.config_read(0, 1)
        with device(path) as transport, pytest.raises(ConnectionError, match=r"^GET_CONFIG: "):
            transport.config_read(0, 1)


def test_no_other_comes(path):
    with Paper(path, {Request.GET_CONFIG: hang_up}, {F.CONFIG}) as paper:
        transport = device(path, reconnects=True, patience=0.05)
        paper.leave()
        os.unlink(path)
        began = time.monotonic()
        with pytest.raises(
            ConnectionError, match=r"^GET_CONFIG: .*; and no other came: no back-end"
        ):
            transport.config_read(0, 1)
        assert time.monotonic() - began >= 0.05
        transport.close()
