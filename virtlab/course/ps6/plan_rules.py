"""What a plan of task 6 of problem set 6 must be, whoever made it: no one answer is right.

    Rules(functions, groups, vms).check(plan)     the first rule that the plan breaks, or None
    together(functions)                           the groups of a tree
    most(functions, members, vms)                 VMs that can have the VFs that they wish for

The idea: a plan is right if three things hold. Nobody reaches another's memory; each refusal is
true; and no other plan leaves fewer VMs to software. Each is asked by itself.

The rule that keeps it simple: a rule names a VM, and what is wrong with what it gets.

Source: `pci.acs` (groups), SR-IOV 1.1, 2.1; the VFIO documentation of Linux, on groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from virtlab.course.ps3.machines import first
from virtlab.course.ps6.plan_board import Function
from virtlab.course.tasks import Difference, returned, shown

LOOK_FORM = "a dict: the name of each VM, and a list of names or a word"
LOOK_BRIDGE = "a bridge or a port is the host's, also where it is in a group"
LOOK_HOST = "the host keeps each PF, and what it needs itself"
LOOK_ROOT = "a function can belong to the roots in its `roots`, no other"
LOOK_OWNER = "a function has one owner"
LOOK_WHOLE = "a group has one owner: what is in it can reach what else is in it"
LOOK_CARD = "the card, and what else is in its group; nothing more"
LOOK_NET = "as many VFs as it wishes for, and nothing else"
LOOK_NONE = "a VM that wishes for nothing gets nothing: []"
LOOK_WORD = "'host', 'root', 'taken' are for a card, 'software' for VFs; and they must be true"
LOOK_ORDER = "it can have it: nobody else got it, and the host does not need it"
LOOK_HIERARCHY = "a PF and its VFs are in one hierarchy at a time, whoever has them"
LOOK_FEWEST = "with the same VFs, more VMs can have theirs: whose wish takes the fewest?"

Wish = tuple[str, str] | tuple[str, int] | None
Vm = tuple[str, str, Wish]
"""Name, root, and wish: `("card", name)`, `("net", count)` or None."""

Groups = Sequence[Sequence[str]]
KEPT = ("pf", "host")


class Rules:
    """The rules for these functions and VMs; `check` a plan."""

    def __init__(self, functions: Sequence[Function], groups: Groups, vms: Sequence[Vm]) -> None:
        self.known = {each.name: each for each in functions}
        self.vms = vms
        self.members = {
            name: [n for n in group if self.known[n].kind != "bridge"]
            for group in groups
            for name in group
        }
        self.owner: dict[str, str] = {}
        self.hierarchy: dict[str, str] = {}

    def check(self, plan: object) -> Difference | None:
        """The first rule that is broken."""
        if type(plan) is not dict or plan.keys() != {name for name, _, _ in self.vms}:
            return Difference("an entry for each VM", shown_plan(plan), LOOK_FORM)
        for name, _, _ in self.vms:
            if not _is_share(plan[name]):
                return Difference(
                    f"{name}: a list of names, or a word", shown(plan[name]), LOOK_FORM
                )
        for vm in self.vms:
            given = plan[vm[0]]
            if isinstance(given, list) and (found := self._given(vm, given)):
                return found
        answered = (self._answered(vm, plan[vm[0]]) for vm in self.vms)
        return first(answered) or self._fewest(plan)

    def _given(self, vm: Vm, given: list[str]) -> Difference | None:
        """Whether a VM may have these, and nobody else has."""
        name, root, _ = vm
        for each in given:
            one = self.known.get(each)
            if one is None:
                return Difference(f"{name}: names of functions", shown(each), LOOK_FORM)
            if one.kind == "bridge" or one.kind in KEPT:
                look = LOOK_BRIDGE if one.kind == "bridge" else LOOK_HOST
                return Difference(f"{each} stays with the host", f"{name} gets it", look)
            if root not in one.roots:
                return Difference(f"{each}: roots {one.roots}", f"{name} is at {root}", LOOK_ROOT)
            if each in self.owner:
                both = f"{self.owner[each]} and {name} get it"
                return Difference(f"{each} has one owner", both, LOOK_OWNER)
            self.owner[each] = name
            pf = one.pf or each
            if self.hierarchy.setdefault(pf, root) != root:
                return Difference(f"{pf} is in one hierarchy", "in A and in B", LOOK_HIERARCHY)
        return self._whole(name, given)

    def _whole(self, name: str, given: list[str]) -> Difference | None:
        for each in given:
            missing = [other for other in self.members[each] if other not in given]
            if missing:
                right = f"{each} goes with {', '.join(missing)}, or not at all"
                return Difference(right, f"{name} gets {', '.join(given)}", LOOK_WHOLE)
        return None

    def _answered(self, vm: Vm, given: list[str] | str) -> Difference | None:
        """Whether a VM has what it wishes for; or a word that is true."""
        name, _, wish = vm
        if wish is None:
            right, look = given == [], LOOK_NONE
        elif isinstance(given, str):
            return self._word(vm, given)
        elif wish[0] == "card":
            right, look = set(given) == set(self.members[str(wish[1])]), LOOK_CARD
        else:
            kinds = [self.known[each].kind for each in given]
            right, look = kinds == ["vf"] * int(wish[1]), LOOK_NET
        told = "nothing" if wish is None else f"{wish[0]} {wish[1]}"
        return None if right else Difference(f"{name} wishes for {told}", shown(given), look)

    def _word(self, vm: Vm, word: str) -> Difference | None:
        name, root, wish = vm
        assert wish is not None
        if wish[0] == "net":
            right = word == "software"
            return None if right else Difference(f"{name}: VFs, or 'software'", word, LOOK_WORD)
        true = self._reasons(name, root, str(wish[1]))
        if word in true:
            return None
        expected = f"{name}: {wish[1]}" + (f" cannot be: {' or '.join(true)}" if true else "")
        return Difference(expected, shown(word), LOOK_WORD if true else LOOK_ORDER)

    def _reasons(self, name: str, root: str, card: str) -> list[str]:
        """Why a VM does not have a card: all that is true."""
        members = [self.known[each] for each in self.members[card]]
        owners = {self.owner.get(each.name, name) for each in members}
        tests = (
            ("host", any(each.kind in KEPT for each in members)),
            ("root", any(root not in each.roots for each in members)),
            ("taken", owners != {name}),
        )
        return [word for word, holds in tests if holds]

    def _fewest(self, plan: dict[str, list[str] | str]) -> Difference | None:
        """Whether no other plan leaves fewer VMs to software."""
        wished = [name for name, _, wish in self.vms if wish is not None and wish[0] == "net"]
        software = sum(plan[name] == "software" for name in wished)
        least = len(wished) - most(list(self.known.values()), self.members, self.vms)
        if software == least:
            return None
        return Difference(f"{least} in software", f"{software} in software", LOOK_FEWEST)


def _is_share(value: object) -> bool:
    """Whether it is a list of texts, or a text."""
    if type(value) is str:
        return True
    return type(value) is list and all(type(each) is str for each in value)


def shown_plan(plan: object) -> str:
    """A plan as a report shows it."""
    if type(plan) is not dict:
        return returned(plan)
    return ", ".join(f"{key}: {shown(value)}" for key, value in list(plan.items())[:8]) or "{}"


def most(functions: Iterable[Function], members: dict[str, list[str]], vms: Sequence[Vm]) -> int:
    """VMs that can have the VFs that they wish for, at most.

    The PFs that can choose are tried in each root. In one root the smallest wishes come first: to
    put a larger one in the place of a smaller one never makes room for more.
    """
    every = list(functions)
    free = [each for each in every if each.kind == "vf" and members[each.name] == [each.name]]
    pfs = [each for each in every if each.kind == "pf"]
    best = 0
    for roots in product(*(pf.roots for pf in pfs)):
        owner = {pf.name: root for pf, root in zip(pfs, roots, strict=True)}
        best = max(best, sum(_fit(root, owner, free, vms) for root in "AB"))
    return best


def _fit(root: str, owner: dict[str, str], free: list[Function], vms: Sequence[Vm]) -> int:
    """How many of a root's wishes fit into its VFs."""
    left = sum(owner[each.pf] == root for each in free)
    count = 0
    for wish in sorted(int(w[1]) for _, at, w in vms if at == root and w and w[0] == "net"):
        left -= wish
        count += left >= 0
    return count


def together(functions: Sequence[Function]) -> list[list[str]]:
    """The groups of a tree: each is what is below one device that does not isolate, or alone."""
    known = {each.name: each for each in functions}
    found: dict[frozenset[str], list[str]] = {}
    for each in functions:
        way, here = [each], each
        while here.above:
            here = known[here.above]
            way.append(here)
        leaky = [one.device for one in way if not one.isolates]
        key = frozenset({leaky[-1], "its device"} if leaky else {each.name})
        found.setdefault(key, []).append(each.name)
    return list(found.values())
