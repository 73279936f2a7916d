"""DEVICE_SET_IRQS, and what an event is: a pin that rises, a message, a vector of MSI-X."""

from __future__ import annotations

import pytest

from tests.hosts.vfio_user.bench import events
from tests.hosts.vfio_user.irqs import (
    FIRE,
    INTX,
    LISTEN,
    MASK,
    MASTER,
    MSI,
    MSIX,
    PIN_OFF,
    UNMASK,
    config,
    listen,
    msi_on,
    msix_on,
    set_irqs,
)
from virtlab.hosts.vfio_user.layouts import (
    Command,
)


@pytest.fixture
def bench(make):
    bench = make()
    config(bench, 4, MASTER, 2)
    return bench


# -- the pin


def test_the_pin_is_one_event_and_then_masked(bench):
    (fd,) = listen(bench, INTX)
    bench.function.irq.set(True)
    assert events(fd) == 1
    bench.function.irq.set(False)
    bench.function.irq.set(True)
    assert events(fd) == 0
    assert set_irqs(bench, UNMASK, INTX) == 0
    assert events(fd) == 1


def test_a_pin_that_fell_is_not_told_of_again(bench):
    (fd,) = listen(bench, INTX)
    bench.function.irq.set(True)
    bench.function.irq.set(False)
    assert events(fd) == 1
    assert set_irqs(bench, UNMASK, INTX) == 0
    assert events(fd) == 0
    bench.function.irq.set(True)
    assert events(fd) == 1


def test_a_pin_that_is_up_before_anybody_listens(bench):
    bench.function.irq.set(True)
    (fd,) = listen(bench, INTX)
    assert events(fd) == 1


def test_a_pin_is_not_driven_where_the_guest_forbids_it(bench):
    (fd,) = listen(bench, INTX)
    config(bench, 4, MASTER | PIN_OFF, 2)
    bench.function.irq.set(True)
    assert events(fd) == 0
    config(bench, 4, MASTER, 2)
    assert events(fd) == 1


def test_the_client_holds_the_pin_back(bench):
    (fd,) = listen(bench, INTX)
    assert set_irqs(bench, MASK, INTX) == 0
    bench.function.irq.set(True)
    assert events(fd) == 0
    assert set_irqs(bench, UNMASK, INTX) == 0
    assert events(fd) == 1


# -- messages


@pytest.mark.parametrize("address", [0x1_2340, 0xFEE0_1000, 0x12_0000_0000])
def test_a_message_is_an_event_wherever_it_leads(bench, address):
    fds = listen(bench, MSI, 4)
    msi_on(bench, address)
    for number in (0, 3, 2):
        assert bench.function.notify(number)
    assert [events(fd) for fd in fds] == [1, 0, 1, 1]


def test_fewer_messages_than_it_has(bench):
    fds = listen(bench, MSI, 4)
    msi_on(bench, vectors=2)
    bench.function.notify(3)
    assert [events(fd) for fd in fds] == [0, 1, 0, 0]


def test_data_at_that_address_are_data(bench):
    """Four bytes that are no message of this function go to memory, where there is none."""
    (fd,) = listen(bench, MSI)
    msi_on(bench)
    for data in (b"\x20\x43\x00", bytes(4), b"\x20\x43\x01\x00"):
        with pytest.raises(Exception, match="no memory there"):
            bench.function.dma.write(0x1_2340, data)
    assert events(fd) == 0


def test_a_message_waits_for_somebody_who_hears_it(bench):
    msi_on(bench)
    bench.function.notify(1)
    bench.function.notify(1)
    fds = listen(bench, MSI, 4)
    assert [events(fd) for fd in fds] == [0, 1, 0, 0]


def test_what_is_released_is_forgotten(bench):
    listen(bench, MSI, 4)
    msi_on(bench)
    assert set_irqs(bench, FIRE, MSI, 0, 0) == 0
    bench.function.notify(1)
    assert set_irqs(bench, LISTEN, MSI, 1, 1) == 0  # no descriptor: it is de-assigned
    assert [events(fd) for fd in listen(bench, MSI, 4)] == [0, 0, 0, 0]


def test_without_bus_master_there_is_no_message(bench):
    (fd,) = listen(bench, MSI)
    msi_on(bench)
    config(bench, 4, 0, 2)
    bench.function.notify(0)
    assert events(fd) == 0


# -- MSI-X


def test_vectors_are_events_of_their_own(bench):
    fds = listen(bench, MSIX, 3)
    msix_on(bench)
    bench.function.notify(0)
    bench.function.notify(2)
    assert [events(fd) for fd in fds] == [1, 0, 1]


def test_a_vector_that_nobody_hears_is_pending_in_the_functions_own_table(bench):
    msix_on(bench)
    bench.function.notify(1)
    assert bench.function.table.pending == 0b010
    fds = listen(bench, MSIX, 3)
    assert ([events(fd) for fd in fds], bench.function.table.pending) == ([0, 1, 0], 0)
    assert set_irqs(bench, LISTEN, MSIX, 1, 1) == 0
    bench.function.notify(1)
    assert bench.function.table.pending == 0b010


def test_a_vector_that_is_masked(bench):
    fds = listen(bench, MSIX, 3)
    msix_on(bench)
    assert set_irqs(bench, MASK, MSIX, 2) == 0
    bench.function.notify(2)
    assert (events(fds[2]), bench.function.table.pending) == (0, 0b100)
    assert set_irqs(bench, UNMASK, MSIX, 2) == 0
    assert (events(fds[2]), bench.function.table.pending) == (1, 0)


def test_the_guests_function_mask(bench):
    fds = listen(bench, MSIX, 3)
    msix_on(bench, 0xC000)
    bench.function.notify(0)
    assert events(fds[0]) == 0
    msix_on(bench)
    assert events(fds[0]) == 1


def test_with_msix_on_the_other_messages_are_data(bench):
    fds = listen(bench, MSI, 4)
    msi_on(bench)
    msix_on(bench)
    with pytest.raises(Exception, match="no memory there"):
        bench.function.dma.write(0x1_2340, b"\x20\x43\x00\x00")
    # There is no vector 3: what a guest makes its device write there is noted nowhere.
    bench.function.dma.write(0xFEE0_0000, b"\x03\x00\x00\x00")
    assert [events(fd) for fd in fds] == [0] * 4
    assert not bench.slot.interrupts._pending


@pytest.mark.parametrize("how", ["DEVICE_RESET", "D3hot"])
def test_after_a_reset_they_are_heard_again(bench, how):
    fds = listen(bench, MSIX, 3)
    assert set_irqs(bench, MASK, MSIX, 1) == 0
    if how == "DEVICE_RESET":
        assert bench.error(Command.DEVICE_RESET) == 0
    else:
        bench.function.reset()
        config(bench, 0x3C, 5, 1)  # any write to configuration space
    config(bench, 4, MASTER, 2)
    msix_on(bench)
    bench.function.notify(0)
    bench.function.notify(1)
    assert [events(fd) for fd in fds] == [1, 0, 0]
