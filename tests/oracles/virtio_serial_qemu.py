"""QEMU's virtio-serial with three ports, whose far ends are sockets here."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager

from tests.oracles.virtio_qemu import behind, only, room
from virtlab.guest.virtio_console import CONSOLE_FEATURES, ConsoleDriver
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.virtio.status import DeviceId

PATIENCE = 10.0
"""Seconds after which QEMU has lost something."""

NAMES = {1: "org.virtlab.one", 2: "org.virtlab.two"}
"""Ports beside the console, which is port 0."""


class FarEnd:
    """What stands behind one port: QEMU connects to it."""

    def __init__(self, path):
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen(1)
        self.listening.settimeout(PATIENCE)

    def accept(self):
        self.socket, _ = self.listening.accept()
        self.socket.settimeout(PATIENCE)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, length):
        """The next `length` bytes that the guest has sent."""
        found = b""
        while len(found) < length:
            piece = self.socket.recv(length - len(found))
            assert piece, "QEMU has closed this port"
            found += piece
        return found

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listening.close()


@contextmanager
def machine_with(bus, tmp_path, options=",max_ports=4", names=NAMES):
    """QEMU with a console and the ports `names`: the Cpu, the transport, and the far ends."""
    with ExitStack() as stack:
        ends = {n: stack.enter_context(FarEnd(tmp_path / f"port{n}")) for n in (0, *names)}
        more = []
        for number in ends:
            more += ["-chardev", f"socket,id=char{number},path={tmp_path / f'port{number}'}"]
            kind = f"virtserialport,nr={number},name={names[number]}" if number else "virtconsole"
            more += ["-device", f"{kind},chardev=char{number}"]
        device = ("virtio-serial", DeviceId.CONSOLE, tmp_path / "ram", options)
        with behind(bus, *device, more=more) as (cpu, transport):
            for end in ends.values():
                end.accept()
                stack.callback(end.close)
            yield cpu, transport, ends


@contextmanager
def started(bus, layout, tmp_path, without=(), options=",max_ports=4", **how):
    """The same, with our driver at work, and the far ends."""
    options += ",packed=on" if layout == "packed" else ""
    understood = only(layout, (RING_FEATURES | CONSOLE_FEATURES) - set(without))
    with machine_with(bus, tmp_path, options) as (cpu, transport, ends):
        driver = ConsoleDriver(cpu, transport, room(), understood=understood, **how)
        driver.start()
        yield driver, ends


def arrives(driver, port, length):
    """The next `length` bytes of `port`: QEMU hands them over when it gets to it."""
    found = b""
    for _ in range(20_000):
        found += port.read()
        if len(found) >= length:
            break
        driver.cpu.wait()
    return found


def heard(driver, what):
    """Listen until the device has said `what`, which is `(event, port, value)`."""
    for _ in range(20_000):
        if what in driver.service():
            return
        driver.cpu.wait()
    raise AssertionError(f"QEMU did not say {what}")
