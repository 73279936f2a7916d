"""A connection to a back-end, from the socket to what both ends have agreed on.

    GET_FEATURES                              what device and queues can do
    GET_, SET_PROTOCOL_FEATURES               which extensions both know
    GET_QUEUE_NUM                             how many queues there are             MQ
    SET_BACKEND_REQ_FD                        a second socket, for its questions    BACKEND_REQ
    SET_OWNER                                 a session begins

The idea: what comes first is the same for every device and after every loss of the connection. So
it is one method, `open`, and it may be called again.

The rule that keeps it simple: an extension is used if both ends know it, and else done without.

The back-end's own questions are few. Of a configuration that has changed we take note; the rest is
of extensions that we do not offer.

Source: vhost-user.rst, "Front-end message types", "Back-end message types".
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence

from virtlab.hosts.vhost_user_link import Link, connect
from virtlab.virtio.features import Feature, Features, from_bits, to_bits
from virtlab.virtio.vhost_user.channel import Channel
from virtlab.virtio.vhost_user.layouts import (
    LOG_ALL,
    NEED_REPLY,
    PROTOCOL_FEATURES,
    U64,
    BackEndRequest,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.messages import Message, ProtocolError, pack

_F = ProtocolFeature

PROTOCOL: frozenset[ProtocolFeature] = frozenset(
    {
        *(_F.MQ, _F.REPLY_ACK, _F.BACKEND_REQ, _F.CONFIG),
        *(_F.INFLIGHT_SHMFD, _F.RESET_DEVICE, _F.STATUS),
    }
)
"""The extensions that this front-end knows."""

OURS: Features = frozenset({PROTOCOL_FEATURES, LOG_ALL})
"""Feature bits that are between front-end and back-end, and no driver's."""

NOT_HERE: Features = frozenset(
    {
        *(Feature.ACCESS_PLATFORM, Feature.SR_IOV, Feature.RING_RESET),
        *(Feature.NOTIFICATION_DATA, Feature.NOTIF_CONFIG_DATA),
    }
)
"""What this transport does not carry: a doorbell is an event, and addresses are plain."""


MESSAGES = 64
"""How many of the back-end's messages are looked at, at most, before we do something else."""


class Session:
    """The back-end at `path`. It gets `patience` seconds to listen there, and for each answer."""

    def __init__(
        self, path: str, patience: float, protocol: Iterable[ProtocolFeature] = PROTOCOL
    ) -> None:
        self.path = path
        self.patience = patience
        self.wanted = frozenset(protocol)
        self.offered: Features = frozenset()
        self.protocol: Features = frozenset()
        self.queues: int | None = None
        self.changes = 0  # how often the configuration was said to have changed
        self._link: Link | None = None
        self._asked: Channel | None = None

    # -- the connection

    def open(self, patience: float) -> None:
        """Connect, and come to terms. `ConnectionError` if that does not work out."""
        self.close()
        self._link = Link(connect(self.path, patience), self.patience)
        self.offered = from_bits(self.number(Request.GET_FEATURES))
        if PROTOCOL_FEATURES in self.offered:
            self._extend(self._link)
        self.tell(Request.SET_OWNER)

    def _extend(self, link: Link) -> None:
        theirs = from_bits(self.number(Request.GET_PROTOCOL_FEATURES))
        self.protocol = theirs & self.wanted
        self.tell(Request.SET_PROTOCOL_FEATURES, pack(U64, to_bits(self.protocol)))
        link.acknowledged = _F.REPLY_ACK in self.protocol
        if _F.MQ in self.protocol:
            self.queues = self.number(Request.GET_QUEUE_NUM)
        if _F.BACKEND_REQ in self.protocol:
            ours, theirs_end = socket.socketpair()
            ours.setblocking(False)
            self._asked = Channel(ours, lambda message: None)
            with theirs_end:
                self.tell(Request.SET_BACKEND_REQ_FD, fds=[theirs_end.fileno()])

    def close(self) -> None:
        """Hang up."""
        for end in (self._link, self._asked):
            if end is not None:
                end.close()
        self._link = self._asked = None
        self.protocol = frozenset()

    @property
    def fds(self) -> list[int]:
        """The sockets to listen to."""
        return [end.fileno() for end in (self._link, self._asked) if end is not None]

    @property
    def lost(self) -> bool:
        """Whether the other end has hung up. What it says without being asked is as bad."""
        if self._link is None:
            return True
        return self._link.readable

    # -- requests

    def ask(self, request: Request, payload: bytes = b"", fds: Sequence[int] = ()) -> Message:
        """See `Link`."""
        return self._connected(request).ask(request, payload, fds)

    def tell(self, request: Request, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
        """See `Link`."""
        self._connected(request).tell(request, payload, fds)

    def number(self, request: Request, payload: bytes = b"") -> int:
        """Ask for one number."""
        with self.ask(request, payload) as answer:
            return answer.value

    def _connected(self, request: Request) -> Link:
        if self._link is None:
            raise ConnectionError(f"{request.name}: there is no connection")
        return self._link

    # -- what the back-end asks

    def hear(self) -> bool:
        """Look at what the back-end has asked; whether the configuration has changed."""
        before = self.changes
        if self._asked is not None:
            self._answer(self._asked)
        return self.changes != before

    def _answer(self, asked: Channel) -> None:
        try:
            for _ in range(MESSAGES):
                message = asked.receive()
                if message is None:
                    return
                with message:
                    self._reply(asked, message)
        except ProtocolError:
            # Nobody asks any more, or nothing that can be understood.
            asked.close()
            self._asked = None

    def _reply(self, asked: Channel, message: Message) -> None:
        known = message.request == BackEndRequest.CONFIG_CHANGE_MSG
        self.changes += known
        if message.flags & NEED_REPLY:
            asked.reply(message.request, pack(U64, int(not known)))
