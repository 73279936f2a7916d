"""A drive that is dead, or none: the driver gives up after a bounded number of polls."""

import pytest

from virtlab.backends.disk import SECTOR
from virtlab.guest.ata import AtaDriver

TABLE, BUFFER = 0x8000, 0x20000


@pytest.fixture
def impatient(monkeypatch):
    """A driver that polls 50 times only."""
    monkeypatch.setattr("virtlab.guest.ata.POLLS", 50)
    monkeypatch.setattr("virtlab.guest.ata_ports.POLLS", 50)


class Stuck:
    """A Cpu whose every port reads the same."""

    def __init__(self, value):
        self.value = value

    def inp(self, port, size=1):
        return self.value

    def out(self, port, value, size=1):
        pass

    def write(self, gpa, data):
        pass

    def wait(self, timeout=0):
        return None


@pytest.mark.parametrize(("status", "why"), [(0x80, "not idle"), (0x50, "did not answer")])
@pytest.mark.usefixtures("impatient")
def test_a_drive_that_stays_busy_or_silent_counts_as_dead(status, why):
    with pytest.raises(TimeoutError, match=why):
        AtaDriver(Stuck(status)).read(0)


@pytest.mark.usefixtures("impatient")
def test_a_status_that_stays_busy_counts_as_dead():
    with pytest.raises(TimeoutError, match="did not answer"):
        AtaDriver(Stuck(0x80)).wait("test")


@pytest.mark.usefixtures("impatient")
def test_a_bus_master_that_never_ends_counts_as_dead():
    class Endless(Stuck):
        def inp(self, port, size=1):
            return {0xC002: 0x01, 0x3F6: self.value}.get(port, 0x50)

        def out(self, port, value, size=1):
            if port == 0xC000 and value & 1:
                self.value = 0x80

    driver = AtaDriver(Endless(0x50), bus_master=0xC000, table=TABLE)
    with pytest.raises(TimeoutError, match="was not done"):
        driver.read_dma(0, [(BUFFER, SECTOR)])


@pytest.mark.parametrize("arguments", [{"device": 2}, {"size": 1}, {"size": 8}])
def test_it_refuses_a_drive_or_a_size_that_is_none(arguments):
    with pytest.raises(ValueError, match="not"):
        AtaDriver(Stuck(0), **arguments)
