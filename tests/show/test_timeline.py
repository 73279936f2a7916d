"""The exit timeline: who runs, who answers, what did not exit."""

from tests.show.looks import check_picture, words_of
from virtlab.machine import lesson_pc, lesson_vm
from virtlab.show import exit_timeline
from virtlab.show.timeline import DEVICE, GUEST, VMM, steps
from virtlab.trace import Event


def event(kind, note="", space="", **more):
    return Event(0, more.pop("time", 0), kind, more.pop("who", ""), space, note=note, **more)


def test_an_access_that_traps_reaches_the_device_from_the_vmm():
    rows = steps([event("exit", "I/O"), event("out", space="port"), event("entry")])
    assert [(row.start, row.end) for row in rows] == [(GUEST, VMM), (VMM, DEVICE), (VMM, GUEST)]
    assert [row.style for row in rows] == ["exit", "forwarded", "entry"]


def test_an_access_that_does_not_exit_goes_straight():
    (row,) = steps([event("in", space="port", address=0x3FD, size=1, value=0x60, who="uart")])
    assert (row.start, row.end, row.style) == (GUEST, DEVICE, "direct")
    assert row.words == "in 0x3fd/1 gives 0x60, uart"


def test_a_trace_that_begins_with_an_entry_begins_in_the_vmm():
    (row,) = steps([event("entry", "resumed")])
    assert (row.running, row.words) == (VMM, "entry: resumed")


def test_interrupts_refusals_and_other_events():
    rows = steps(
        [
            event("irq", "line 4", who="uart"),
            event("inject", "vector 0x24", who="vm"),
            event("unclaimed", "in: nothing answers here", "port", address=0x300, size=1),
            event("straddle", "", "port"),
            event("shadow", "filled", who="vmm"),
        ]
    )
    assert [(row.start, row.end) for row in rows] == [
        *((DEVICE, VMM), (VMM, GUEST), (GUEST, DEVICE), (GUEST, DEVICE), (GUEST, GUEST)),
    ]
    assert [row.words for row in rows][2:] == [
        *("in 0x300/1: nothing answers here", " 0x0/0: straddle", "shadow vmm filled"),
    ]


def test_the_numbers_of_an_exit_are_left_to_the_table():
    exits = [event("exit", "HLT (reason 12)"), event("exit", "", "port", address=1, who="vm")]
    assert [row.words for row in steps(exits)] == ["exit: HLT", "exit: vm, 0x1/0"]


def test_a_real_vm_in_one_picture():
    pc = lesson_pc()
    vm = lesson_vm(pc)
    with pc.trace.recording() as events:
        vm.cpu.out(0x3F8, 0x41)
        vm.vm.assign_ports(0x3F8, 8)
        vm.cpu.out(0x3F8, 0x42)
        vm.cpu.inp(0x300)
    drawn = exit_timeline(events)
    root = check_picture(drawn)
    assert (
        root.attrib["aria-label"] == "Who runs, and who answers: exits: 2, accesses without exit: 1"
    )
    assert "out 0x3f8/1 ← 0x42, uart" in words_of(drawn)
    assert drawn.svg == exit_timeline(events).svg


def test_every_kind_draws_and_what_is_too_much_is_counted():
    kinds = ("exit", "out", "irq", "inject", "entry", "in", "unclaimed", "load", "note", "exit")
    events = [event(kind, "words " * 20, "memory", time=i) for i, kind in enumerate(kinds)]
    check_picture(exit_timeline(events))
    drawn = exit_timeline(events, limit=3)
    check_picture(drawn)
    assert "and 7 more events" in words_of(drawn)
    assert "and 7 more events" in drawn.text


def test_no_events_is_an_empty_picture():
    check_picture(exit_timeline([]))
    assert steps([]) == []
