"""What a front-end said to a back-end, message by message, in words.

    637 ms  -> ADD_MEM_REG      gpa 0x0, 512 MiB, user 0x7f60...      a file of 512 MiB
    637 ms  <- ADD_MEM_REG      0: done

The idea: a recorded session has each message as its bytes, and beside them what the descriptors
were: a file of so many bytes, an eventfd, a socket. The layouts that the back-end reads them with
turn them into words here.

The rule that keeps it simple: a message is said by what it is, never by what follows from it.

Source: vhost-user.rst, "Message Specification", "Front-end message types".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from virtlab.show.maps import size_words
from virtlab.virtio.blk_layouts import BlkFeature
from virtlab.virtio.features import Feature, from_bits
from virtlab.virtio.status import names as status_names
from virtlab.virtio.vhost_user.layouts import (
    CONFIG,
    INDEX_MASK,
    INFLIGHT,
    LOG_ALL,
    MEMORY,
    NEED_REPLY,
    NOFD,
    PROTOCOL_FEATURES,
    REGION,
    SINGLE_REGION,
    VRING_ADDR,
    VRING_STATE,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.messages import Descriptors, Message, request_name, rows

R = Request

FORMAT = {
    "file": "a file of {}",
    "event": "an eventfd",
    "socket": "a socket",
}
"""What a descriptor is, in words."""


class Sent(NamedTuple):
    """One message of a recorded session: when (ns), which way, and its bytes.

    `fds` says of each descriptor beside it what it is, `file`, `event` or `socket`, and its bytes.
    """

    ns: int
    asks: bool  # front-end to back-end; else an answer
    request: int
    flags: int
    payload: bytes
    fds: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str:
        """What its request is called."""
        return request_name(self.request)

    @property
    def message(self) -> Message:
        """The same as the back-end meets it, but for its descriptors."""
        return Message(self.request, self.flags, self.payload, Descriptors())


# -- a message in words


def words(one: Sent) -> str:
    """What a message says, without its name."""
    if not one.asks and one.request not in _ANSWERS:
        return "done" if not one.message.value else "refused"
    table = _ASKS if one.asks else _ANSWERS
    says = table.get(one.request)
    return says(one.message) if says else ""


def beside(one: Sent) -> str:
    """The descriptors that travel with it; empty if there are none.

    >>> beside(Sent(0, True, 37, 1, b"", (("file", 2048),)))
    'a file of 2 KiB'
    """
    named = [FORMAT[kind].format(size_words(size)) for kind, size in one.fds]
    return ", ".join(named)


def wants_reply(one: Sent) -> bool:
    """Whether the front-end waits for an answer that it has asked for (REPLY_ACK)."""
    return one.asks and bool(one.flags & NEED_REPLY)


def feature_words(word: int, known: Iterable[Any] = BlkFeature) -> str:
    """The bits of a feature word by name, those of the device, the queue and the protocol.

    >>> feature_words(1 << 2 | 1 << 28 | 1 << 30)
    'SEG_MAX RING_INDIRECT_DESC PROTOCOL_FEATURES'
    """
    named = {int(bit): bit.name for bit in (*known, *Feature)}
    named |= {PROTOCOL_FEATURES: "PROTOCOL_FEATURES", LOG_ALL: "LOG_ALL"}
    return " ".join(named.get(bit, f"bit {bit}") for bit in sorted(from_bits(word)))


def _features(message: Message) -> str:
    return feature_words(message.value)


def _protocol(message: Message) -> str:
    bits = sorted(from_bits(message.value))
    known = {int(bit): bit.name for bit in ProtocolFeature}
    return " ".join(known.get(bit, f"bit {bit}") for bit in bits)


def _status(message: Message) -> str:
    return " ".join(status_names(message.value & 0xFF)) or "0: reset"


def _count(message: Message) -> str:
    return str(message.value)


def _state(what: str) -> Callable[[Message], str]:
    def says(message: Message) -> str:
        ring, value = message.fields(VRING_STATE)
        return f"ring {ring}: {what} {value}".rstrip()

    return says


def _addresses(message: Message) -> str:
    ring, _, descriptor, used, available, _ = message.fields(VRING_ADDR)
    return f"ring {ring}: table {descriptor:#x}, avail {available:#x}, used {used:#x}"


def _event(message: Message) -> str:
    none = ", none" if message.value & NOFD else ""
    return f"ring {message.value & INDEX_MASK}{none}"


def _config(message: Message) -> str:
    offset, size, _ = message.fields(CONFIG)
    return f"{size} bytes from {offset} on"


def _capacity(message: Message) -> str:
    sectors = int.from_bytes(message.payload[CONFIG.itemsize :][:8], "little")
    return f"capacity {sectors} sectors, ..."


def _inflight(message: Message) -> str:
    size, _, queues, entries, _ = message.fields(INFLIGHT)
    notes = f", {size} bytes of notes" if size else ""
    return f"{queues} ring of {entries}{notes}"


class Piece(NamedTuple):
    """A region of guest memory, as a front-end describes it: `layouts.REGION`."""

    guest: int
    size: int
    user: int
    offset: int


def pieces(message: Message) -> list[Piece]:
    """The regions that a message names: of ADD_MEM_REG, REM_MEM_REG and SET_MEM_TABLE."""
    if message.request in (R.ADD_MEM_REG, R.REM_MEM_REG):
        return [Piece(*message.fields(SINGLE_REGION)[1:])]
    if message.request != R.SET_MEM_TABLE:
        return []
    raw = message.payload[MEMORY.itemsize :]
    whole = min(message.fields(MEMORY)[0], len(raw) // REGION.itemsize)
    return [Piece(*row) for row in rows(REGION, raw[: whole * REGION.itemsize])]


def _regions(message: Message) -> str:
    named = [
        f"gpa {each.guest:#x}, {size_words(each.size)}, user {each.user:#x}"
        for each in pieces(message)
    ]
    return "; ".join(named)


_ASKS: Mapping[int, Callable[[Message], str]] = {
    R.SET_FEATURES: _features,
    R.SET_PROTOCOL_FEATURES: _protocol,
    R.SET_MEM_TABLE: _regions,
    R.ADD_MEM_REG: _regions,
    R.REM_MEM_REG: _regions,
    R.SET_VRING_NUM: _state("entries"),
    R.SET_VRING_BASE: _state("goes on at"),
    R.GET_VRING_BASE: lambda message: f"ring {message.fields(VRING_STATE)[0]}: stop",
    R.SET_VRING_ENABLE: _state("enabled"),
    R.SET_VRING_ADDR: _addresses,
    R.SET_VRING_KICK: _event,
    R.SET_VRING_CALL: _event,
    R.SET_VRING_ERR: _event,
    R.GET_CONFIG: _config,
    R.SET_CONFIG: _config,
    R.GET_INFLIGHT_FD: _inflight,
    R.SET_INFLIGHT_FD: _inflight,
    R.SET_STATUS: _status,
}

_ANSWERS: Mapping[int, Callable[[Message], str]] = {
    R.GET_FEATURES: _features,
    R.GET_PROTOCOL_FEATURES: _protocol,
    R.GET_QUEUE_NUM: _count,
    R.GET_MAX_MEM_SLOTS: _count,
    R.GET_STATUS: _status,
    R.GET_VRING_BASE: _state("stopped at"),
    R.GET_CONFIG: _capacity,
    R.GET_INFLIGHT_FD: _inflight,
}
