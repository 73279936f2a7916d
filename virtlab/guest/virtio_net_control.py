"""Commands to a network device, each answered before the next: the driver's end of controlq.

    control.switch(Rx.PROMISC, True)
    control.set_tables(stations=[...], groups=[...])
    control.set_mac(bytes.fromhex("020000000001"))

The idea: a command is rare, and its driver wants to know how it went. So one place in memory is
enough, and each call waits for its ack.

The rule that keeps it simple: OK is silence. ERR is `CommandFailed`: nothing has changed then. What
was not negotiated is not asked: `ValueError`. Only `command` sends whatever it is given.

Source: virtio 1.3 5.1.6.5. Left out: RSS, offloads chosen anew, coalescing, statistics.
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.cpu import Cpu
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import Queue
from virtlab.guest.virtio_transport import VirtioFailed, poll
from virtlab.virtio.features import Features
from virtlab.virtio.net_control import NEEDS
from virtlab.virtio.net_layouts import (
    ANNOUNCE_ACK,
    CTRL_RX,
    MAC_ADDR_SET,
    MAC_TABLE_SET,
    VLAN_ADD,
    VLAN_DEL,
    VQ_PAIRS_SET,
    Ack,
    Command,
    NetFeature,
    Rx,
)

ROOM = 4096
"""Bytes for a command with its data."""

UNANSWERED = 0xFF
"""An ack that no device says."""


class CommandFailed(Exception):
    """The device answered ERR."""


class NetControl:
    """The commands that `features` allow, through `queue`; a command lies in `room`.

    `most` is what the device has of pairs of queues, `pairs` how many of them may be used now.
    """

    def __init__(
        self, cpu: Cpu, queue: Queue, room: Room, features: Features, most: int = 1
    ) -> None:
        self.cpu = cpu
        self.queue = queue
        self.features, self.most = features, most
        self.pairs = 1
        self.gpa = room.take(ROOM, 64)
        queue.disable_cb()

    def command(self, command: Command, data: bytes = b"") -> None:
        """Send any command, and wait for its ack. `VirtioFailed` if none comes."""
        message = bytes(command) + data
        if len(message) >= ROOM:
            raise ValueError(f"a command has at most {ROOM - 1} bytes, not {len(message)}")
        ack = self.gpa + len(message)
        self.cpu.write(self.gpa, message + bytes([UNANSWERED]))
        self.queue.add_buf([(self.gpa, len(message))], [(ack, 1)], command)
        self.queue.kick()
        if not poll(self.cpu, lambda: self.queue.get_buf() is not None):
            raise VirtioFailed("the device does not answer a command")
        answer = self.cpu.load(ack, 1)
        if answer != Ack.OK:
            raise CommandFailed(f"class {command[0]}, command {command[1]}: ack {answer:#x}")

    def _ask(self, command: Command, data: bytes = b"") -> None:
        """The same, if it was negotiated."""
        needed = {NEEDS[command]}
        # Without CTRL_RX the driver MUST NOT issue commands of this class, whichever they are.
        if command[0] == MAC_TABLE_SET[0]:
            needed.add(NetFeature.CTRL_RX)
        missing = ", ".join(sorted(feature.name for feature in needed - self.features))
        if missing:
            raise ValueError(f"{missing} was not negotiated: no command {command}")
        self.command(command, data)

    def switch(self, mode: Rx, on: bool) -> None:
        """Switch a receive mode on or off (5.1.6.5.1)."""
        self._ask((CTRL_RX, mode), bytes([on]))

    def set_tables(self, stations: Iterable[bytes], groups: Iterable[bytes]) -> None:
        """Which addresses to let in beside our own (5.1.6.5.2)."""
        parts = [
            len(table).to_bytes(4, "little") + b"".join(table)
            for table in (list(stations), list(groups))
        ]
        self._ask(MAC_TABLE_SET, b"".join(parts))

    def set_mac(self, mac: bytes) -> None:
        """Another address of our own (5.1.6.5.2)."""
        self._ask(MAC_ADDR_SET, mac)

    def add_vlan(self, number: int) -> None:
        """Let a VLAN in (5.1.6.5.3)."""
        self._ask(VLAN_ADD, number.to_bytes(2, "little"))

    def remove_vlan(self, number: int) -> None:
        """Let it in no more."""
        self._ask(VLAN_DEL, number.to_bytes(2, "little"))

    def acknowledge_announce(self) -> None:
        """We have seen that we shall announce ourselves (5.1.6.5.4)."""
        self._ask(ANNOUNCE_ACK)

    def use_pairs(self, count: int) -> None:
        """How many pairs of queues we use from now on, their queues being set up (5.1.6.5.6)."""
        # The driver MUST NOT ask for 0, nor for more than max_virtqueue_pairs.
        if not 1 <= count <= self.most:
            raise ValueError(f"1 to {self.most} pairs of queues, not {count}")
        # It MUST NOT send on those above once the command is placed; on new ones, not before.
        self.pairs = min(self.pairs, count)
        self._ask(VQ_PAIRS_SET, count.to_bytes(2, "little"))
        self.pairs = count
