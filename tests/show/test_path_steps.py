"""A trip is told from its trace: nothing that did not happen, and all that it cost."""

import itertools

import pytest

from virtlab import machine
from virtlab.guest.kernel import VOLUME
from virtlab.registers import Reg
from virtlab.show import path_steps as told
from virtlab.show.path_choice import Choice
from virtlab.show.path_forms import closed_form
from virtlab.show.path_steps import Places, Spent, Step, steps
from virtlab.show.path_trips import FILE, WAYS, rig, trip
from virtlab.trace import Event

BELL = 0xC000_0000
NAMES = {BELL: [Reg(0, 2, name="BELL", access="w")], 0x20: [Reg(0, 1, name="OCW2", access="w")]}
TIMES = 4


@pytest.fixture(scope="module")
def places():
    ram = machine.lesson_vm().vm.ram
    return Places(ram, [(0x2000, 64)], [(0x3000, 4096)]), ram


def event(seq, kind, who="", space="", address=0, size=0, note=""):
    return Event(seq, 0, kind, who, space, address, size, 0, note)


def exit_at(seq, who, *inside, space="memory", address=BELL, size=2, kind="store"):
    """An exit for one access, answered by `who`, with other events before the entry."""
    between = [event(seq + 1, kind, who, space, address, size), *inside]
    return [
        event(seq, "exit", "vm", space, address, size),
        *between,
        event(seq + 1 + len(between), "entry", "vm", space, address, size),
    ]


def tell(events, places):
    """The steps of these events, without the first and the last."""
    return list(steps(events, places[0], NAMES, 512))[1:-1]


# -- the trips of a real guest


@pytest.mark.parametrize("way", WAYS)
def test_a_trip_costs_what_the_trace_has_counted(way):
    made = trip(way)
    kinds = [each.kind for each in made.events]
    assert made.spent.exits == kinds.count("exit")
    assert made.spent.interrupts == kinds.count("inject")
    assert made.spent.copies == kinds.count("copy")
    assert made.spent.registers == sum(
        each.kind == "exit" and bool(each.space) for each in made.events
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_trip_costs_what_the_closed_form_of_its_driver_says(way):
    form = closed_form(Choice("disk", way, 4096, task="out"))
    spent = trip(way).spent
    assert (spent.exits, spent.registers) == (form.exits, form.accesses)
    assert spent.interrupts == form.interrupts
    assert spent.requests == form.copies == spent.copies - 1  # one copy is the guest kernel's own


def test_the_exits_in_numbers():
    assert {way: trip(way).spent.exits for way in WAYS} == {"pio": 2088, "dma": 18, "virtio": 5}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [512, 4096])
def test_the_bytes_are_on_the_physical_disk(way, size):
    assert trip(way, size).stored == bytes(at % 251 for at in range(size))


@pytest.mark.parametrize("way", WAYS)
def test_what_a_trip_spends_never_falls(way):
    costs = [step.spent for step in trip(way).steps]
    for before, after in itertools.pairwise(costs):
        assert all(a <= b for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_every_box_of_the_figure_is_met(way):
    boxes = {"application", "driver", "kvm", "controller", "device", "host", "disk"}
    shared = set() if way == "pio" else {"queue", "buffer"}
    assert {step.at for step in trip(way).steps} == boxes | shared


@pytest.mark.parametrize("way", ["pio", "dma"])
def test_without_virtio_the_host_works_while_the_guest_waits_for_a_register(way):
    """The step before the host's is an exit or a fetch, not a sleep."""
    before = [step.via for step in trip(way).steps]
    assert before[before.index("host") - 1] in ("decode", "fetch")


def test_a_busy_virtio_disk_works_while_the_guest_sleeps():
    words = [step.words for step in trip("virtio").steps]
    asleep = next(n for n, each in enumerate(words) if each.startswith("HLT"))
    work = next(n for n, each in enumerate(words) if "the host's own driver" in each)
    assert asleep < work


def test_the_steps_of_a_trip_are_few_even_word_by_word():
    lengths = {way: len(trip(way).steps) for way in WAYS}
    assert max(lengths.values()) <= 40


def test_registers_are_called_by_their_names():
    words = " ".join(step.words for way in WAYS for step in trip(way).steps)
    for name in ("OUT DATA", "OUT BMICOM", "store QUEUE_NOTIFY", "load ISR_STATUS", "OUT OCW2"):
        assert name in words


def test_the_virtio_disk_is_told_once_for_each_kick_and_never_twice():
    """Two writes of the application are two requests, one after the other."""
    made = rig("virtio")
    descriptor = made.application.open(FILE)
    for number in range(3):
        assert made.application.write(descriptor, bytes([number]) * 512) == 512
    stored = made.board.disk.read(VOLUME.start + 1, 3)
    assert stored == b"".join(bytes([number]) * 512 for number in range(3))


def test_a_trip_that_fails_is_a_mistake_of_the_experiment():
    with pytest.raises(ValueError, match=r"the application wrote 8192 bytes, not 8704"):
        trip("dma", 8704)


# -- telling


def test_nothing_happens_between_the_first_step_and_the_last(places):
    first, last = steps([], places[0], NAMES, 512)
    assert first == Step(told.APPLICATION, "", "has 512 bytes, and calls write", Spent())
    assert (last.at, last.via, last.spent) == (told.APPLICATION, "return", Spent())


def test_a_store_to_shared_memory_is_told_by_its_place_and_costs_no_exit(places):
    """The guest's own accesses are traced by host-physical address."""
    ram = places[1]
    events = [
        event(0, "store", "ram", "memory", ram.hpa(0x2010), 16),
        event(1, "load", "ram", "memory", ram.hpa(0x2000), 4),
        event(2, "store", "ram", "memory", ram.hpa(0x3FFF), 1),
        event(3, "store", "ram", "memory", ram.hpa(0x1FFF), 1),  # nobody's but the guest's
        event(3, "store", "ram", "memory", ram.hpa(0x2040), 1),  # just behind the queue
        event(4, "store", "ram", "memory", 0x10, 1),  # not this guest's at all
    ]
    queue, buffer = tell(events, places)
    assert (queue.at, queue.via) == (told.QUEUE, "driver")
    assert queue.words.startswith("the guest's driver: 1 write, 1 read.")
    assert (buffer.at, buffer.spent) == (told.BUFFER, Spent(shared=3))


def test_an_exit_is_told_from_kvm_to_the_device(places):
    found = tell(exit_at(0, "card"), places)
    assert [step.at for step in found] == [told.KVM, told.CONTROLLER, told.DEVICE]
    assert [step.via for step in found] == ["exit", "pass", "decode"]
    assert found[0].words == "store BELL: the guest stops"
    assert f"{BELL:#x}" in found[1].words
    assert found[-1].spent == Spent(exits=1, registers=1)


def test_a_register_without_a_name_is_told_by_its_address(places):
    found = tell(exit_at(0, "card", address=BELL + 8), places)
    assert found[0].words == f"store {BELL + 8:#x}: the guest stops"


def test_exits_like_the_first_are_counted_in_one_step(places):
    events = [each for n in range(5) for each in exit_at(10 * n, "card")]
    found = tell(events, places)
    assert len(found) == 4
    assert found[-1].words == "store BELL and so on: 4 exits in the same way"
    assert found[-1].spent.exits == 5


def test_a_halt_is_no_access_to_a_register(places):
    (found,) = tell([event(0, "exit", "vm"), event(1, "entry", "vm")], places)
    assert (found.at, found.spent) == (told.KVM, Spent(exits=1))


def test_the_end_of_an_interrupt_stays_in_kvm(places):
    pic = {"space": "port", "address": 0x20, "size": 1, "kind": "out"}
    found = tell([*exit_at(0, "pic master", **pic), *exit_at(9, "pic master", **pic)], places)
    assert [step.at for step in found] == [told.KVM, told.KVM]
    assert found[0].words == "OUT OCW2: end of interrupt, at the virtual 8259A"
    assert found[1].words == "OUT OCW2: 1 exit in the same way"


def test_what_the_device_does_inside_an_exit_is_told_in_order(places):
    inside = [
        event(2, "dma read", "card", "memory", 0x2000, 2),
        event(3, "MRd", "bus 00"),
        event(4, "dma read", "card", "memory", 0x2010, 16),
        event(5, "dma read", "card", "memory", 0x3000, 512),
        event(6, "copy", "disk", size=512, note="takes 512 bytes"),
        event(7, "out", "ide 0", "port", 0x1F0, 2),
        event(8, "in", "ide 0", "port", 0x1F7, 1),
        event(9, "dma write", "card", "memory", 0x2030, 8),
        event(10, "dma write", "card", "memory", 0x9000, 8),  # not shared with anybody
    ]
    found = tell(exit_at(0, "card", *inside), places)[3:]
    assert [step.at for step in found] == [
        told.QUEUE, told.BUFFER, told.HOST, told.DISK, told.QUEUE,
    ]  # fmt: skip
    assert found[0].words == "the device: 2 reads"
    assert found[3].words == "moves the sectors; the host makes 2 accesses"
    assert found[-1].words == "the device: 1 write"
    assert found[-1].spent == Spent(1, 1, copies=1, fetched=4, requests=1)


def test_an_interrupt_rises_at_kvm_and_comes_to_the_driver(places):
    inject = event(1, "inject", "vm", note="vector 0x2e")
    _, line, come = tell([event(0, "exit", "vm"), inject, event(2, "entry", "vm")], places)
    assert (line.at, line.via, line.spent.interrupts) == (told.KVM, "irq", 1)
    assert (come.at, come.via) == (told.DRIVER, "inject")
    assert come.words == "the interrupt comes: vector 0x2e"


def test_the_guests_kernel_is_told_from_its_trace_points(places):
    events = [event(0, "system call"), event(1, "copy", "guest kernel", size=512)]
    call, copy = tell(events, places)
    assert (call.at, call.via) == (told.DRIVER, "call")
    assert copy.words == "the kernel has copied 512 bytes from the application"
    assert copy.spent == Spent(copies=1)


def test_what_comes_again_in_the_same_words_is_told_once(places):
    kinds = ("exit", "entry", "system call")
    events = [event(3 * n + at, kind) for n in range(TIMES) for at, kind in enumerate(kinds)]
    found = tell(events, places)
    assert [step.words[:3] for step in found] == ["HLT", "the", "… a"]
    assert found[-1].words == "… and all of this 3 times more"
    assert found[-1].spent.exits == TIMES


def test_what_comes_again_with_another_word_is_told_each_time(places):
    events = []
    for size in (1, 2, 3):
        events += [event(3 * size, "exit"), event(3 * size + 1, "entry")]
        events += [event(3 * size + 2, "copy", size=size)]
    assert len(tell(events, places)) == 6
