"""DEVICE_SET_IRQS as a command: what it may say, and what is refused and changes nothing."""

from __future__ import annotations

import errno
import os

import pytest

from tests.descriptors import fd_count
from tests.hosts.vfio_user.bench import events
from tests.hosts.vfio_user.irqs import (
    FIRE,
    INTX,
    LISTEN,
    MASK,
    MASTER,
    MSI,
    MSIX,
    config,
    listen,
    msix_on,
    set_irqs,
)
from virtlab.hosts.vfio_user.interrupts import Irq
from virtlab.hosts.vfio_user.layouts import (
    ACTION_MASK,
    ACTION_TRIGGER,
    ACTION_UNMASK,
    DATA_BOOL,
    DATA_EVENTFD,
    DATA_NONE,
    IrqIndex,
)


@pytest.fixture
def bench(make):
    bench = make()
    config(bench, 4, MASTER, 2)
    return bench


def test_the_client_fires_them_itself(bench):
    fds = listen(bench, MSIX, 3)
    assert set_irqs(bench, FIRE, MSIX, 0, 2) == 0
    assert set_irqs(bench, DATA_BOOL | ACTION_TRIGGER, MSIX, 0, 3, b"\1\0\1") == 0
    assert [events(fd) for fd in fds] == [2, 1, 1]
    assert set_irqs(bench, FIRE, MSI, 0, 1) == 0  # nobody hears it


def test_another_eventfd_for_one_that_has_one(bench):
    (first,), (second,) = listen(bench, MSIX), listen(bench, MSIX)
    assert set_irqs(bench, FIRE, MSIX) == 0
    assert (events(first), events(second)) == (0, 1)
    assert bench.slot.interrupts.heard == [Irq(MSIX, 0)]


def test_a_hang_up_gives_the_descriptors_back(make):
    before = fd_count()
    bench = make()
    listen(bench, MSIX, 3)
    listen(bench, INTX)
    assert set_irqs(bench, MASK, MSIX, 2) == 0
    bench.close()
    bench.fds.clear()
    assert fd_count() == before
    assert bench.slot.interrupts.heard == []


@pytest.mark.parametrize(
    ("flags", "index", "start", "count", "data", "fds"),
    [
        (0, MSIX, 0, 1, b"", 0),
        (DATA_NONE, MSIX, 0, 1, b"", 0),
        (ACTION_TRIGGER, MSIX, 0, 1, b"", 0),
        (DATA_NONE | DATA_BOOL | ACTION_TRIGGER, MSIX, 0, 1, b"\1", 0),
        (DATA_NONE | ACTION_TRIGGER | ACTION_MASK, MSIX, 0, 1, b"", 0),
        (FIRE | 0x40, MSIX, 0, 1, b"", 0),
        (FIRE, 5, 0, 1, b"", 0),
        (FIRE, MSIX, 0, 4, b"", 0),
        (FIRE, MSIX, 3, 1, b"", 0),
        (FIRE, MSIX, 0xFFFF_FFFF, 0xFFFF_FFFF, b"", 0),
        (FIRE, IrqIndex.ERR, 0, 1, b"", 0),
        (FIRE, MSIX, 1, 0, b"", 0),
        (MASK, MSIX, 0, 0, b"", 0),
        (LISTEN, MSIX, 0, 0, b"", 0),
        (FIRE, MSIX, 0, 1, b"\1", 0),
        (FIRE, MSIX, 0, 1, b"", 1),
        (DATA_BOOL | ACTION_TRIGGER, MSIX, 0, 2, b"\1", 0),
        (LISTEN, MSIX, 0, 2, b"", 1),
        (LISTEN, MSIX, 0, 1, b"\1", 1),
        (DATA_EVENTFD | ACTION_MASK, INTX, 0, 1, b"", 1),
        (DATA_EVENTFD | ACTION_UNMASK, INTX, 0, 1, b"", 1),
    ],
)
def test_what_is_refused_changes_nothing(bench, flags, index, start, count, data, fds):
    (fd,) = listen(bench, MSIX)
    before = fd_count()
    others = [bench.event() for _ in range(fds)]
    assert set_irqs(bench, flags, index, start, count, data, others) == errno.EINVAL
    assert fd_count() == before + fds
    msix_on(bench)
    bench.function.notify(0)
    assert events(fd) == 1
    assert bench.slot.interrupts.heard == [Irq(MSIX, 0)]


def test_what_is_no_eventfd(bench, tmp_path):
    (fd,) = listen(bench, MSIX)
    before = fd_count()
    with (tmp_path / "file").open("w") as file:
        assert set_irqs(bench, LISTEN, MSIX, 0, 2, fds=[fd, file.fileno()]) == errno.EINVAL
    assert fd_count() == before
    assert set_irqs(bench, FIRE, MSIX) == 0
    assert events(fd) == 1


def test_an_eventfd_that_is_full_or_closed(bench):
    (fd,) = listen(bench, MSIX)
    os.eventfd_write(fd, (1 << 64) - 2)
    assert set_irqs(bench, FIRE, MSIX) == 0
    one, other = os.pipe()
    os.close(one)
    assert set_irqs(bench, LISTEN, MSIX, 0, 1, fds=[other]) == 0
    os.close(other)
    assert set_irqs(bench, FIRE, MSIX) == 0


def test_a_function_with_neither_messages_nor_pin(make):
    from virtlab.pci.function import Function, Identity

    bench = make(Function(Identity(1, 2, 3)))
    for index in IrqIndex:
        assert set_irqs(bench, FIRE, index) == errno.EINVAL
        assert set_irqs(bench, FIRE, index, 0, 0) == 0
    bench.function.dma.function.header.COMMAND = MASTER
    with pytest.raises(Exception, match="no memory there"):
        bench.function.dma.write(0, bytes(4))
