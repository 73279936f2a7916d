"""RAM to which devices send their messages: a word for each vector, taken one by one."""

from __future__ import annotations

import pytest

from tests.hosts.vhost_user_threads import new_cpu
from virtlab.hosts.inbox import BYTES, Inbox

AT = 0x8000


def test_a_message_is_an_address_and_a_datum_of_its_own():
    inbox = Inbox(new_cpu(), AT)
    assert inbox.message(1) == (AT + 4, 1)
    assert inbox.message(255) == (AT + 1020, 255)
    assert len({inbox.message(vector)[0] for vector in range(1, 256)}) == 255
    assert repr(inbox) == "Inbox(0x8000)"


@pytest.mark.parametrize("vector", [0, 256, -1])
def test_what_is_no_vector_has_no_message(vector):
    with pytest.raises(ValueError, match="vectors 1 to 255"):
        Inbox(new_cpu(), AT).message(vector)


def test_messages_are_taken_once_the_highest_vector_first():
    """As a local APIC gives them (Intel SDM 3A, 11.8.4)."""
    cpu = new_cpu()
    inbox = Inbox(cpu, AT)
    assert inbox.take() is None
    for vector in (0x41, 0x50, 0x30):
        cpu.store(*inbox.message(vector))
    assert [inbox.take() for _ in range(4)] == [0x50, 0x41, 0x30, None]


def test_several_vectors_of_msi_come_by_one_address():
    """The function puts the number of the vector into the low bits of the datum (6.8.1.6)."""
    cpu = new_cpu()
    inbox = Inbox(cpu, AT)
    address, data = inbox.message(0x40)
    cpu.store(address, data | 3)
    assert inbox.take() == 0x43
    assert inbox.take() is None


def test_what_lay_there_before_is_no_message_and_beyond_it_nothing_changes():
    cpu = new_cpu()
    cpu.write(AT - 8, bytes(range(1, 17)) * 100)
    around = cpu.read(AT - 8, 8), cpu.read(AT + BYTES, 8)
    inbox = Inbox(cpu, AT)
    assert inbox.take() is None
    assert (cpu.read(AT - 8, 8), cpu.read(AT + BYTES, 8)) == around


@pytest.mark.parametrize(
    ("gpa", "why"),
    [
        (AT + 2, "a multiple of 4"),
        (0xA0000, "no RAM of 1024 bytes at 0xa0000"),
        (0xA0000 - 512, "no RAM"),
    ],
)
def test_where_nothing_can_arrive(gpa, why):
    with pytest.raises(ValueError, match=why):
        Inbox(new_cpu(), gpa)
