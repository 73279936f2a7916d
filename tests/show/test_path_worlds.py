"""The machines for both ways: how a guest is woken, and what it must not take for an answer."""

import pytest

from virtlab import machine
from virtlab.guest import virtio_transport
from virtlab.guest.pic import Pics
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.interrupts import MESSAGE_BASE, Msi
from virtlab.show.path_choice import REQUEST, Choice
from virtlab.show.path_guests import Sleep
from virtlab.show.path_names import tally
from virtlab.show.path_worlds import QUEUE_VECTOR, SLOT, Messages, world
from virtlab.trace import Access
from virtlab.virtio.features import Feature


class Chip:
    """An interrupt controller with one vector, or none."""

    def __init__(self, *vectors):
        self.vectors = list(vectors)

    @property
    def pending(self):
        return bool(self.vectors)

    def acknowledge(self):
        return self.vectors.pop()


# -- messages


def test_a_message_is_pending_until_it_is_acknowledged():
    messages = Messages(Chip())
    assert not messages.pending
    messages.take(0, Msi(MESSAGE_BASE, 0x4051))
    assert messages.pending
    assert messages.acknowledge() == 0x51
    assert not messages.pending


def test_the_same_message_twice_is_one_interrupt_and_the_highest_vector_comes_first():
    messages = Messages(Chip())
    for data in (0x41, 0x51, 0x51):
        messages.take(0, Msi(MESSAGE_BASE, data))
    assert [messages.acknowledge(), messages.acknowledge()] == [0x51, 0x41]
    assert not messages.pending


def test_the_8259as_are_still_heard():
    messages = Messages(Chip(0x2E))
    assert messages.pending
    messages.take(0, Msi(MESSAGE_BASE, 0x41))
    assert [messages.acknowledge(), messages.acknowledge()] == [0x41, 0x2E]


def test_msix_leaves_the_wire_alone():
    made = world(Choice("disk", "virtio", REQUEST, msix=True))
    made.disk.take([0])
    assert made.vm.pic.pending is False
    with made.vm.trace.recording() as events:
        made.disk.take([8])
    assert [event.value for event in events if event.kind == "msi"] == [QUEUE_VECTOR]


# -- sleep


def asleep(irq):
    vm = machine.lesson_vm()
    pics = Pics(vm.cpu)
    pics.remap()
    return vm, Sleep(pics, irq)


def test_a_guest_that_nobody_wakes_gives_up():
    _, sleep = asleep(10)
    with pytest.raises(TimeoutError, match="IRQ 10 does not come"):
        sleep(lambda: None)
    _, sleep = asleep(None)
    with pytest.raises(TimeoutError, match="no message"):
        sleep(lambda: None)


def test_a_guest_that_another_device_wakes_says_so():
    vm, sleep = asleep(10)
    sleep.pics.unmask(11)
    vm.pic.line(11).pulse()
    with pytest.raises(TimeoutError, match="10 does not come, but 11"):
        sleep(lambda: None)


def test_the_device_is_asked_before_the_interrupt_is_ended():
    """A wire with a level: else the 8259A would hear it again."""
    vm, sleep = asleep(11)
    vm.pic.line(11).set(True)
    served = []
    sleep(lambda: served.append(sleep.pics.in_service))
    assert served == [1 << 11 | 1 << 2]
    assert not sleep.pics.in_service


# -- devices that do not answer


@pytest.fixture
def impatient(monkeypatch):
    """A guest that gives up soon."""
    monkeypatch.setattr(virtio_transport, "POLLS", 100)


def silent(made):
    """Let the VM's virtio device hear no doorbell any more."""
    card = made.vm.cards.root.bus.functions[SLOT, 0]
    card.core.device.handle = lambda index, queue: None
    return card


@pytest.mark.parametrize("interrupts", [True, False])
def test_a_disk_that_does_not_answer_is_given_up(impatient, interrupts):
    made = world(Choice("disk", "virtio", REQUEST, interrupts=interrupts))
    silent(made)
    with pytest.raises(TimeoutError):
        made.disk.take([0])


def test_an_interrupt_without_an_answer_is_no_answer(impatient):
    made = world(Choice("net", "virtio", 1))
    card = silent(made)
    card.core.device.arrived = lambda index: card.core.config_changed()
    made.far.send(b"\xff" * 60)
    with pytest.raises(TimeoutError, match="does not answer"):
        made.card.receive(1)


def test_a_request_that_the_disk_refuses_is_an_error():
    made = world(Choice("disk", "virtio", REQUEST))
    with pytest.raises(OSError, match="refuses"):
        made.disk.take([machine.DISK_SECTORS])


# -- what was negotiated


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("event_idx", [False, True])
def test_the_guest_has_the_ring_that_was_chosen(layout, event_idx):
    choice = Choice("net", "virtio", 1, layout=layout, event_idx=event_idx)
    queue = world(choice).card.out.queue
    assert isinstance(queue, PackedDriver if layout == "packed" else SplitDriver)
    assert (Feature.RING_EVENT_IDX in queue.features) is event_idx


# -- names


def test_what_has_no_name_is_not_counted():
    names = {("port", 0x20, True): "end of interrupt"}
    accesses = [
        Access(0, True, "port", 0x20, 1, 0x60),
        Access(1, False, "port", 0x20, 1, 0),
        Access(2, True, "memory", 0x20, 1, 0),
    ]
    assert tally(accesses, names) == {"end of interrupt": 1}


@pytest.mark.parametrize("transport", ["pci", "pci-legacy", "mmio"])
def test_each_transport_has_a_doorbell_and_a_status(transport):
    made = world(Choice("net", "virtio", 1, transport=transport))
    assert {"doorbell", "interrupt status", "end of interrupt"} == set(made.names.values())
