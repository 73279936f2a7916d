"""The VMM's end: what it collects after a reply, and that no service can make it fail."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.clock import SECOND, Clock
from virtlab.interrupts import IrqLine
from virtlab.trace import Trace
from virtlab.vmm.service import link
from virtlab.vmm.service.link import SHORTEST
from virtlab.vmm.service.messages import Kind, Reply, Request
from virtlab.vmm.service.models import FAULT
from virtlab.vmm.service.process import ServiceDied
from virtlab.vmm.service.remote import MAX_PRINTED, SWITCH, DeviceService, RemoteChip


class Scripted:
    """A process that answers from a script: a reply, or why it dies. Then with nothing in it."""

    started = 0

    def __init__(self, greeting, bell, mailbox, fds):
        type(self).started += 1
        self.script, self.asked, self.ended = [], [], 0
        self.alive = True

    def ask(self, request):
        self.asked.append(request)
        step = self.script.pop(0) if self.script else Reply(0)
        if isinstance(step, str):
            raise ServiceDied(step)
        return step

    def kill(self):
        self.alive = False

    def end(self):
        self.ended += 1


class Rig:
    """A served device whose process is a script."""

    def __init__(self, name="edu", **options):
        self.clock = Clock()
        self.trace = Trace(self.clock)
        self.levels = []
        self.line = IrqLine("irq", self.levels.append)
        self.service = DeviceService(name, self.clock, self.trace, self.line, **options)

    @property
    def process(self):
        return self.service.process

    def script(self, *steps):
        self.process.script[:] = steps


@pytest.fixture(autouse=True)
def scripted(monkeypatch):
    monkeypatch.setattr(link, "ServiceProcess", Scripted)


def test_an_access_is_two_world_switches_and_the_time_of_two_switches_of_process():
    rig = Rig()
    rig.script(Reply(0, 0x1234))
    assert rig.service.devices[0].read(4, 4) == 0x1234
    assert rig.trace.counts["world switch"] == 2
    assert rig.clock.now == 2 * SWITCH == 7600
    rig.service.devices[0].write(8, 4, 5)
    assert rig.trace.counts["world switch"] == 4
    read, write = rig.process.asked
    assert read == Request(Kind.READ, 0, 4, 0, 4, 0, time=SWITCH)
    assert write == Request(Kind.WRITE, 0, 4, 0, 8, 5, time=3 * SWITCH)


def test_a_doorbell_is_posted_and_what_comes_of_it_is_fetched_later():
    rig = Rig(posted=[(0, 0x98)])
    rig.service.write(0, 0x98, 8, 1)
    assert (rig.trace.counts["world switch"], rig.clock.now) == (0, 0)
    rig.process.script.append(Reply(0, due=10_000))
    rig.clock.advance(SWITCH)
    assert [request.kind for request in rig.process.asked] == [Kind.POST, Kind.TIME]
    rig.clock.advance(10_000 - SWITCH - 1)
    assert len(rig.process.asked) == 2
    rig.clock.advance(1)
    assert rig.process.asked[2] == Request(Kind.TIME, time=10_000)
    assert rig.trace.counts["world switch"] == 0


def test_how_fast_a_service_is_does_not_show():
    """The bell that a posted write causes is heard when its time has come, not when it rings."""
    rig = Rig(posted=[(0, 0x98)])
    rig.service.write(0, 0x98, 8, 1)
    rig.service.mailbox.change()
    rig.service.bell.ring()
    rig.service.write(0, 0x98, 8, 1)
    assert rig.levels == []
    rig.clock.advance(SWITCH)
    assert rig.levels == [True]


def test_the_earliest_timer_counts_and_no_service_can_ask_for_more_than_a_microsecond():
    rig = Rig()
    rig.script(Reply(0, due=50_000), Reply(0, due=90_000), Reply(0, due=20_000), Reply(0, due=0))
    for _ in range(3):
        rig.service.ask(Request(Kind.READ))
    rig.clock.advance(20_000)
    assert [request.time for request in rig.process.asked] == [0, 0, 0, 20_000]
    rig.clock.advance(SHORTEST)
    assert rig.process.asked[-1].time == 20_000 + SHORTEST
    assert len(rig.process.asked) == 5


@pytest.mark.parametrize(
    ("changes", "levels"),
    [
        (1, [True]),
        (2, [True, False]),
        (3, [True, False, True]),
        (4, [True, False]),
        (5, [True, False, True]),
        (0xFFFF_FFFF, [True, False, True]),
    ],
)
def test_the_line_follows_the_mailbox_and_a_pulse_is_not_lost(changes, levels):
    rig = Rig("uart")
    rig.service.mailbox._record["changes"] = changes
    rig.service.ask(Request(Kind.TIME))
    assert rig.levels == []
    rig.service.bell.ring()
    rig.service.ask(Request(Kind.TIME))
    assert rig.levels == levels
    assert rig.line.level == changes % 2
    assert rig.trace.counts["irq"] == levels.count(True)


def test_dma_is_told_in_bytes():
    rig = Rig()
    rig.service.mailbox.moved(512, True)
    rig.service.mailbox.moved(8, False)
    with rig.trace.recording() as events:
        rig.service.ask(Request(Kind.TIME))
        rig.service.ask(Request(Kind.TIME))
    assert [(event.kind, event.size) for event in events] == [("dma read", 8), ("dma write", 512)]


# -- failure


def test_a_service_that_dies_is_a_failed_device_and_an_event():
    rig = Rig("uart")
    rig.line.set(True)
    rig.script("the service hung up")
    with rig.trace.recording() as events:
        assert rig.service.read(0, 5, 1) == 0xFF
    assert [(event.kind, event.note) for event in events] == [
        ("world switch", "VMM to service: read"),
        ("device failed", "the service hung up"),
        ("world switch", "nobody answers"),
    ]
    assert (rig.service.failed, rig.service.why) == (True, "the service hung up")
    assert not rig.line.level
    assert rig.process.ended == 1


def test_a_failed_device_costs_no_switches_and_is_asked_nothing():
    rig = Rig("uart")
    rig.script("gone")
    rig.service.write(0, 0, 1, 65)
    before, now, asked = rig.trace.counts["world switch"], rig.clock.now, len(rig.process.asked)
    rig.service.write(0, 0, 1, 65)
    assert [rig.service.read(0, 0, size) for size in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFF_FFFF]
    rig.service.type("x")
    assert rig.service.printed == ""
    assert (rig.trace.counts["world switch"], rig.clock.now) == (before, now)
    assert len(rig.process.asked) == asked


def test_a_failed_drive_interrupts_and_says_so_in_its_status():
    rig = Rig("ata")
    rig.script("gone")
    rig.service.write(0, 0, 2, 0x1234)
    assert rig.line.level
    assert rig.service.read(1, 0, 1) == FAULT
    assert rig.line.level
    assert rig.service.read(0, 7, 1) == FAULT
    assert not rig.line.level
    assert rig.service.read(0, 1, 1) == 0x04
    assert rig.service.read(0, 0, 2) == 0xFFFF
    assert rig.service.read(2, 0, 4) == 0xFFFF_FFFF


def test_a_restarted_drive_stays_failed_until_the_guest_has_read_its_status():
    rig = Rig("ata")
    rig.script("gone")
    rig.service.write(0, 0, 2, 0x1234)
    rig.service.restart()
    assert (rig.service.failed, Scripted.started >= 2) == (False, True)
    rig.service.write(0, 7, 1, 0x20)
    assert rig.service.read(0, 2, 1) == 0xFF
    assert rig.process.asked == []
    assert rig.service.read(0, 7, 1) == FAULT
    assert rig.service.read(0, 1, 1) == 0x04
    rig.script(Reply(0, 1), Reply(0, 0x50))
    assert rig.service.read(0, 1, 1) == 1
    assert rig.service.read(0, 7, 1) == 0x50


def test_after_its_status_a_write_makes_a_restarted_drive_whole():
    rig = Rig("ata")
    rig.service.restart()
    assert rig.service.why == "replaced by a new one"
    assert rig.service.read(0, 7, 1) == FAULT
    rig.service.write(0, 6, 1, 0xA0)
    rig.script(Reply(0, 0x50))
    assert rig.service.read(1, 0, 1) == 0x50


def test_a_restarted_device_without_a_status_answers_at_once():
    rig = Rig("uart")
    rig.script("gone")
    rig.service.read(0, 5, 1)
    with rig.trace.recording() as events:
        rig.service.restart()
    assert [event.kind for event in events] == ["restart"]
    rig.script(Reply(0, 0x60))
    assert rig.service.read(0, 5, 1) == 0x60


def test_what_the_old_process_left_in_the_mailbox_is_gone():
    rig = Rig("uart")
    rig.service.mailbox.change()
    rig.service.restart()
    rig.service.bell.ring()
    rig.service.ask(Request(Kind.TIME))
    assert rig.levels == []


def test_check_sees_a_process_that_is_gone():
    rig = Rig("ata")
    assert rig.service.check()
    rig.service.kill()
    assert not rig.service.check()
    assert rig.line.level
    assert not rig.service.check()
    assert rig.process.ended == 1


def test_a_failure_forgets_the_timer():
    rig = Rig()
    rig.script(Reply(0, due=50_000), "gone")
    rig.service.ask(Request(Kind.TIME))
    rig.service.ask(Request(Kind.TIME))
    rig.clock.advance(SECOND)
    assert len(rig.process.asked) == 2


def test_a_doorbell_that_nobody_hears_sets_no_timer():
    rig = Rig(posted=[(0, 0x98)])
    rig.script("gone")
    rig.service.write(0, 0x98, 8, 1)
    assert rig.clock.next_event() is None


def test_closed_it_is_silent():
    rig = Rig("ata")
    rig.script(Reply(0, due=50_000))
    rig.service.ask(Request(Kind.TIME))
    rig.line.set(True)
    rig.service.close()
    assert not rig.line.level
    assert rig.clock.next_event() is None
    assert rig.service.why == "closed"
    assert not rig.trace.counts["device failed"]
    with pytest.raises(OSError, match="descriptor"):
        rig.service.bell.heard()


def test_one_that_does_not_start_leaves_no_bell(monkeypatch):
    closed = []

    def fails(*_):
        raise OSError("no process")

    monkeypatch.setattr(link, "ServiceProcess", fails)
    monkeypatch.setattr(link.Bell, "close", lambda bell: closed.append(bell.read_fd))
    with pytest.raises(OSError, match="no process"):
        Rig()
    assert len(closed) == 1


# -- a controller that is served


def test_a_served_controller_is_asked_for_the_vector():
    rig = Rig("pic")
    chip = RemoteChip(rig.service)
    assert not chip.pending
    rig.service.mailbox.change()
    rig.service.bell.ring()
    rig.service.ask(Request(Kind.TIME))
    assert chip.pending
    rig.script(Reply(0, 0x1_24), "gone")
    assert chip.acknowledge() == 0x24
    assert rig.trace.counts["world switch"] == 2
    assert chip.acknowledge() == 0xFF
    assert not chip.pending
    assert chip.acknowledge() == 0xFF


def test_a_line_into_it_is_carried_by_the_vmm_and_paid_later():
    rig = Rig("pic")
    line = RemoteChip(rig.service).line(14)
    rig.clock.after(10, lambda: line.set(True))
    rig.clock.advance(10)
    assert rig.process.asked == [Request(Kind.LINE, offset=14, value=1, time=10)]
    assert (rig.trace.counts["world switch"], rig.clock.now) == (2, 10)
    rig.service.pay()
    assert rig.clock.now == 10 + 2 * SWITCH
    line.set(False)
    rig.service.read(0, 0, 1)
    assert rig.clock.now == 10 + 6 * SWITCH
    rig.service.close()
    line.set(True)
    assert len(rig.process.asked) == 3


@pytest.mark.parametrize("n", [-1, 16])
def test_it_has_sixteen_inputs(n):
    with pytest.raises(ValueError, match="0 to 15"):
        RemoteChip(Rig("pic").service).line(n)


replies = st.builds(
    Reply,
    st.just(0),
    st.integers(0, 2**64 - 1),
    st.one_of(st.none(), st.integers(0, 2**64 - 2)),
    st.binary(max_size=32),
)
steps = st.one_of(replies, st.sampled_from(["the service hung up"]))


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["uart", "ata", "edu", "pic"]),
    st.lists(steps, max_size=12),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7)), max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_no_service_makes_an_access_raise(name, script, actions, changes):
    """Whatever it answers, and wherever it dies: the guest reads a number."""
    rig = Rig(name, posted=[(0, 1)])
    rig.script(*script)
    rig.service.mailbox._record["changes"] = changes
    rig.service.bell.ring()
    for verb, offset in actions:
        match verb:
            case 0:
                assert 0 <= rig.service.read(0, offset, 1) < 1 << 64
            case 1:
                rig.service.write(0, offset, 1, 0xA5)
            case 2:
                rig.clock.advance(20_000)
            case _:
                rig.service.restart()
    rig.service.close()


def test_what_is_printed_has_a_bound():
    rig = Rig("uart")
    rig.script(*[Reply(0, data=b"x" * 32)] * 3000)
    assert len(rig.service.printed) == MAX_PRINTED
