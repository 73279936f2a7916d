"""What client and server agree on first: a version, and how much each of them takes.

    {"capabilities": {"max_msg_fds": 16, "max_data_xfer_size": 1048576, "write_multiple": true}}

    client proposes   major.minor and what it can do      `proposal`
    server answers    the same major, at most that minor, at most those capabilities   `answer`

The idea: a number says what its sender *takes*, so each end keeps the other's numbers and never
sends more. What is not said has a value that the specification gives.

The rule that keeps it simple: JSON is only read here, once, from a bounded text. A value of the
wrong kind ends the connection: there is nothing yet that could go on.

Source: vfio-user.rst, "VFIO_USER_VERSION". Left out: `twin_socket`, `migration`.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from virtlab.hosts.vfio_user.layouts import MAJOR, MINOR, VERSION
from virtlab.hosts.vfio_user.memory import WINDOWS
from virtlab.hosts.vfio_user.messages import MAX_FDS, MAX_TRANSFER, Message, pack
from virtlab.memory import PAGE
from virtlab.virtio.vhost_user.messages import ProtocolError

OURS: dict[str, Any] = {
    "max_msg_fds": MAX_FDS,
    "max_data_xfer_size": MAX_TRANSFER,
    "pgsizes": PAGE,
    "max_dma_maps": WINDOWS,
    "write_multiple": True,
}
"""What we take. A client's own numbers are the same, where they mean something for a client."""

MOST_FDS, MOST_TRANSFER = 1 << 16, 1 << 30
"""Larger numbers are no plan but a mistake."""

MOST_BRACKETS = 64
"""Brackets in a text: what is nested deeper than that is no plan either."""


class Limits(NamedTuple):
    """What the other end takes: descriptors and bytes of one message, several writes in one."""

    fds: int = 1
    transfer: int = 1 << 20
    several: bool = False


def proposal() -> bytes:
    """The payload of a client's VERSION."""
    return pack(VERSION, MAJOR, MINOR) + _text(OURS)


def answer(message: Message) -> tuple[Limits, bytes]:
    """What the client of this VERSION takes, and what it is answered: a payload.

    `ProtocolError` if its major version is another one, or its proposal makes no sense.
    """
    minor, proposed = _read(message)
    common = {name: value for name, value in OURS.items() if name in proposed}
    return limits(proposed), pack(VERSION, MAJOR, min(minor, MINOR)) + _text(common)


def answered(message: Message) -> Limits:
    """What the server that answered so takes. `ProtocolError` as above, or for a higher version."""
    minor, said = _read(message)
    if minor > MINOR:
        raise ProtocolError(f"VERSION: {MAJOR}.{minor}, where {MAJOR}.{MINOR} was proposed")
    return limits(said)


def limits(said: dict[str, Any]) -> Limits:
    """The numbers of these capabilities. `ProtocolError` for a value that is none."""
    default = Limits()
    return Limits(
        _number(said, "max_msg_fds", default.fds, 0, MOST_FDS),
        _number(said, "max_data_xfer_size", default.transfer, 1, MOST_TRANSFER),
        said.get("write_multiple") is True,
    )


def _read(message: Message) -> tuple[int, dict[str, Any]]:
    """The minor version and the capabilities of a VERSION, whoever sent it."""
    if len(message.payload) < VERSION.itemsize:
        raise ProtocolError("VERSION: no version in it")
    major, minor = message.fields(VERSION)
    if major != MAJOR:
        raise ProtocolError(f"VERSION: {major}.{minor}, and {MAJOR}.{MINOR} is spoken here")
    raw = message.behind(VERSION)
    if raw and raw[-1:] != b"\0":
        raise ProtocolError("VERSION: its text does not end in a zero byte")
    return minor, _capabilities(raw[:-1])


def _capabilities(raw: bytes) -> dict[str, Any]:
    try:
        if raw.count(b"[") + raw.count(b"{") > MOST_BRACKETS:
            raise ValueError
        said = json.loads(raw or b"{}")
    except ValueError:
        raise ProtocolError("VERSION: its text is no JSON") from None
    found = said.get("capabilities", {}) if isinstance(said, dict) else None
    if not isinstance(found, dict):
        raise ProtocolError("VERSION: its capabilities are no object")
    return found


def _number(said: dict[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = said.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ProtocolError(f"VERSION: {name} is no number from {least} to {most}")
    return value


def _text(capabilities: dict[str, Any]) -> bytes:
    """JSON with no blanks: QEMU has room for an answer as long as its proposal, and no more."""
    return json.dumps({"capabilities": capabilities}, separators=(",", ":")).encode() + b"\0"
