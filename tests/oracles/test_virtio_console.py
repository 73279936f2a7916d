"""Our console driver, unchanged, on QEMU's virtio-serial: all transports, both rings, all ports."""

import random

import pytest

from tests.needs import needs_qemu
from tests.oracles.virtio_qemu import LAYOUTS
from tests.oracles.virtio_serial_qemu import NAMES, arrives, heard, machine_with, started
from virtlab.guest.room import Room
from virtlab.guest.virtio_console import ConsoleDriver
from virtlab.virtio.console_layouts import ConsoleEvent, ConsoleFeature
from virtlab.virtio.features import Feature


@needs_qemu
@pytest.mark.parametrize(("bus", "layout"), LAYOUTS)
def test_a_thousand_transfers_over_three_ports(bus, layout, tmp_path):
    rng = random.Random(bus + layout)
    with started(bus, layout, tmp_path) as (driver, ends):
        assert (Feature.RING_PACKED in driver.virtio.features) == (layout == "packed")
        assert sorted(driver.ports) == [0, 1, 2]
        for port in driver.ports.values():
            port.open()
        for _ in range(1000):
            number = rng.randrange(3)
            data = rng.randbytes(rng.choice([1, 20, rng.randrange(1, 3000)]))
            if rng.random() < 0.5:
                driver.ports[number].write(data)
                assert ends[number].receive(len(data)) == data
            else:
                ends[number].send(data)
                assert arrives(driver, driver.ports[number], len(data)) == data
        assert not driver.virtio.needs_reset


@needs_qemu
@pytest.mark.parametrize(("bus", "layout"), LAYOUTS)
def test_a_device_with_one_port(bus, layout, tmp_path):
    """Without MULTIPORT there is port 0, and not a word about it."""
    with started(bus, layout, tmp_path, without={ConsoleFeature.MULTIPORT}) as (driver, ends):
        assert list(driver.ports) == [0]
        assert len(driver.virtio.queues) == 2
        rng = random.Random(1)
        for _ in range(100):
            data = rng.randbytes(rng.randrange(1, 600))
            driver.ports[0].write(data)
            assert ends[0].receive(len(data)) == data
            ends[0].send(data[::-1])
            assert arrives(driver, driver.ports[0], len(data)) == data[::-1]


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy", "mmio", "mmio-legacy"])
def test_ports_are_called_what_qemu_calls_them(bus, tmp_path):
    with started(bus, "split", tmp_path) as (driver, _):
        assert {n: driver.ports[n].name for n in NAMES} == NAMES
        assert [driver.ports[n].console for n in range(3)] == [True, False, False]
        assert all(port.host_open for port in driver.ports.values())
        assert driver.config == {"max_nr_ports": 4}
        offered = driver.virtio.offered & set(ConsoleFeature)
        assert offered == {ConsoleFeature.MULTIPORT, ConsoleFeature.EMERG_WRITE}
        assert driver.window is None


@needs_qemu
def test_all_31_ports_are_announced(tmp_path):
    """QEMU drops a message for which there is no buffer: there always is one."""
    names = {number: f"port {number}" for number in range(1, 31)}
    with machine_with("pci", tmp_path, "", names) as (cpu, transport, _):
        driver = ConsoleDriver(cpu, transport, Room(0x10_0000, 16 << 20))
        driver.start()
        assert {n: port.name for n, port in driver.ports.items() if n} == names


@needs_qemu
def test_a_closed_port_is_told_and_gets_nothing(tmp_path):
    with started("pci", "packed", tmp_path) as (driver, ends):
        ends[1].send(b"too early")
        assert driver.ports[1].read() == b""
        driver.ports[1].open()
        assert arrives(driver, driver.ports[1], 9) == b"too early"
        ends[2].close()
        heard(driver, (ConsoleEvent.PORT_OPEN, 2, 0))
        assert not driver.ports[2].host_open
        driver.ports[2].write(b"to nobody")


@needs_qemu
def test_a_port_is_plugged_in_and_taken_away(tmp_path):
    with started("pci", "split", tmp_path) as (driver, ends):
        cpu = driver.cpu.machine
        cpu.qmp("device_add", driver="virtserialport", nr=3, name="late", id="late")
        heard(driver, (ConsoleEvent.DEVICE_ADD, 3, 1))
        heard(driver, (ConsoleEvent.PORT_NAME, 3, 1))
        assert driver.ports[3].name == "late"
        cpu.qmp("device_del", id="late")
        heard(driver, (ConsoleEvent.DEVICE_REMOVE, 3, 1))
        assert 3 not in driver.ports
        ends[0].send(b"still here")
        assert arrives(driver, driver.ports[0], 10) == b"still here"


@needs_qemu
@pytest.mark.parametrize("bus", ["pci", "pci-legacy", "mmio", "mmio-legacy"])
def test_characters_without_a_queue(bus, tmp_path):
    """5.3.5: before there is any queue, and after."""
    with machine_with(bus, tmp_path) as (cpu, transport, ends):
        driver = ConsoleDriver(cpu, transport, Room(0x10_0000, 16 << 20))
        driver.emergency(b"early")
        assert ends[0].receive(5) == b"early"
        driver.start()
        driver.emergency(b"late")
        assert ends[0].receive(4) == b"late"


# -- where QEMU is not the specification


@needs_qemu
def test_qemu_ends_a_name_with_a_zero(tmp_path):
    """5.3.6.2: the name is up to the end of the message, without a NUL. QEMU sends one."""
    with machine_with("pci", tmp_path) as (cpu, transport, _):
        driver = ConsoleDriver(cpu, transport, Room(0x10_0000, 16 << 20))
        names, hear = [], driver._hear

        def noted(number, event, value, more):
            names.extend([more] if event == ConsoleEvent.PORT_NAME else [])
            hear(number, event, value, more)

        driver._hear = noted
        driver.start()
        assert sorted(names) == [b"org.virtlab.one\0", b"org.virtlab.two\0"]


@needs_qemu
def test_qemu_has_no_emergency_for_a_zero(tmp_path):
    """5.3.5.1: the lower byte should be transmitted, whichever it is."""
    with machine_with("pci", tmp_path) as (cpu, transport, ends):
        driver = ConsoleDriver(cpu, transport, Room(0x10_0000, 16 << 20))
        driver.emergency(b"a\0b")
        assert ends[0].receive(2) == b"ab"
