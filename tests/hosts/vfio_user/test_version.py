"""The first message: what is agreed on, and what ends the connection at once."""

from __future__ import annotations

import json

import pytest

from virtlab.hosts.vfio_user import version
from virtlab.hosts.vfio_user.layouts import VERSION
from virtlab.hosts.vfio_user.messages import Message, pack, unpack
from virtlab.hosts.vfio_user.version import Limits
from virtlab.virtio.vhost_user.messages import Descriptors, ProtocolError

QEMU = {
    "capabilities": {
        "migration": {"max_bitmap_size": 268435456, "pgsize": 4096},
        "max_msg_fds": 16,
        "max_data_xfer_size": 1048576,
        "pgsizes": 4096,
        "max_dma_maps": 65535,
        "write_multiple": True,
    }
}
"""What QEMU 11 proposes."""


def message(said, major=0, minor=0):
    raw = said if isinstance(said, bytes) else json.dumps(said).encode() + b"\0"
    return Message(1, 1, 0, 0, pack(VERSION, major, minor) + raw, Descriptors())


def read(payload):
    assert payload[-1:] == b"\0"
    return unpack(VERSION, payload), json.loads(payload[4:-1])["capabilities"]


def test_qemus_proposal():
    limits, payload = version.answer(message(QEMU))
    assert limits == Limits(16, 1 << 20, True)
    numbers, said = read(payload)
    assert numbers == (0, 0)
    # The capability list must be a subset of those proposed.
    assert said == {
        name: version.OURS[name] for name in QEMU["capabilities"] if name != "migration"
    }
    # QEMU takes no answer that is longer than its proposal.
    assert len(payload) <= len(message(QEMU).payload)


@pytest.mark.parametrize("raw", [b"", b"{}\0", b"\0", b'{"capabilities":{}}\0'])
def test_capabilities_are_optional(raw):
    limits, payload = version.answer(message(raw))
    assert limits == Limits(1, 1 << 20, False)
    assert read(payload)[1] == {}


def test_the_minor_version_is_the_lower_one():
    assert read(version.answer(message({}, minor=5))[1])[0] == (0, 0)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"{}", "does not end in a zero byte"),
        (b"{\0", "is no JSON"),
        (b"\xff\0", "is no JSON"),
        (b"[" * 4000 + b"\0", "is no JSON"),
        ([1], "are no object"),
        ({"capabilities": 5}, "are no object"),
        ({"capabilities": {"max_msg_fds": "8"}}, "max_msg_fds is no number"),
        ({"capabilities": {"max_msg_fds": True}}, "max_msg_fds is no number"),
        ({"capabilities": {"max_msg_fds": -1}}, "max_msg_fds is no number"),
        ({"capabilities": {"max_data_xfer_size": 0}}, "max_data_xfer_size is no number"),
        ({"capabilities": {"max_data_xfer_size": 1 << 40}}, "max_data_xfer_size is no number"),
        ({"capabilities": {"max_data_xfer_size": 1.5}}, "max_data_xfer_size is no number"),
    ],
)
def test_a_proposal_that_makes_no_sense(said, why):
    with pytest.raises(ProtocolError, match=why):
        version.answer(message(said))


def test_another_major_version():
    with pytest.raises(ProtocolError, match=r"2\.3, and 0\.0 is spoken here"):
        version.answer(message({}, 2, 3))


def test_our_own_proposal_and_its_answer():
    limits, payload = version.answer(Message(1, 1, 0, 0, version.proposal(), Descriptors()))
    assert limits == version.answered(Message(1, 1, 1, 0, payload, Descriptors()))
    assert limits == Limits(8, 64 << 10, True)


def test_an_answer_may_not_be_of_a_higher_version():
    with pytest.raises(ProtocolError, match=r"0\.1, where 0\.0 was proposed"):
        version.answered(message({}, minor=1))


def test_an_answer_without_a_version():
    with pytest.raises(ProtocolError, match="no version in it"):
        version.answered(Message(1, 1, 1, 0, b"\0", Descriptors()))
