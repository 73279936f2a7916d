"""A recorded boot of SeaBIOS and Linux: our UART gives every answer that the real one gave."""

import pytest

from virtlab.bus import AddressSpace
from virtlab.devices.uart import IER, IIR, LSR, Uart16550
from virtlab.recordings import recording

COM1 = 0x3F8
BOOT = recording("uart16550")


class OnABus:
    """The UART where a PC has it, reached through the port space."""

    def __init__(self):
        self.uart = Uart16550()
        self.ports = AddressSpace("port", 16, max_size=4)
        self.ports.map(COM1, 8, self.uart)

    def read(self, port, size):
        return self.ports.read(port, size)

    def write(self, port, size, value):
        self.ports.write(port, size, value)


class ByItself:
    """The UART, and nothing around it."""

    def __init__(self):
        self.uart = Uart16550()

    def read(self, port, size):
        return self.uart.read(port - COM1, size)

    def write(self, port, size, value):
        self.uart.write(port - COM1, size, value)


def replay(machine, accesses):
    """Do every access. Gives the number of reads, and `(access, our answer)` where they differ."""
    reads, differences = 0, []
    for access in accesses:
        if access.write:
            machine.write(access.address, access.size, access.value)
        else:
            reads += 1
            answer = machine.read(access.address, access.size)
            if answer != access.value:
                differences.append((access, answer))
    return reads, differences


@pytest.mark.parametrize("machine", [OnABus, ByItself])
def test_every_answer_of_the_recorded_boot_is_the_same(machine):
    assert len(BOOT) == 4891
    assert replay(machine(), BOOT) == (1312, [])


def test_the_console_of_the_booting_kernel_comes_out_of_the_port_writes():
    machine = ByItself()
    replay(machine, BOOT)
    text = machine.uart.terminal.text
    assert len(text) == 3194
    assert text.startswith("INIT: 6.1.0-56-cloud-amd64 up 4.80 0.00\r\n           CPU0")
    assert text.endswith("/devices/platform/i8042/serio0/input/input0\r\nINIT-DONE\r\n")


def test_a_wrong_answer_in_the_recording_would_be_seen():
    for index in [i for i, access in enumerate(BOOT) if not access.write][::100]:
        changed = [*BOOT]
        changed[index] = BOOT[index]._replace(value=BOOT[index].value ^ 1)
        reads, differences = replay(ByItself(), changed)
        assert reads == 1312
        assert [access for access, _ in differences] == [changed[index]]


def test_a_missing_write_in_the_recording_would_be_seen():
    enables = [i for i, access in enumerate(BOOT) if access.write and access.address == COM1 + 1]
    assert replay(ByItself(), BOOT[: enables[-2]] + BOOT[enables[-2] + 1 :])[1] != []


class NeverEmpty(ByItself):
    """A UART whose THRE is stuck at 0."""

    def read(self, port, size):
        answer = super().read(port, size)
        return LSR.THRE.put(answer, 0) if port == COM1 + LSR.offset else answer


class NoFifos(ByItself):
    """A 16450."""

    def write(self, port, size, value):
        if port != COM1 + IIR.offset:
            super().write(port, size, value)


class NoThreInterrupt(ByItself):
    """A UART that never says that THR is empty."""

    def write(self, port, size, value):
        mask = ~IER.ETBEI.mask if port == COM1 + IER.offset else ~0
        super().write(port, size, value & mask)


@pytest.mark.parametrize("broken", [NeverEmpty, NoFifos, NoThreInterrupt])
def test_a_broken_uart_would_be_seen(broken):
    assert len(replay(broken(), BOOT)[1]) > 100
