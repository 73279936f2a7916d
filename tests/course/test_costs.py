"""What an answer costs is counted beside the solution, where cost is the point of the task.

`WASTEFUL[task]` is a right answer that does something it need not: what, the piece of the solution,
what stands in its place, and what costs more then.
"""

import pytest

from tests.course.answers import right
from tests.course.wrong.slips import slipped
from virtlab.course.answers import Answer
from virtlab.course.checks import TASKS, examine, free_cases, points
from virtlab.course.reports import Cost, Report
from virtlab.course.tasks import Case, Difference

COUNTED = {
    "ps1.q2": {"port accesses"},
    "ps2.q6": {"writes to ports"},
    "ps2.q7": {"register accesses"},
    "ps3.q1": {"exits"},
    "ps3.q5": {"loads", "frames"},
    "ps4.q3": {"accesses to the queue", "kicks"},
    "ps4.q6": {"reads of the rings", "notifications", "interrupts"},
    "ps5.q1": {"exits"},
    "ps5.q2": {"accesses to buffers", "kicks"},
    "ps5.q6": {"writes to buffers"},
    "ps6.q1": {"loads"},
    "ps6.q2": {"invalidations"},
    "ps6.q3": {"register accesses"},
    "ps7.q3": {"wishes", "calls"},
}
"""What is counted in which task."""

WASTEFUL = {
    "ps1.q2": [
        (
            "LSR is read once more, though it has said yes",
            "cpu.out(0x3F8, ord(character))",
            "cpu.inp(0x3FD)\n        cpu.out(0x3F8, ord(character))",
            "port accesses",
        ),
    ],
    "ps2.q6": [
        (
            "the bus master is stopped twice",
            "status = cpu.inp(0x1F7)",
            "cpu.out(base, 0x08)\n    status = cpu.inp(0x1F7)",
            "writes to ports",
        ),
    ],
    "ps2.q7": [
        (
            "the head is asked for, too",
            "descriptor = ring + 16 * tail",
            "cpu.load(base + 0x3810)\n    descriptor = ring + 16 * tail",
            "register accesses",
        ),
    ],
    "ps3.q5": [
        (
            "something is read that nobody asks for",
            "table, rights = eptp & FRAME, 0b111",
            "memory.load(0, 8)\n    table, rights = eptp & FRAME, 0b111",
            "loads",
        ),
    ],
    "ps4.q3": [
        (
            "a descriptor is written field by field",
            "q.cpu.write(q.desc + 16 * slots[place], raw)",
            "at = q.desc + 16 * slots[place]\n"
            "        q.cpu.write(at, raw[:8]), q.cpu.write(at + 8, raw[8:])",
            "accesses to the queue",
        ),
    ],
    "ps4.q6": [
        (
            "the flags are read where they mean nothing",
            "if q.event_idx:\n        return need_event(q.cpu",
            "q.cpu.load(q.used, 2)\n    if q.event_idx:\n        return need_event(q.cpu",
            "reads of the rings",
        ),
    ],
    "ps5.q2": [
        (
            "the bytes are read twice",
            "data += cpu.read(gpa, written)",
            "cpu.read(gpa, written)\n            data += cpu.read(gpa, written)",
            "accesses to buffers",
        ),
    ],
    "ps5.q6": [
        (
            "a buffer is cleared before it is filled",
            "q.memory.write(gpa, data[:length])",
            "q.memory.write(gpa, bytes(min(length, len(data))))\n"
            "                q.memory.write(gpa, data[:length])",
            "writes to buffers",
        ),
    ],
    "ps6.q2": [
        (
            "there is an invalidation even if nothing was mapped",
            "    if found:\n        d.invalidate",
            "    if True:\n        d.invalidate",
            "invalidations",
        ),
    ],
    "ps6.q3": [
        (
            "CAP is read for each record",
            "high = cpu.load(at + 8, 8)",
            "cpu.load(base + 0x08, 8)\n        high = cpu.load(at + 8, 8)",
            "register accesses",
        ),
    ],
}

CASES = [
    pytest.param(task, slip, id=f"{task} {slip[0]}")
    for task, slips in WASTEFUL.items()
    for slip in slips
]


def costs(task, names, seed):
    """The report of a check; and what it counts, by name."""
    report = examine(TASKS[task], Answer(names), seed)
    return report, {cost.what: (cost.yours, cost.reference) for cost in report.costs}


@pytest.mark.parametrize("task", COUNTED)
def test_the_solution_costs_what_it_should_and_every_report_is_the_same(task):
    report, counted = costs(task, right(), 1)
    assert report.ok
    assert counted.keys() == COUNTED[task]
    assert all(yours == reference > 0 for yours, reference in counted.values())
    assert str(report) == str(costs(task, right(), 2)[0])
    assert all(f"(the solution: {reference})" in str(report) for _, reference in counted.values())


@pytest.mark.parametrize(("task", "slip"), CASES)
def test_a_right_answer_that_wastes_passes_and_is_told_what_it_costs(task, slip):
    mistake, piece, other, what = slip
    names = right()
    exec(slipped(f"ps0{task[2]}", task, [(mistake, piece, other, set())])[0][1], names)
    report, counted = costs(task, names, 1)
    assert report.ok, str(report)
    yours, reference = counted[what]
    assert yours > reference
    assert f"{what}: {yours} (the solution: {reference})" in " ".join(str(report).split())
    assert str(report) == str(costs(task, names, 2)[0]), "the same text every time"
    assert points(report) == TASKS[task].points


def test_costs_come_from_fixed_cases_alone_and_at_least_ten_tasks_have_some():
    counted = {task.id for task in TASKS.values() if any(case.costs for case in task.cases)}
    assert counted == COUNTED.keys()
    assert len(counted) >= 10
    assert len(WASTEFUL) >= 10


def test_several_cases_add_up_and_a_failing_report_shows_no_costs():
    def spends(count):
        return lambda answer, rng: answer.note_cost("exits", count, 2)

    cases = (Case("a", spends(3), costs=True), Case("b", spends(50)), Case("c", spends(4), True))
    report = examine(TASKS["ps1.q1"], Answer({}), 1, cases)
    assert report.costs == (Cost("exits", 7, 4),)
    assert report.as_data()["costs"] == [{"what": "exits", "yours": 7, "reference": 4}]
    failed = examine(TASKS["ps1.q2"], Answer({"put": lambda cpu, text: None}), 1)
    assert failed.costs
    assert "cost" not in str(failed)


# -- partial credit


def test_points_are_in_proportion_to_the_cases_that_an_empty_answer_does_not_pass():
    task = TASKS["ps1.q1"]
    free = free_cases(task)
    assert free == {
        "nobody there",
        "off the end of one",
        "into one from below",
        "from one into its neighbour",
    }
    names = [case.name for case in task.cases]

    def worth(*passed):
        return points(Report(task, 1, list(passed), None, tuple(names)))

    assert worth(*names) == task.points == 2
    assert worth() == worth(*free) == 0
    assert worth(*free, "inside a device") == 0.4
    assert worth(*names[:4]) == 0, "four cases, as many as are free"
    assert worth(*(name for name in names if name != "nobody there")) == 1.6


def test_a_case_that_an_empty_answer_passes_by_luck_alone_is_not_free():
    tries = iter(range(9))
    lucky = Case("lucky", lambda answer, rng: Difference("", "") if next(tries) else None)
    always = Case("always", lambda answer, rng: None)
    assert free_cases(TASKS["ps1.q1"], [lucky, always]) == {"always"}


@pytest.mark.parametrize("task", TASKS)
def test_an_empty_answer_earns_nothing_in_any_task(task):
    free = free_cases(TASKS[task])
    assert len(free) < len(TASKS[task].cases) / 2
    cases = TASKS[task].cases
    passed = [case.name for case in cases if case.name in free]
    assert points(Report(TASKS[task], 9, passed, None, tuple(case.name for case in cases))) == 0
