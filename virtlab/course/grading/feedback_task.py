"""One task on a feedback page: what passes, the first failure, how to go on, what it cost.

    ps4.q3. add a buffer and kick        ◐ in part. 9 of 16 checks pass. 2.5 of 5 points.
      to write           add_buf and kick, about 18 lines
      What happened      given, expected, yours, where to look
      How to go on       a hint, a lesson, the call that replays the case
      What it costs      yours beside the solution's
      Each of the 16 checks

The idea: the section repeats what `check` says in a notebook, in the same words, and adds the next
step. The nearer an answer is, the more exact its hint: a stage for each third of the checks.

The rule that keeps it fair: of a hidden check is shown what was given and expected, and that no
seed replays it in the reader's notebook. No source is shown, and no hint is a solution.
"""

from __future__ import annotations

from collections.abc import Iterator

from virtlab.course.checks import TASKS
from virtlab.course.grading.lessons import lessons_for, named
from virtlab.course.grading.pages import Html, count, file_name, join, points, table, tag, terms
from virtlab.course.grading.result import Cost, Failure, TaskResult
from virtlab.course.syllabus import TOPICS
from virtlab.course.tasks import Task

FREE = "an empty answer passes it; only failing it counts"
"""What is said of a check that earns nothing."""


def anchor(task: TaskResult) -> str:
    """The id of a task's section, for a link to it."""
    return file_name(task.task.replace(".", "-"))


def verdict(task: TaskResult) -> str:
    """How a task went, as a sign and in words."""
    if task.ok:
        return "✓ passes"
    if task.ended:
        return "■ stopped"
    if not task.attempted:
        return "○ not attempted"
    return "◐ in part" if task.points else "✗ not yet"


def task_section(task: TaskResult) -> Html:
    """The section of one task."""
    known = TASKS.get(task.task)
    passed = sum(case.passed for case in task.cases)
    facts = [
        f"{verdict(task)}. {passed} of {count(len(task.cases), 'check')} pass",
        f"{points(task.points)} of {count(task.out_of, 'point')}",
    ]
    if known:
        facts.append(f"Difficulty {known.difficulty} of 5, about {known.minutes} minutes")
    parts = [tag("h2", f"{task.task}. {task.title}"), tag("p", ". ".join(facts) + ".")]
    if known:
        parts.append(_asked(known))
    if task.ended:
        parts.append(
            tag("p", f"Your code was stopped: {task.ended}. What was not run does not pass.")
        )
    if task.failure:
        parts += [*_failure(task.failure), *_next_steps(task, task.failure)]
    return tag(
        "section", join([*parts, *_costs(task), *_checks(task)]), id=anchor(task),
        class_="task",
    )  # fmt: skip


def _asked(task: Task) -> Html:
    """What the task wanted: the names to define, and what they are about."""
    names = join([tag("code", name) for name in task.names], " and ")
    lines = join([names, f", about {count(task.lines, 'line')}"], "")
    topics = "; ".join(TOPICS[topic] for topic in task.topics)
    return terms([("to write", lines), ("about", topics)])


def _failure(failure: Failure) -> Iterator[Html]:
    hidden = " (a hidden check)" if failure.hidden else ""
    yield tag("h3", "What happened")
    yield tag("p", "The first check that fails: ", tag("strong", failure.case), f"{hidden}.")
    yield terms(
        [
            ("given", _code(failure.given)),
            ("expected", _code(failure.expected)),
            ("yours", _code(failure.yours)),
            ("first access that differs", _code(failure.access)),
            ("look at", failure.look),
            ("your code printed", _code(failure.printed)),
        ]
    )


def _code(text: str) -> str:
    return tag("code", text) if text.strip() else ""


def _next_steps(task: TaskResult, failure: Failure) -> Iterator[Html]:
    known, lessons = TASKS.get(task.task), lessons_for(task.task)
    steps: list[tuple[str, ...]] = []
    if known:
        stage = hint_stage(task)
        call = tag("code", f'hint("{task.task}", {stage})')
        steps.append(("Hint: ", known.hints[stage - 1], " (", call, ")"))
    if lessons:
        steps.append(("Read again: ", " and ".join(map(named, lessons)), "."))
    steps.append(_replay(task, failure))
    yield tag("h3", "How to go on")
    yield tag("ul", *(tag("li", *step) for step in steps))


def _replay(task: TaskResult, failure: Failure) -> tuple[str, ...]:
    if failure.hidden:
        return (
            "This check is hidden: it is not in your notebook, and no seed replays it there. ",
            "Call your function yourself, with what was given.",
        )
    call = tag("code", f'check("{task.task}", seed={task.seed})')
    return ("Replay it: ", call, " in your notebook gives your code the same numbers.")


def hint_stage(task: TaskResult) -> int:
    """Which of the three hints fits: the first for a beginning, the last for who is almost there.

    It goes by the share of the checks that pass and are worth something.
    """
    counted = [case.passed for case in task.cases if not case.free]
    return 1 + min(2, 3 * sum(counted) // max(1, len(counted)))


def _costs(task: TaskResult) -> Iterator[Html]:
    """What a right answer costs: that of a wrong one means nothing."""
    costs = task.costs
    if costs and all(case.passed for case in task.cases):
        rows = [
            (cost.what, f"{cost.yours:,}", f"{cost.reference:,}", compared(cost)) for cost in costs
        ]
        yield tag("h3", "What it costs")
        headers = ("counted", "#yours", "#solution", "compared")
        what = f"Counted in {task.task}, to compare. No points hang on it"
        yield table(what, headers, rows)


def compared(cost: Cost) -> str:
    """An answer's cost beside the solution's, in words."""
    if cost.yours == cost.reference:
        return "the same"
    more = cost.yours > cost.reference
    return f"{abs(cost.yours - cost.reference):,} {'more' if more else 'fewer'}"


def _checks(task: TaskResult) -> Iterator[Html]:
    """All checks of a task; folded away where all of them say the same."""
    if not task.cases:
        return
    rows = []
    for case in task.cases:
        kind = ["hidden"] * case.hidden + [FREE] * case.free
        rows.append(
            (case.name, "✓ passes" if case.passed else "✗ does not pass", ", ".join(kind) or "open")
        )
    inside = table(f"Checks of {task.task}, in order", ("check", "result", "kind"), rows)
    yield tag(
        "details",
        tag("summary", f"Each of the {count(len(rows), 'check')}"),
        inside,
        open="open" if len({case.passed for case in task.cases}) > 1 else "",
    )
