"""Task 6 of problem set 4: who wants to hear of it. The thresholds; `sleeping` has the rest.

The judge of `need_event` is the library's. The two questions are asked of rings in which flags and
thresholds contradict each other: with EVENT_IDX only the threshold counts, without only bit 0.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.given.rings import DeviceSide, DriverSide
from virtlab.course.ps3.machines import Memory, first
from virtlab.course.ps4.machines import BASE, Stepped, budgeted, empty_ram
from virtlab.course.ps4.sleeping import any_sleep, disabled, enabled, interleaved
from virtlab.course.tasks import Case, Difference, Run, Task, compare
from virtlab.virtio.layouts import SplitRings, need_event

LOOK_EVENT = "entry `event` is one of old to new - 1, modulo 65536 (virtio 1.3 2.7.7.2, 2.7.10.1)"
LOOK_KICK_FLAG = "without EVENT_IDX: bit 0 of the used ring's flags (virtio 1.3 2.7.10.1)"
LOOK_KICK_EVENT = "with EVENT_IDX: avail_event, behind the used ring's elements (virtio 1.3 2.7.10)"
LOOK_IRQ_FLAG = "without EVENT_IDX: bit 0 of the available ring's flags (virtio 1.3 2.7.7.2)"
LOOK_IRQ_EVENT = "with EVENT_IDX: used_event, behind the available ring (virtio 1.3 2.7.7)"
LOOK_NONE = "nothing is new: nobody is told"


def _event(answer: Answer, event: int, new: int, old: int) -> Difference | None:
    answer.given = f"need_event(event={event}, new={new}, old={old})"
    yours = answer.call("need_event", event, new, old)
    return compare(need_event(event, new, old), yours, LOOK_EVENT)


def _asks(*asked: tuple[int, int, int]) -> Run:
    return lambda answer, rng: first(_event(answer, *one) for one in asked)


def _any_event(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(120):
        old = rng.getrandbits(16)
        new = (old + rng.choice((0, 1, 2, rng.randrange(300), rng.getrandbits(16)))) & 0xFFFF
        event = (rng.choice((old, new)) + rng.randrange(-2, 3)) & 0xFFFF
        if rng.random() < 0.2:
            event = rng.getrandbits(16)
        if found := _event(answer, event, new, old):
            return found
    return None


# -- the two questions


def _wanted(new: int, old: int, flags: int, event: int, event_idx: bool) -> bool:
    """Whether the other side wants to hear of the way from `old` to `new`."""
    return new != old and (need_event(event, new, old) if event_idx else not flags & 1)


def _kick(
    answer: Answer, new: int, old: int, flags: int, event: int, event_idx: bool, size: int = 8
) -> Difference | None:
    rings = SplitRings.placed(BASE, size)
    ram = empty_ram(rings)
    ram.store(rings.used_field("flags"), 2, flags)
    ram.store(rings.used_field("avail_event"), 2, event)
    q = DriverSide(rings.desc, rings.avail, rings.used, size, event_idx)
    q.cpu = budgeted(Stepped(ram))
    q.added = q.exposed = new
    answer.given = _told("should_kick", q.event_idx, old, f"q.exposed {new}", flags, event)
    yours = answer.call("should_kick", q, old)
    right = _wanted(new, old, flags, event, event_idx)
    answer.note_cost("reads of the rings", len(q.cpu.accesses), int(event_idx or new != old))
    answer.note_cost("notifications", int(yours is True), int(right))
    look = LOOK_KICK_EVENT if event_idx else LOOK_KICK_FLAG
    return compare(right, yours, look if new != old else LOOK_NONE)


def _interrupt(
    answer: Answer, new: int, old: int, flags: int, event: int, event_idx: bool, size: int = 8
) -> Difference | None:
    rings = SplitRings.placed(BASE, size)
    ram = empty_ram(rings)
    ram.store(rings.avail_field("flags"), 2, flags)
    ram.store(rings.avail_field("used_event"), 2, event)
    q = DeviceSide(rings.desc, rings.avail, rings.used, size, event_idx, Memory(ram), pushed=new)
    answer.given = _told("should_interrupt", event_idx, old, f"q.pushed {new}", flags, event)
    yours = answer.call("should_interrupt", q, old)
    right = _wanted(new, old, flags, event, event_idx)
    answer.note_cost("reads of the rings", len(q.memory.accesses), int(event_idx or new != old))
    answer.note_cost("interrupts", int(yours is True), int(right))
    look = LOOK_IRQ_EVENT if event_idx else LOOK_IRQ_FLAG
    return compare(right, yours, look if new != old else LOOK_NONE)


def _told(name: str, event_idx: bool, old: int, new: str, flags: int, event: int) -> str:
    with_idx = "with" if event_idx else "without"
    return f"{name}(q, old={old}) {with_idx} EVENT_IDX, {new}, flags {flags}, threshold {event}"


Ask = tuple[int, int, int, int, bool]


def _kicks(*asked: Ask) -> Run:
    return lambda answer, rng: first(_kick(answer, *one) for one in asked)


def _interrupts(*asked: Ask) -> Run:
    return lambda answer, rng: first(_interrupt(answer, *one) for one in asked)


def _any_question(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(40):
        old = rng.choice((0, 65530, rng.randrange(1 << 18)))
        new = old + rng.choice((0, 1, 1, rng.randrange(40)))
        event = (rng.choice((old, new)) + rng.randrange(-3, 4)) & 0xFFFF
        ask = new, old, rng.getrandbits(16), event, rng.random() < 0.6
        size = 1 << rng.randrange(7)
        if found := _kick(answer, *ask, size) or _interrupt(answer, *ask, size):
            return found
    return None


FLAGS: tuple[Ask, ...] = (
    (5, 4, 0, 9, False),
    (5, 4, 1, 4, False),
    (5, 4, 0xFFFE, 0, False),
    (5, 4, 3, 4, False),
)
EVENTS: tuple[Ask, ...] = (
    (5, 4, 0, 4, True),
    (5, 4, 1, 4, True),
    (5, 4, 0, 5, True),
    (5, 4, 0, 3, True),
    (9, 4, 1, 8, True),
    (9, 4, 0, 9, True),
)
NOTHING: tuple[Ask, ...] = ((4, 4, 0, 4, False), (4, 4, 0, 3, True), (4, 4, 0, 4, True))
WRAPPED: tuple[Ask, ...] = (
    (65537, 65534, 1, 65535, True),
    (65537, 65534, 0, 1, True),
    (65537, 65534, 1, 0, True),
    (0x3_0001, 0x2_FFFF, 1, 0xFFFF, True),
)

EVENT = Task(
    "ps4.q6",
    "who wants to hear of it",
    ("need_event", "should_kick", "should_interrupt", "disable_cb", "enable_cb"),
    ("S40", "B02"),
    lines=15,
    minutes=30,
    difficulty=4,
    points=6,
    cases=(
        Case("one step", _asks((4, 5, 4), (5, 5, 4), (3, 5, 4))),
        Case(
            "many steps", _asks((10, 20, 10), (15, 20, 10), (19, 20, 10), (20, 20, 10), (9, 20, 10))
        ),
        Case(
            "more than half a circle",
            _asks((0x8004, 5, 4), (0x8004, 0x9004, 4), (0x0004, 0x9004, 4)),
        ),
        Case("no step", _asks((7, 7, 7), (6, 7, 7))),
        Case(
            "past 65535",
            _asks(
                (65535, 0, 65535),
                (65535, 2, 65534),
                (0, 2, 65534),
                (1, 2, 65534),
                (2, 2, 65534),
                (65533, 2, 65534),
            ),
        ),
        Case("almost all the way round", _asks((5, 4, 5), (4, 4, 5), (3, 4, 5), (40000, 4, 5))),
        Case("any event", _any_event),
        Case("kick by the flag", _kicks(*FLAGS)),
        Case("kick by the threshold", _kicks(*EVENTS), costs=True),
        Case("nothing to kick for", _kicks(*NOTHING)),
        Case("kick past 65535", _kicks(*WRAPPED)),
        Case("interrupt by the flag", _interrupts(*FLAGS)),
        Case("interrupt by the threshold", _interrupts(*EVENTS), costs=True),
        Case("nothing to interrupt for", _interrupts(*NOTHING)),
        Case("interrupt past 65535", _interrupts(*WRAPPED)),
        Case("any question", _any_question),
        Case("callbacks off", disabled(False)),
        Case("off, with EVENT_IDX", disabled(True)),
        Case("callbacks on", enabled(False)),
        Case("on, with EVENT_IDX", enabled(True)),
        Case("a device in between", interleaved(False)),
        Case("in between, with EVENT_IDX", interleaved(True)),
        Case("any moment", any_sleep),
    ),
    hints=(
        "need_event asks whether `event` lies among the entries from old to new - 1. On a circle "
        "of 65536, how far is it from old to event, and how far from old to new?",
        "Distances modulo 65536 are never negative, so one comparison is enough. For enable_cb: "
        "between a look and a wish there is a moment. What if the device pushes just then?",
        "(event - old) & 0xffff is a distance. Thresholds lie behind the rings: used_event at "
        "avail + 4 + 2 * size, avail_event at used + 4 + 8 * size. enable_cb writes its wish, and "
        "looks at the index afterwards. To hear nothing, name the entry that comes last of all: "
        "the one before last_used.",
    ),
)
