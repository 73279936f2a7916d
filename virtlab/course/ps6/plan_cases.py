"""The boards and wishes of task 6 of problem set 6, and how an answer is held against them.

    groups_of(shape)            iommu_groups, on the tree of a real board
    plan_of(shape, *vms)        assign, by the rules; with `run`, also carried out
    any_groups, any_plan, any_board        random ones

The idea: a board takes a tenth of a second, a tree on paper nothing. So boards are kept, and random
trees are a board's with some of its switches and devices changed.

The rule that keeps it simple: what a student gets is made anew for each call.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Any

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import first
from virtlab.course.ps6.plan_board import Boards, Function, Shape, Thing
from virtlab.course.ps6.plan_rules import (
    LOOK_WHOLE,
    Groups,
    Rules,
    Vm,
    Wish,
    shown_plan,
    together,
)
from virtlab.course.ps6.plan_run import first_leak
from virtlab.course.tasks import Difference, Run, returned, shown

KEPT_BOARDS = 64

LOOK_GROUPS = "a list of lists of names; each function is in one of them, bridges too"
LOOK_JOINED = "go up to the root: the highest device on the way that does not isolate decides"
LOOK_REAL = "the plan was carried out on a board with VT-d"

Listing = tuple[tuple[Function, ...], Groups]


@lru_cache(KEPT_BOARDS)
def listing(shape: Shape) -> Listing:
    """The functions of a board, and its groups."""
    boards = Boards(shape)
    functions = boards.functions()
    return tuple(functions), together(functions)


# -- groups


def groups_of(*shapes: Shape) -> Run:
    """Ask for the groups of these boards."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        return first(_groups(answer, *listing(shape)) for shape in shapes)

    return run


def closed_groups_of(shape: Shape) -> Run:
    """Ask for the groups of this board, if the functions of each device isolate too."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        functions, _ = listing(shape)
        other = [_change(each, set(), {each.device}) for each in functions]
        return _groups(answer, other, together(other))

    return run


def _groups(answer: Answer, functions: Sequence[Function], groups: Groups) -> Difference | None:
    answer.given = told(functions)
    yours = answer.call("iommu_groups", list(functions))
    if not _is_groups(yours):
        return Difference("a list of lists of names", returned(yours), LOOK_GROUPS)
    names = sorted(name for group in yours for name in group)
    if names != sorted(each.name for each in functions):
        return Difference(f"{len(functions)} names, each once", shown(names), LOOK_GROUPS)
    mine = {frozenset(group) for group in yours}
    for group in groups:
        if frozenset(group) not in mine:
            other = next(each for each in yours if group[0] in each)
            return Difference(_row(group), _row(other), LOOK_JOINED)
    return None


def _is_groups(value: object) -> bool:
    """Whether it is a list of lists of names."""
    return type(value) is list and all(
        type(group) is list and all(type(name) is str for name in group) for group in value
    )


def _row(group: Sequence[str]) -> str:
    return "together: " + ", ".join(sorted(group))


def told(functions: Sequence[Function]) -> str:
    """The tree in a line: each bridge with what is behind it; `~` before what does not isolate."""
    below: dict[str, list[Function]] = {}
    for each in functions:
        below.setdefault(each.above, []).append(each)

    def text(each: Function) -> str:
        behind = " ".join(text(one) for one in below.get(each.name, []))
        kind = "" if each.kind in ("bridge", "card", "vf") else f" ({each.kind})"
        return (
            ("" if each.isolates else "~") + each.name + kind + (f" [{behind}]" if behind else "")
        )

    return "; ".join(text(each) for each in below.get("", []))


# -- plans


def vm(number: int, wish: Wish = None, root: str = "A") -> Vm:
    """One VM."""
    return f"vm{number}", root, wish


def card(name: str) -> tuple[str, str]:
    """The wish for this card."""
    return "card", name


def net(count: int) -> tuple[str, int]:
    """The wish for so many VFs."""
    return "net", count


def plan_of(shape: Shape, *vms: Vm, run: bool = False) -> Run:
    """Ask for a plan of this board."""

    def ask(answer: Answer, rng: Random) -> Difference | None:
        return _plan(answer, shape, *listing(shape), vms, run)

    return ask


def _plan(
    answer: Answer,
    shape: Shape,
    functions: Sequence[Function],
    groups: Groups,
    vms: Sequence[Vm],
    run: bool = False,
) -> Difference | None:
    """Ask for one, and judge it. What a group in two hands lets happen is seen on the board."""
    wishes = ", ".join(f"{name} at {root}: {_wish(wish)}" for name, root, wish in vms)
    answer.given = f"{told(functions)}. {wishes}"
    yours: Any = answer.call("assign", list(functions), list(vms))
    found = Rules(functions, groups, vms).check(yours)
    if found is None and not run:
        return None
    split = found is not None and found.look == LOOK_WHOLE and functions == listing(shape)[0]
    leak = first_leak(shape, vms, yours) if split or (run and found is None) else ""
    if found is None:
        return Difference("nobody reaches another's memory", leak, LOOK_REAL) if leak else None
    return found._replace(yours=f"{found.yours}; the plan: {shown_plan(yours)}", access=leak)


def _wish(wish: Wish) -> str:
    return "nothing" if wish is None else f"{wish[0]} {wish[1]}"


# -- random ones


def _any_thing(rng: Random, name: str, depth: int = 0) -> Thing:
    kinds = ["card", "card", "nic", "host", "bus", "switch"][: 6 - 2 * depth]
    kind, acs = rng.choice(kinds), rng.random() < 0.7
    if kind == "switch":
        below = tuple(_any_thing(rng, f"{name}{n}", 1) for n in range(rng.randrange(1, 3)))
        return Thing(kind, name, below, acs=acs)
    if kind == "bus":
        below = tuple(Thing("card", f"{name}{n}") for n in range(rng.randrange(1, 3)))
        return Thing(kind, name, below, acs=acs)
    several = 2 if kind == "card" and rng.random() < 0.3 else 1
    return Thing(kind, name, functions=several, vfs=rng.randrange(1, 5) * (kind == "nic"), acs=acs)


def any_shape(rng: Random) -> Shape:
    """A board; one in two has a second root, and a switch that both share."""
    a = tuple(_any_thing(rng, name) for name in "cde"[: rng.randrange(2, 4)])
    if rng.random() < 0.5:
        return Shape(a)
    b = tuple(_any_thing(rng, name, 1) for name in "pq"[: rng.randrange(3)])
    both = (
        Thing("nic", "s", vfs=rng.randrange(1, 5)),
        Thing("card", "t"),
        Thing("nic", "u", vfs=2),
    )
    return Shape(a, b, tuple(rng.sample(both, rng.randrange(1, 4))))


def any_vms(rng: Random, functions: Sequence[Function]) -> list[Vm]:
    """Some VMs with wishes that may be fulfilled or not."""
    cards = [each.name for each in functions if each.kind in ("card", "host", "pf")]
    roots = sorted({letter for each in functions for letter in each.roots})
    vms = []
    for number in range(1, rng.randrange(2, 8)):
        wishes: list[Wish] = [None, net(rng.randrange(1, 5)), net(1)]
        wishes += [card(rng.choice(cards))] * 2 if cards else []
        vms.append(vm(number, rng.choice(wishes), rng.choice(roots)))
    return vms


def _switched(rng: Random, functions: Sequence[Function]) -> list[Function]:
    """The same tree, but some switches do not isolate, and some devices do."""
    opened = {each.name for each in functions if rng.random() < 0.2}
    closed = {each.device for each in functions if rng.random() < 0.2}
    return [_change(each, opened, closed) for each in functions]


def _change(each: Function, opened: set[str], closed: set[str]) -> Function:
    if each.kind == "bridge":
        below_one_root = len(each.roots) == 1 and each.above
        return each._replace(isolates=False) if below_one_root and each.name in opened else each
    return each._replace(isolates=True) if each.device in closed else each


def any_groups(answer: Answer, rng: Random) -> Difference | None:
    """A real board, then the same tree with some changes."""
    functions, groups = listing(any_shape(rng))
    found = _groups(answer, functions, groups)
    for _ in range(12):
        other = _switched(rng, functions)
        found = found or _groups(answer, other, together(other))
    return found


def any_plan(answer: Answer, rng: Random) -> Difference | None:
    """Many wishes, on a tree with some changes."""
    shape = any_shape(rng)
    functions, _ = listing(shape)
    for _ in range(14):
        other = tuple(_switched(rng, functions))
        vms = any_vms(rng, other)
        if found := _plan(answer, shape, other, together(other), vms):
            return found
    return None


def any_board(answer: Answer, rng: Random) -> Difference | None:
    """A plan for a real board, carried out."""
    shape = any_shape(rng)
    functions, groups = listing(shape)
    return _plan(answer, shape, functions, groups, any_vms(rng, functions), run=True)
