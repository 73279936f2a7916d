"""A back-end as a transport: what a driver does, and which messages come of it."""

import os
import socket

import pytest

from tests.descriptors import fd_count
from tests.hosts.vhost_user_threads import (
    ALONE,
    BEGIN,
    EVERYTHING,
    GO,
    NOTES,
    REPLY_ACK,
    Paper,
    device,
    live,
    new_cpu,
    refuse,
)
from virtlab.guest.virtio_transport import Transport, VirtioFailed
from virtlab.hosts.vhost_user_session import MESSAGES
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.status import Interrupt, Status
from virtlab.virtio.vhost_user.layouts import (
    CONFIG,
    MEMORY,
    NEED_REPLY,
    REGION,
    U64,
    VRING_ADDR,
    VRING_STATE,
    BackEndRequest,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.messages import pack

F = ProtocolFeature


# -- which messages, in which order


def test_the_messages_for_a_back_end_without_extensions(path):
    with Paper(path) as paper, device(path) as transport:
        live(transport).reset()
    assert paper.log == ALONE


def test_the_messages_with_all_extensions(path):
    """QEMU's order: features, notes on chains, memory, rings; each ring is enabled at its end."""
    with Paper(path, dict(NOTES), EVERYTHING) as paper:
        with device(path) as transport:
            live(transport, queues=2).reset()
        begin = [*BEGIN, "RESET_DEVICE", "SET_FEATURES", "GET_INFLIGHT_FD", *GO]
        end = [*2 * ["SET_VRING_ENABLE", "GET_VRING_BASE"], "RESET_DEVICE", "RESET_DEVICE"]
        assert paper.log == begin + end


def test_the_status_is_told_and_asked_for(path):
    with Paper(path, protocol={F.STATUS}) as paper:
        paper.on_GET_STATUS = lambda message: pack(U64, 0x40 | Status.FEATURES_OK)
        with device(path) as transport:
            transport.set_status(Status.ACKNOWLEDGE)
            transport.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
            assert transport.status() == Status.DEVICE_NEEDS_RESET | Status.FEATURES_OK
    told = [payload for name, payload in paper.messages if name == "SET_STATUS"]
    assert told == [pack(U64, 1), pack(U64, 3), pack(U64, 0)]


def test_where_memory_and_rings_lie(path):
    """Regions with guest and user address; rings by user addresses (vhost-user.rst)."""
    with Paper(path, protocol=REPLY_ACK) as paper, device(path) as transport:
        ram = transport.cpu.ram
        ring = live(transport).queues[0].rings
        payload = dict(paper.messages)
        table = pack(MEMORY, 2, 0) + b"".join(pack(REGION, *shape) for shape in ram.shapes)
        assert payload["SET_MEM_TABLE"] == table
        desc, avail, used = (ram.user_of(gpa, length) for gpa, length in ring.parts)
        assert payload["SET_VRING_ADDR"] == pack(VRING_ADDR, 0, 0, desc, used, avail, 0)
        assert payload["SET_VRING_NUM"] == pack(VRING_STATE, 0, 8)
        assert payload["SET_VRING_BASE"] == pack(VRING_STATE, 0, 0)


def test_where_a_packed_ring_begins(path):
    """Slot 0, wrap counter 1, for the available and the used position."""
    packed = {Feature.RING_PACKED}
    with Paper(path, protocol=REPLY_ACK, features=packed) as paper, device(path) as transport:
        live(transport, packed=True, size=5)
        payload = dict(paper.messages)
        assert payload["SET_VRING_BASE"] == pack(VRING_STATE, 0, 0x8000_8000)
        assert payload["SET_VRING_NUM"] == pack(VRING_STATE, 0, 5)


def test_a_driver_that_starts_again_tells_everything_again(path):
    with Paper(path) as paper, device(path) as transport:
        live(transport)
        live(transport, size=4)
    assert paper.log == [*ALONE, *ALONE[2:]]


# -- what is agreed on


def test_what_is_no_drivers_business_is_not_offered(path):
    hidden = {26, Feature.ACCESS_PLATFORM, Feature.RING_RESET, Feature.NOTIFICATION_DATA}
    hidden |= {Feature.NOTIF_CONFIG_DATA, Feature.SR_IOV}
    with Paper(path, protocol=REPLY_ACK, features={3, *hidden}) as paper:
        with device(path) as transport:
            assert transport.device_features() == 1 << Feature.VERSION_1 | 1 << 3
            driver = live(transport)
            assert driver.features == {Feature.VERSION_1}
        # The bit that is between the two ends is accepted too: it makes rings begin disabled.
        assert dict(paper.messages)["SET_FEATURES"] == pack(U64, 1 << 32 | 1 << 30)


def test_features_that_are_refused_are_not_agreed_on(path):
    """2.2.2: if the device does not agree, FEATURES_OK does not stay set."""
    with (
        Paper(path, {Request.SET_FEATURES: refuse}, REPLY_ACK),
        device(path) as transport,
        pytest.raises(VirtioFailed, match="does not agree to VERSION_1"),
    ):
        live(transport)


def test_an_extension_is_used_if_both_know_it(path):
    with (
        Paper(path, protocol=set(F)) as paper,
        device(path, protocol={F.CONFIG, F.REPLY_ACK}) as transport,
    ):
        assert transport.session.protocol == {F.CONFIG, F.REPLY_ACK}
        told = dict(paper.messages)["SET_PROTOCOL_FEATURES"]
        assert told == pack(U64, 1 << F.CONFIG | 1 << F.REPLY_ACK)


# -- configuration


def test_the_configuration_is_asked_for_from_its_beginning(path):
    """libvhost-user knows no offset: what it gives always begins at byte 0."""
    with Paper(path, protocol={F.CONFIG}) as paper, device(path) as transport:
        assert transport.config_read(5, 4) == 0x08070605
        assert dict(paper.messages)["GET_CONFIG"] == pack(CONFIG, 0, 9, 0) + bytes(9)
        transport.config_write(32, 2, 0x1234)
        assert transport.config_read(32, 1) == 32  # so the write has been heard by now
        assert dict(paper.messages)["SET_CONFIG"] == pack(CONFIG, 32, 2, 0) + b"\x34\x12"


def test_a_field_that_the_back_end_does_not_have(path):
    with Paper(path, protocol={F.CONFIG}) as paper, device(path) as transport:
        with pytest.raises(VirtioFailed, match="no configuration of 68 bytes"):
            transport.config_read(64, 4)
        paper.answers[Request.GET_CONFIG] = lambda channel, m: channel.reply(m.request, b"")
        with pytest.raises(VirtioFailed, match="no configuration of 1 bytes"):
            transport.config_read(0, 1)
        with pytest.raises(ValueError, match="at most 256 bytes, not 257"):
            transport.config_read(255, 2)


def test_without_config_the_front_end_has_the_configuration(path):
    with Paper(path) as paper, device(path, config=b"\x01\x02\x03") as transport:
        assert [transport.config_read(at, 2) for at in (0, 2, 4)] == [0x0201, 0x0003, 0]
        transport.config_write(0, 1, 9)
        assert transport.config_read(0, 1) == 1
    assert not {"GET_CONFIG", "SET_CONFIG"} & set(paper.log)


def test_a_configuration_that_changes(path):
    """The back-end tells; the driver sees another generation, and an interrupt."""
    cpu = new_cpu()
    with (
        Paper(path, protocol={F.BACKEND_REQ, F.REPLY_ACK}) as paper,
        device(path, cpu, vector=40) as transport,
    ):
        assert transport.generation() == 0
        paper.asking.send(BackEndRequest.CONFIG_CHANGE_MSG)
        assert cpu.wait() == 40
        assert transport.generation() == 1
        assert transport.interrupts() == Interrupt.CONFIG
        assert transport.interrupts() == 0
        paper.asking.send(BackEndRequest.CONFIG_CHANGE_MSG, flags=NEED_REPLY)
        assert transport.generation() == 2
        assert paper.asking.receive().value == 0
        assert transport.interrupts() == Interrupt.CONFIG


def test_a_back_end_that_tells_and_tells(path):
    """So many messages are looked at, and then the driver goes on."""
    with Paper(path, protocol={F.BACKEND_REQ, F.REPLY_ACK}) as paper, device(path) as transport:
        for _ in range(MESSAGES + 3):
            paper.asking.send(BackEndRequest.CONFIG_CHANGE_MSG)
        assert transport.generation() == MESSAGES
        assert transport.generation() == MESSAGES + 3


def test_what_a_back_end_asks_in_vain(path):
    """A request of an extension that was not agreed on is answered with a failure."""
    with Paper(path, protocol={F.BACKEND_REQ, F.REPLY_ACK}) as paper, device(path) as transport:
        paper.asking.send(BackEndRequest.IOTLB_MSG, b"x" * 32, NEED_REPLY)
        assert transport.generation() == 0
        assert paper.asking.receive().value == 1


@pytest.mark.parametrize("last", [b"", b"no message at all"])
def test_a_back_end_that_asks_no_more(last, path):
    cpu = new_cpu()
    with (
        Paper(path, protocol={F.BACKEND_REQ, F.REPLY_ACK}) as paper,
        device(path, cpu) as transport,
    ):
        paper.asking.sock.sendall(last)
        paper.asking.sock.shutdown(socket.SHUT_RDWR)
        assert cpu.wait() == 0
        assert len(transport.session.fds) == 1
        assert cpu.wait(0) is None  # it is not listened to any more
        assert transport.generation() == 0
        live(transport)


# -- events


def test_doorbells_and_interrupts_are_events(path):
    cpu = new_cpu()
    with Paper(path, protocol=REPLY_ACK) as paper, device(path, cpu, queues=2, vector=7) as it:
        live(it, queues=2)
        assert cpu.wait(0) is None
        it.notify(1, 0)
        assert os.eventfd_read(paper.kicks[1]) == 1
        for _ in range(3):
            os.eventfd_write(paper.calls[1], 1)
        assert cpu.wait() == 7 + 1 + 1
        assert it.interrupts() == Interrupt.QUEUE
        os.eventfd_write(paper.calls[0], 1)
        assert it.interrupts() == Interrupt.QUEUE  # nobody waited, and it is not lost
        assert cpu.wait(0) is None
        assert it.interrupts() == 0


def test_a_ring_that_the_back_end_gives_up_needs_a_reset(path):
    """2.1.2: the device has met an error that it cannot recover from."""
    cpu = new_cpu()
    with Paper(path, protocol=REPLY_ACK) as paper, device(path, cpu, vector=3) as transport:
        driver = live(transport)
        os.eventfd_write(paper.errs[0], 1)
        assert cpu.wait() == 3
        assert transport.interrupts() == Interrupt.CONFIG
        assert driver.needs_reset
        assert driver.needs_reset  # it stays so
        assert not live(transport).needs_reset


# -- queues


def test_which_queues_there_are(path):
    with Paper(path, protocol={F.MQ}, queues=3):
        with device(path) as it:
            assert [it.queue_max(index) for index in (-1, 0, 2, 3)] == [0, 256, 256, 0]
        with device(path, queues=2, queue_size=64) as it:
            assert [it.queue_max(index) for index in (0, 1, 2)] == [64, 64, 0]
            it.set_queue(1, 8, SplitRings.placed(0x10_0000, 8)[1:])
            assert [it.queue_max(index) for index in (0, 1)] == [64, 0]
    path += "2"
    with Paper(path), device(path) as it:
        assert [it.queue_max(index) for index in (0, 1)] == [256, 0]


def test_what_cannot_be_asked(path):
    with Paper(path), device(path) as it:
        transport: Transport = it
        assert not transport.legacy
        for ask in (
            lambda: it.set_config_vector(1),
            lambda: it.set_queue_vector(0, 1),
            lambda: it.reset_queue(0),
            lambda: it.set_queue(1, 8, SplitRings.placed(0, 8)[1:]),
            lambda: it.set_queue(0, 8, SplitRings.placed(0xA0000, 8)[1:]),
        ):
            with pytest.raises(ValueError):
                ask()
    with Paper(path + "2"), device(path + "2", queues=2) as it:
        live(it)
        with pytest.raises(ValueError, match="cannot be set up now"):
            it.set_queue(1, 8, SplitRings.placed(0, 8)[1:])


def test_nothing_stays_open(path):
    cpu, before = new_cpu(), fd_count()
    with Paper(path, dict(NOTES), EVERYTHING):
        for _ in range(3):
            with device(path, cpu) as transport:
                live(transport, queues=2)
                live(transport, queues=1)
            assert cpu.wait(0) is None
    assert fd_count() == before
