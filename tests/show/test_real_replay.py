"""A session said once more: the back-end has what it had, and refuses what a liar says."""

import pytest

from tests.descriptors import fd_count
from virtlab.hosts.vhost_user import VhostUserDevice
from virtlab.hosts.vhost_user_ram import FileRam, RamCpu
from virtlab.show.real_heard import handshake, kinds_of, record, written
from virtlab.show.real_messages import R, Sent
from virtlab.show.real_replay import MISTAKES, Place, possible, replay, spoilt
from virtlab.virtio.status import DeviceId
from virtlab.virtio.vhost_user.layouts import MEMORY, REGION
from virtlab.virtio.vhost_user.messages import pack

SESSION = handshake()


def test_the_recorded_session_is_accepted_to_its_end():
    done = replay(SESSION)
    assert (done.refused, done.why, done.over) == (None, "", False)
    assert len(done.places) == len(SESSION)
    assert done.places[-1] == (Place(0, 512 << 20, 0),)
    shared = next(n for n, one in enumerate(SESSION) if one.request == R.ADD_MEM_REG)
    assert done.places[shared - 1] == ()


def test_a_replay_leaves_no_descriptor_open():
    before = fd_count()
    replay(SESSION)
    replay(spoilt(SESSION, "a socket in place of a file"))
    assert fd_count() == before


@pytest.mark.parametrize(
    ("mistake", "request_name", "why", "over"),
    [
        ("a region beyond its file", "ADD_MEM_REG", "0x40000000 of a file that has 0x2000", False),
        ("memory with no descriptor", "ADD_MEM_REG", "0 descriptors, not 1", True),
        ("a socket in place of a file", "ADD_MEM_REG", "a descriptor that is no file", False),
        ("a feature that was never offered", "SET_FEATURES", "never offered: RING_RESET", True),
        ("a ring larger than the device's", "SET_VRING_NUM", "16, where 8 is the largest", True),
        ("a ring outside of memory", "SET_VRING_KICK", "are in no region", False),
        ("half a payload", "SET_VRING_NUM", "a payload of 4 bytes", True),
    ],
)
def test_each_lie_is_refused_where_it_can_be_known(mistake, request_name, why, over):
    session = spoilt(SESSION, mistake)
    done = replay(session)
    assert session[done.refused].name == request_name
    assert why in done.why
    assert done.over is over
    assert len(done.places) == done.refused + 1


def test_every_mistake_is_in_the_table_above():
    marks = test_each_lie_is_refused_where_it_can_be_known.pytestmark
    assert {case[0] for mark in marks for case in mark.args[1]} == set(MISTAKES)


def test_only_one_message_is_changed():
    for mistake in MISTAKES:
        session = spoilt(SESSION, mistake)
        assert sum(one != other for one, other in zip(session, SESSION, strict=True)) == 1


def test_a_session_without_such_a_message_cannot_be_spoilt():
    assert not possible(SESSION[:3], "half a payload")
    with pytest.raises(ValueError, match="no message to make 'half a payload' of"):
        spoilt(SESSION[:3], "half a payload")


def test_a_table_of_two_files_has_two_places():
    begin = SESSION[: next(n for n, one in enumerate(SESSION) if one.name == "ADD_MEM_REG")]
    payload = pack(MEMORY, 2, 0)
    payload += pack(REGION, 0, 1 << 20, 0x7000_0000, 0)
    payload += pack(REGION, 4 << 20, 2 << 20, 0x8000_0000, 0)
    table = Sent(0, True, R.SET_MEM_TABLE, 1, payload, (("file", 1 << 20), ("file", 2 << 20)))
    assert replay([*begin, table]).places[-1] == (
        Place(0, 1 << 20, 0),
        Place(4 << 20, 2 << 20, 1 << 20),
    )


# -- overhearing


def test_what_is_written_is_read_again(tmp_path):
    raw = written(SESSION)
    assert written(SESSION) == raw
    assert len(raw) < 2000


def test_a_session_of_our_own_front_end_is_heard_from_the_first_message_on(tmp_path, monkeypatch):
    """The same as with a Linux: what comes, what goes back, and what travels beside it."""

    def boot(path):
        with VhostUserDevice(path, RamCpu(FileRam(1 << 20)), DeviceId.BLOCK) as device:
            device.config_read(0, 8)

    file = tmp_path / "heard.jsonl.gz"
    count = record(str(file), boot)
    monkeypatch.setattr("virtlab.show.real_heard.FILE", (file,))
    heard = handshake()
    assert len(heard) == count
    assert [one.name for one in heard[:4]] == ["GET_FEATURES"] * 2 + ["GET_PROTOCOL_FEATURES"] * 2
    assert [one.asks for one in heard[:4]] == [True, False, True, False]
    beside = {one.name: one.fds for one in heard if one.fds}
    assert beside == {"SET_BACKEND_REQ_FD": (("socket", 0),)}
    capacity = next(one for one in heard if one.name == "GET_CONFIG" and not one.asks)
    assert capacity.payload[12:20] == (32768).to_bytes(8, "little")
    assert replay(heard).refused is None


def test_a_descriptor_is_a_file_a_socket_or_something_else(tmp_path):
    import os
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs, open(tmp_path / "f", "wb+") as file:
        file.truncate(77)
        event = os.eventfd(0)
        try:
            kinds = kinds_of([file.fileno(), ours.fileno(), event])
        finally:
            os.close(event)
    assert kinds == (("file", 77), ("socket", 0), ("event", 0))
