"""The bytes of a virtio console: its configuration, its queues, its control messages.

    queue   0        1         2           3           4        5         6   ...
            receive  transmit  control     control     receive  transmit
            port 0   port 0    to driver   to device   port 1   port 1    port 2

The idea: a port is two queues, one for each direction. What is said *about* ports goes through two
more queues, in messages of 8 bytes. Those two came later than port 0, so they lie behind it.

The rule that keeps it simple: a queue's number follows from the port's, and is computed here only.

Source: virtio 1.3 5.3.2 (queues), 5.3.3 (features), 5.3.4 (configuration), 5.3.6.2 (messages). For
a legacy device the numbers are in the guest's own order, which on a PC is the same.
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType

import numpy as np

from virtlab.virtio.layouts import offset_of
from virtlab.wire import u16, u32


class ConsoleFeature(IntEnum):
    """What a console can offer: virtio 1.3 5.3.3, without `VIRTIO_CONSOLE_F_`."""

    SIZE = 0  # `cols` and `rows` are valid
    MULTIPORT = 1  # more than one port: `max_nr_ports`, and the control queues
    EMERG_WRITE = 2  # `emerg_wr` can be written


# -- configuration (5.3.4)

CONFIG = np.dtype(
    [
        ("cols", u16),  # by the device: characters in a line of port 0
        ("rows", u16),  # by the device: its lines
        ("max_nr_ports", u32),  # by the device: ports have the numbers below this one
        ("emerg_wr", u32),  # by the driver: a character, without any queue
    ]
)
"""`struct virtio_console_config`."""

GUARD = MappingProxyType(
    {
        "cols": ConsoleFeature.SIZE,
        "rows": ConsoleFeature.SIZE,
        "max_nr_ports": ConsoleFeature.MULTIPORT,
        "emerg_wr": ConsoleFeature.EMERG_WRITE,
    }
)
"""Which feature a field of CONFIG needs."""


def config_field(name: str) -> tuple[int, int]:
    """Offset and bytes of a field of CONFIG. `ValueError` if there is no such field.

    >>> config_field("rows"), config_field("emerg_wr")
    ((2, 2), (8, 4))
    """
    if CONFIG.fields is None or name not in CONFIG.fields:
        raise ValueError(f"a console's configuration has no field {name!r}")
    return offset_of(CONFIG, name), CONFIG[name].itemsize


# -- control messages (5.3.6.2)

CONTROL = np.dtype(  # by whoever sends it
    [
        ("id", u32),  # the port
        ("event", u16),  # a ConsoleEvent
        ("value", u16),  # what more there is to say
    ]
)
"""`struct virtio_console_control`."""

RESIZE = np.dtype(  # by the device, behind a CONTROL
    [
        ("cols", u16),  # characters in a line
        ("rows", u16),  # lines
    ]
)
"""`struct virtio_console_resize`."""


class ConsoleEvent(IntEnum):
    """What a control message says, without `VIRTIO_CONSOLE_`."""

    DEVICE_READY = 0  # driver: messages can come; value 1, or 0 if it has failed
    DEVICE_ADD = 1  # device: here is a port
    DEVICE_REMOVE = 2  # device: that port is gone
    PORT_READY = 3  # driver: the port can be used; value 1, or 0 if it cannot
    CONSOLE_PORT = 4  # device: a console is at this port
    RESIZE = 5  # device: its size, in a RESIZE behind it
    PORT_OPEN = 6  # both: value 1, somebody has opened my end; 0, has closed it
    PORT_NAME = 7  # device: its name, in UTF-8, up to the end of the message


# -- queues (5.3.2)

CONTROL_RECEIVEQ, CONTROL_TRANSMITQ = 2, 3
"""The queues for messages: to the driver, and to the device."""


def receiveq(port: int) -> int:
    """The queue that brings the bytes of `port` to the driver.

    >>> receiveq(0), receiveq(1), receiveq(2)
    (0, 4, 6)
    """
    return 2 * port + 2 * (port > 0)


def transmitq(port: int) -> int:
    """The queue that brings bytes to `port` of the device.

    >>> transmitq(0), transmitq(1), transmitq(2)
    (1, 5, 7)
    """
    return receiveq(port) + 1


def port_of(index: int) -> int:
    """Whose queue `index` is, which is none of the control queues.

    >>> [port_of(index) for index in (0, 1, 4, 5, 6)]
    [0, 0, 1, 1, 2]
    """
    return index // 2 - (index > CONTROL_TRANSMITQ)


def queue_count(ports: int, multiport: bool) -> int:
    """The queues of a device with `ports` ports at most.

    >>> queue_count(1, False), queue_count(1, True), queue_count(2, True)
    (2, 4, 6)
    """
    return 2 * ports + 2 * multiport
