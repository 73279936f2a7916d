"""One message of vhost-user, and what each request must look like before anyone acts on it.

    request           payload              descriptors   only with        always answered
    SET_MEM_TABLE     MEMORY, regions      1 to 8
    SET_VRING_KICK    U64                  0 or 1
    GET_CONFIG        CONFIG, bytes        none          CONFIG           yes

The idea: `FORMS` is that table. A message is compared with its row in one place, so whoever handles
a request finds the payload complete and the descriptors counted.

The rule that keeps it simple: a descriptor has one owner. It belongs to the message until a handler
takes it; what is still there at the end of the `with` is closed.

Source: vhost-user.rst, "Communication", "Front-end message types". Requests without a row are those
of features that are not offered here: IOTLB, crypto, postcopy, GPU, shared objects, device state.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from struct import Struct
from typing import NamedTuple, Self

from virtlab.virtio.layouts import DType, packer
from virtlab.virtio.vhost_user.layouts import (
    CONFIG,
    INFLIGHT,
    LOG,
    MAX_CONFIG,
    MAX_REGIONS,
    MEMORY,
    REGION,
    REPLY,
    SINGLE_REGION,
    U64,
    VRING_ADDR,
    VRING_STATE,
    ProtocolFeature,
    Request,
)


class ProtocolError(Exception):
    """The other end broke a rule of the protocol: `why`, which names the request and the rule."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Descriptors:
    """Descriptors that came with a message, and are closed with it unless somebody takes them."""

    def __init__(self, fds: Iterable[int] = ()) -> None:
        self._fds: list[int] = list(fds)

    def __len__(self) -> int:
        """How many are still here."""
        return len(self._fds)

    def add(self, fds: Iterable[int]) -> None:
        """Own these too."""
        self._fds.extend(fds)

    @property
    def lent(self) -> tuple[int, ...]:
        """All of them, to look at: they stay here."""
        return tuple(self._fds)

    def take(self) -> int:
        """The first one: from now on it is the caller's, who closes it."""
        return self._fds.pop(0)

    def close(self) -> None:
        """Close all that nobody took."""
        while self._fds:
            os.close(self._fds.pop())


class Message(NamedTuple):
    """A message: `request` is a number, which need not be a `Request`. A context manager."""

    request: int
    flags: int
    payload: bytes
    fds: Descriptors

    @property
    def name(self) -> str:
        """What its request is called."""
        return request_name(self.request)

    def fields(self, layout: DType) -> tuple[int, ...]:
        """The numbers with which the payload begins, as `layout` has them."""
        struct = _structs[layout]
        return struct.unpack(self.payload[: struct.size].ljust(struct.size, b"\0"))

    @property
    def value(self) -> int:
        """The one number of a `U64` payload."""
        return self.fields(U64)[0]

    def __enter__(self) -> Self:
        """Its descriptors are closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what nobody took."""
        self.fds.close()


_structs: Mapping[DType, Struct] = {
    layout: packer(layout)
    for layout in (
        *(U64, VRING_STATE, VRING_ADDR, MEMORY, REGION),
        *(SINGLE_REGION, LOG, CONFIG, INFLIGHT),
    )
}


def rows(layout: DType, raw: bytes) -> list[tuple[int, ...]]:
    """The numbers of each `layout` in `raw`, which is a whole number of them."""
    return list(_structs[layout].iter_unpack(raw))


def pack(layout: DType, *numbers: int) -> bytes:
    """The bytes of a payload.

    >>> pack(VRING_STATE, 1, 256).hex()
    '0100000000010000'
    """
    return _structs[layout].pack(*numbers)


_names = {int(request): request.name for request in Request}


def request_name(request: int) -> str:
    """`SET_OWNER` for 3; `request 99` for what the protocol does not know."""
    return _names.get(request, f"request {request}")


class Form(NamedTuple):
    """What a request must look like."""

    payload: DType | None = None  # what it begins with; None: nothing is looked at
    more: int = 0  # bytes that may follow
    fds: range = range(1)  # how many descriptors
    feature: ProtocolFeature | None = None  # what must be agreed on before
    answered: bool = False  # by a payload of its own, asked or not


NONE_OR_ONE, ONE = range(2), range(1, 2)
_INFLIGHT_WITHOUT_PADDING = INFLIGHT.itemsize - 4
_F = ProtocolFeature

FORMS: Mapping[int, Form] = {
    Request.GET_FEATURES: Form(answered=True),
    Request.SET_FEATURES: Form(U64),
    Request.SET_OWNER: Form(),
    Request.RESET_OWNER: Form(),
    Request.SET_MEM_TABLE: Form(MEMORY, MAX_REGIONS * REGION.itemsize, range(1, MAX_REGIONS + 1)),
    Request.SET_LOG_BASE: Form(LOG, fds=ONE, feature=_F.LOG_SHMFD, answered=True),
    Request.SET_LOG_FD: Form(fds=NONE_OR_ONE),
    Request.SET_VRING_NUM: Form(VRING_STATE),
    Request.SET_VRING_ADDR: Form(VRING_ADDR),
    Request.SET_VRING_BASE: Form(VRING_STATE),
    Request.GET_VRING_BASE: Form(VRING_STATE, answered=True),
    Request.SET_VRING_KICK: Form(U64, fds=NONE_OR_ONE),
    Request.SET_VRING_CALL: Form(U64, fds=NONE_OR_ONE),
    Request.SET_VRING_ERR: Form(U64, fds=NONE_OR_ONE),
    Request.GET_PROTOCOL_FEATURES: Form(answered=True),
    Request.SET_PROTOCOL_FEATURES: Form(U64),
    Request.GET_QUEUE_NUM: Form(feature=_F.MQ, answered=True),
    Request.SET_VRING_ENABLE: Form(VRING_STATE),
    Request.SET_BACKEND_REQ_FD: Form(fds=ONE, feature=_F.BACKEND_REQ),
    Request.GET_CONFIG: Form(CONFIG, MAX_CONFIG, feature=_F.CONFIG, answered=True),
    Request.SET_CONFIG: Form(CONFIG, MAX_CONFIG, feature=_F.CONFIG),
    Request.GET_INFLIGHT_FD: Form(INFLIGHT, feature=_F.INFLIGHT_SHMFD, answered=True),
    Request.SET_INFLIGHT_FD: Form(INFLIGHT, fds=ONE, feature=_F.INFLIGHT_SHMFD),
    Request.RESET_DEVICE: Form(feature=_F.RESET_DEVICE),
    Request.VRING_KICK: Form(VRING_STATE, feature=_F.INBAND_NOTIFICATIONS),
    Request.GET_MAX_MEM_SLOTS: Form(feature=_F.CONFIGURE_MEM_SLOTS, answered=True),
    Request.ADD_MEM_REG: Form(SINGLE_REGION, fds=ONE, feature=_F.CONFIGURE_MEM_SLOTS),
    # A descriptor may come along, from old front-ends. The back-end MUST close it unused.
    Request.REM_MEM_REG: Form(SINGLE_REGION, fds=NONE_OR_ONE, feature=_F.CONFIGURE_MEM_SLOTS),
    Request.SET_STATUS: Form(U64, feature=_F.STATUS),
    Request.GET_STATUS: Form(feature=_F.STATUS, answered=True),
}
"""What a back-end understands."""


def check_request(message: Message) -> None:
    """`ProtocolError` unless `message` has the form of its request."""
    form = FORMS.get(message.request)
    if form is None:
        raise ProtocolError(f"{message.name}: not understood here")
    if message.flags & REPLY:
        raise ProtocolError(f"{message.name}: a request with the reply flag")
    least = form.payload.itemsize if form.payload else 0
    most = least + form.more
    if form.payload is INFLIGHT:
        least = _INFLIGHT_WITHOUT_PADDING
    if form.payload and not least <= len(message.payload) <= most:
        why = f"a payload of {len(message.payload)} bytes, where {least} to {most} belong"
        raise ProtocolError(f"{message.name}: {why}")
    if len(message.fds) not in form.fds:
        wanted = " or ".join(str(number) for number in form.fds)
        raise ProtocolError(f"{message.name}: {len(message.fds)} descriptors, not {wanted}")


def check_reply(message: Message) -> None:
    """`ProtocolError` unless `message` may answer a front-end's request."""
    if not message.flags & REPLY:
        raise ProtocolError(f"{message.name}: an answer without the reply flag")
    most = 1 if message.request == Request.GET_INFLIGHT_FD else 0
    if len(message.fds) > most:
        raise ProtocolError(f"{message.name}: an answer with {len(message.fds)} descriptors")
