"""Between two machines: every arrow has the VMM at one end, and stands for an event."""

import pytest

from tests.show.looks import check_picture, words_of
from virtlab import machine
from virtlab.devices.vlink import LinkRegisters
from virtlab.guest.pic import Pics
from virtlab.guest.vlink import LinkDriver
from virtlab.show.two_vms import arrows, two_vms
from virtlab.trace import Event
from virtlab.vmm.vlink import PLACE, LinkBetween

REGISTERS = {PLACE: LinkRegisters.registers}


@pytest.fixture(scope="module")
def events():
    """One message from A to B, who sleeps."""
    host = machine.lesson_pc()
    guests = [machine.lesson_vm(host, name=letter) for letter in "AB"]
    LinkBetween(*guests)
    ends = [LinkDriver(guest.cpu, PLACE, 0x8000) for guest in guests]
    for guest, end in zip(guests, ends, strict=True):
        pics = Pics(guest.cpu)
        pics.remap()
        end.start(pics)
    with host.trace.recording() as events:
        ends[0].send(b"hello")
        ends[1].receive_asleep()
    return events


def test_a_message_is_these_ten_arrows(events):
    found = arrows(events, "A", "B", REGISTERS)
    assert [(each.start, each.end, each.words) for each in found] == [
        (0, 1, "EPT violation: SEND"),
        (0, 1, "copy, 5 bytes"),
        (1, 2, "IRQ 6 rises"),
        (0, 1, "EPT violation: STATUS"),
        (2, 1, "HLT"),
        (1, 2, "inject vector 0x26"),
        (2, 1, "EPT violation: RECEIVE"),
        (1, 2, "copy, 5 bytes"),
        (2, 1, "EPT violation: RECEIVE"),
        (2, 1, "I/O instruction: 0x20"),
    ]


def test_the_vmm_is_at_one_end_of_every_arrow_whoever_is_left(events):
    for left, right in ("AB", "BA"):
        for each in arrows(events, left, right):
            assert 1 in (each.start, each.end)
            assert each.start != each.end
    mirrored = arrows(events, "B", "A", REGISTERS)
    assert [2 - each.start for each in mirrored] == [
        each.start for each in arrows(events, "A", "B", REGISTERS)
    ]


def test_others_and_other_events_are_left_out(events):
    assert arrows(events, "C", "D") == []
    assert {each.kind for each in arrows(events, "A", "C")} == {"exit", "copy"}


def test_a_fault_is_an_arrow_too():
    fault = Event(0, 0, "fault", "A", note="no memory there")
    assert arrows([fault], "A", "B")[0].words == "fault: no memory there"


@pytest.mark.parametrize("limit", [0, 3, 10, 99])
def test_the_picture_keeps_the_rules_and_says_what_it_leaves_out(events, limit):
    drawn = two_vms(events, registers=REGISTERS, limit=limit)
    check_picture(drawn)
    assert drawn.text.count("\n") == min(limit, 10)
    assert (f"and {10 - limit} more" in words_of(drawn)) == (limit < 10)
    assert two_vms(events, registers=REGISTERS, limit=limit).svg == drawn.svg


def test_colour_is_not_the_only_thing_that_tells_a_copy_from_an_exit(events):
    svg = two_vms(events, title="x").svg
    assert svg.count('stroke-width="5" ') or svg.count('stroke-width="5"/>')
    assert "stroke-dasharray" in svg
