"""Task 6 of problem set 6: who gets which function. Any plan passes that keeps the rules.

The cases of iommu_groups come first, from one port to two roots. Those of assign go from a card to
VFs, from VFs to software, and from one root to two. At the end plans are carried out.
"""

from __future__ import annotations

from virtlab.course.ps3.machines import all_of
from virtlab.course.ps6.plan_board import Shape, Thing
from virtlab.course.ps6.plan_cases import (
    any_board,
    any_groups,
    any_plan,
    card,
    closed_groups_of,
    groups_of,
    net,
    plan_of,
    vm,
)
from virtlab.course.tasks import Case, Task


def _card(name: str, functions: int = 1, acs: bool = True) -> Thing:
    return Thing("card", name, functions=functions, acs=acs)


def _nic(name: str, vfs: int, acs: bool = True) -> Thing:
    return Thing("nic", name, vfs=vfs, acs=acs)


def _switch(name: str, *below: Thing, acs: bool = True) -> Thing:
    return Thing("switch", name, below, acs=acs)


def _bus(name: str, *below: Thing) -> Thing:
    return Thing("bus", name, below)


def _shape(*things: Thing) -> Shape:
    return Shape(things)


DISK = Thing("host", "disk")
CARDS = _shape(_card("gpu"), _card("sound"), DISK)
OPEN = _shape(_switch("sw", _card("gpu"), _card("sound", acs=False)), _card("fpga"))
OPEN_BELOW = _shape(
    _switch("sw", _card("gpu"), _switch("inner", _card("sound", acs=False), _card("fpga")))
)
OPEN_ABOVE = _shape(_switch("sw", _switch("inner", _card("gpu"), _card("sound"), acs=False)))
OPEN_TWICE = _shape(
    _switch("sw", _switch("inner", _card("gpu", acs=False), _card("sound"), acs=False), _card("tv"))
)
OLD = _shape(_bus("old", _card("radio"), _card("modem")), _card("gpu"))
TWINS = _shape(_card("gpu", functions=2), _card("fpga"))
OLD_TWINS = _shape(
    _bus("old", _card("radio", functions=2), _card("modem")),
    _switch("sw", _card("gpu", functions=2), _card("fpga", functions=3)),
)
NET = _shape(_nic("nic", 4), _card("gpu"))
OPEN_NET = _shape(_switch("sw", _nic("nic", 3, acs=False)), _card("gpu"))
NETS = _shape(_nic("nic", 2), _nic("fast", 3), _switch("sw", _nic("leaky", 4, acs=False)))
WITH_HOST = _shape(_switch("sw", _card("gpu"), DISK._replace(acs=False)), _card("radio"))
TWO = Shape((_card("gpu"), _nic("nic", 2)), (_card("fpga"), _nic("other", 3)))
SHARED = Shape((_card("gpu"),), (), (_card("fpga"), _nic("nic", 3)))
SHARED_NETS = Shape((_nic("mine", 1),), (_nic("other", 2),), (_nic("one", 3), _nic("two", 3)))
ALL = Shape(
    (
        _card("gpu", functions=2),
        _switch("sw", _card("video", acs=False), _card("sound")),
        _bus("old", _card("radio"), _card("modem")),
        _nic("nic", 3),
    ),
    (_card("tpu"),),
    (_nic("both", 2), _card("tape")),
)

PLAN = Task(
    "ps6.q6",
    "who gets which function",
    ("iommu_groups", "assign"),
    ("S41", "S42", "S43", "S46", "S47"),
    lines=50,
    minutes=60,
    difficulty=4,
    points=7,
    cases=(
        Case("ports that isolate", groups_of(CARDS, _shape(_switch("sw", _card("gpu"), DISK)))),
        Case("a switch with an open port", groups_of(OPEN, OPEN_BELOW)),
        Case("all that is below it", groups_of(OPEN_ABOVE)),
        Case("the highest one counts", groups_of(OPEN_TWICE)),
        Case("a bridge to conventional PCI", groups_of(OLD)),
        Case("functions of one device", groups_of(TWINS, OLD_TWINS)),
        Case("functions that isolate", closed_groups_of(TWINS)),
        Case("VFs", groups_of(NET, OPEN_NET)),
        Case("two roots", groups_of(TWO, SHARED)),
        Case("any tree", any_groups),
        Case("nobody wishes for anything", plan_of(NET, vm(1), vm(2))),
        Case("a card", plan_of(CARDS, vm(1, card("gpu")))),
        Case("two cards", plan_of(CARDS, vm(1, card("sound")), vm(2), vm(3, card("gpu")))),
        Case("a card in a group of its own", plan_of(OPEN, vm(1, card("fpga")), vm(2))),
        Case(
            "the others of its group",
            all_of(
                plan_of(OPEN, vm(1, card("sound"))),
                plan_of(OLD, vm(1, card("modem")), vm(2, card("gpu"))),
            ),
        ),
        Case("all functions of a device", plan_of(TWINS, vm(1, card("gpu.1")))),
        Case(
            "a card that the host needs",
            plan_of(CARDS, vm(1, card("disk"))),
        ),
        Case(
            "a card in the host's group",
            plan_of(WITH_HOST, vm(1, card("gpu")), vm(2, card("radio"))),
        ),
        Case("the PF", plan_of(NET, vm(1, card("nic")), vm(2, card("gpu")))),
        Case("a card that two wish for", plan_of(CARDS, vm(1, card("gpu")), vm(2, card("gpu")))),
        Case("two cards of one group", plan_of(OLD, vm(1, card("radio")), vm(2, card("modem")))),
        Case(
            "VFs for all",
            all_of(
                plan_of(NET, vm(1, net(1)), vm(2, net(3))),
                plan_of(NET, vm(1, net(2)), vm(2, net(2))),
            ),
        ),
        Case("more than there are", plan_of(NET, vm(1, net(5)), vm(2, net(2)))),
        Case("VFs in their PF's group", plan_of(OPEN_NET, vm(1, net(1)), vm(2, card("gpu")))),
        Case("no VFs at all", plan_of(CARDS, vm(1, net(1)), vm(2, card("gpu")))),
        Case("VFs of several cards", plan_of(NETS, vm(1, net(4)), vm(2, net(1)))),
        Case(
            "too few VFs",
            plan_of(NET, vm(1, net(3)), vm(2, net(2)), vm(3, net(1)), vm(4, net(1))),
        ),
        Case(
            "too few, again",
            plan_of(NETS, vm(1, net(4)), vm(2, net(2)), vm(3, net(3)), vm(4, net(1))),
        ),
        Case(
            "a card of another root",
            plan_of(TWO, vm(1, card("fpga")), vm(2, card("gpu"), "B")),
        ),
        Case(
            "a card of another root, and one who can have it",
            plan_of(TWO, vm(1, card("fpga")), vm(2, card("fpga"), "B")),
        ),
        Case(
            "VFs of another root",
            all_of(
                plan_of(TWO, vm(1, net(3)), vm(2, net(2)), vm(3, net(3), "B")),
                plan_of(TWO, vm(1, net(3)), vm(2, net(2)), vm(3, net(3), "B"), vm(4, net(1), "B")),
            ),
        ),
        Case(
            "a card that both roots share",
            plan_of(SHARED, vm(1, card("fpga"), "B"), vm(2, card("fpga")), vm(3, card("gpu"))),
        ),
        Case(
            "a network card that both share",
            plan_of(SHARED, vm(1, net(2)), vm(2, net(1), "B"), vm(3, net(1), "B"), run=True),
        ),
        Case(
            "two of them",
            plan_of(
                SHARED_NETS,
                vm(1, net(1)),
                vm(2, net(3)),
                vm(3, net(2), "B"),
                vm(4, net(2), "B"),
                vm(5, net(1), "B"),
                run=True,
            ),
        ),
        Case(
            "all at once, carried out",
            plan_of(
                ALL,
                vm(1, card("gpu.1")),
                vm(2, net(2)),
                vm(3, card("tape"), "B"),
                vm(4, card("modem")),
                vm(5, net(2), "B"),
                vm(6, card("radio")),
                vm(7, net(2)),
                vm(8, card("tpu"), "B"),
                vm(9, card("video")),
                run=True,
            ),
        ),
        Case("any wishes", any_plan),
        Case("any board, carried out", any_board),
    ),
    hints=(
        "For the groups, write a loop that goes from a function up to its root, by name. What does "
        "it have to remember? Two functions are in one group if they remember the same.",
        "First sort out the groups: which have something in them that the host keeps? For a card "
        "three questions follow, one for each word. For VFs the order decides. Begin with one "
        "root, with the smallest wish.",
        "itertools.product(*(pf.roots for pf in pfs)) goes through all ways to put the PFs into "
        "roots. For each way make one list of free VFs per root, serve the wishes by size, "
        "smallest first, and keep the way that serves most VMs. Who is left over gets the word "
        "'software'.",
    ),
)
