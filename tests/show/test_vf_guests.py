"""Guests with virtual functions: an ordinary driver, and exits only before the first frame."""

import pytest

from virtlab import server
from virtlab.show.vf_guests import VfGuest, frame, words_of
from virtlab.vmm.passthrough import Passthrough

EVERYBODY = b"\xff" * 6


@pytest.fixture
def three():
    """A host, its kernel, and guests A, B, C with a VF each; C without posted interrupts."""
    host = server.lesson_server(3)
    kernel = server.boot(host)
    given = Passthrough(host, kernel)
    guests = [VfGuest(host, name) for name in "ABC"]
    for vf, guest in zip(kernel.start_net(3), guests, strict=True):
        given.give(vf, guest.made, posted=guest is not guests[2])
        guest.boot()
    return host, kernel, guests


def test_a_frame_between_two_vms_costs_no_exit(three):
    _, _, (a, b, _) = three
    exits = a.exits, b.exits
    for number in range(20):
        a.send(b.mac, f"frame {number}".encode())
        assert b.heard() == [f"frame {number}"]
    assert (a.exits, b.exits) == exits


def test_without_posting_an_interrupt_is_an_exit_and_its_end_another(three):
    _, _, (a, _, c) = three
    exits = c.exits
    for number in range(5):
        a.send(c.mac, b"hello")
        assert c.heard() == ["hello"]
        assert c.exits - exits == 2 * (number + 1)


def test_several_frames_are_heard_in_order_and_nothing_is_heard_twice(three):
    _, _, (a, b, _) = three
    a.send(b.mac, b"one")
    a.send(b.mac, b"two")
    assert b.heard() == ["one", "two"]
    assert [b.heard(), b.heard()] == [[], []]


def test_each_guest_sees_its_card_at_the_same_place_and_memory_of_its_own(three):
    _, kernel, guests = three
    assert {str(guest.card.place) for guest in guests} == {"00:01.0"}
    assert len({guest.mac for guest in guests}) == 3
    for vf, guest in zip(kernel.virtual, guests, strict=True):
        assert guest.vm.tables.walk(guest.card.bar(4)).hpa == vf.bar(4)


def test_a_false_source_and_a_tag_of_its_own_go_with_the_frame_and_are_dropped(three):
    host, _, (a, b, c) = three
    a.send(b.mac, b"I am C", source=c.mac)
    a.send(b.mac, b"tagged", tag=6)
    assert b.heard() == []
    assert host.net.switch.ports[1].counts["dropped: not its address"] == 1
    assert host.net.switch.ports[1].counts["dropped: tagged"] == 1


def test_a_guest_without_a_card_finds_none():
    with pytest.raises(LookupError):
        VfGuest(server.lesson_server(1), "D").boot()


def test_a_frame_is_as_long_as_the_shortest_and_says_its_words():
    made = frame(EVERYBODY, bytes(6), b"hello", 5)
    assert len(made) == 60
    assert made[12:16] == b"\x81\x00\x00\x05"
    assert words_of(made) == "hello (tag 5)"
    assert words_of(frame(EVERYBODY, bytes(6), b"hello")) == "hello"
