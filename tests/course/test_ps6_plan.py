"""Task 6 of problem set 6: its rules, its boards, and what wrong plans let devices do there."""

from itertools import combinations, product
from random import Random

import pytest

from tests.course.answers import right
from tests.course.refusals import refusal
from virtlab.course.answers import Answer
from virtlab.course.ps6 import plan_cases, plan_rules
from virtlab.course.ps6.plan import ALL, CARDS, NET, NETS, OLD, OPEN, OPEN_NET, SHARED, TWINS, TWO
from virtlab.course.ps6.plan_board import Boards, Function, Shape, Thing
from virtlab.course.ps6.plan_cases import any_shape, any_vms, card, listing, net, told, vm
from virtlab.course.ps6.plan_rules import Rules, most, together
from virtlab.course.ps6.plan_run import first_leak, owners
from virtlab.pci import acs


def sets(groups):
    return {frozenset(group) for group in groups}


def test_the_example_of_the_text_holds():
    names = right()
    wishes = [vm(1, net(2)), vm(2, net(2)), vm(3, net(1))]
    for leaky in (False, True):
        shape = Shape((Thing("switch", "sw", (Thing("nic", "nic", vfs=3, acs=not leaky),)),))
        plan = names["assign"](list(listing(shape)[0]), wishes)
        assert [plan["vm1"], plan["vm2"], plan["vm3"]].count("software") == (3 if leaky else 1)
    functions = listing(shape)[0]
    assert sets(names["iommu_groups"](list(functions))) >= {
        frozenset({"sw, upstream", "sw, port 0", "nic", "nic.vf1", "nic.vf2", "nic.vf3"})
    }


# -- boards, and their groups


def test_a_board_says_what_the_library_knows_of_its_functions():
    found = {each.name: each for each in listing(SHARED)[0]}
    assert found["gpu"] == Function("gpu", "card", "A.port1", "gpu", True, "A", "")
    assert found["shared"] == Function("shared", "bridge", "", "shared", True, "AB", "")
    assert found["nic"].kind == "pf"
    assert found["nic.vf2"] == Function(
        "nic.vf2", "vf", "shared.port1", "nic.vf2", True, "AB", "nic"
    )
    assert found["B.port1"].roots == "B"
    twins = {each.name: each for each in listing(TWINS)[0]}
    assert {twins["gpu.0"].device, twins["gpu.1"].device} == {"gpu.0"}
    assert not twins["gpu.1"].isolates
    assert told(listing(OLD)[0]) == "A.port1 [~old [~radio ~modem]]; A.port2 [gpu]"


@pytest.mark.parametrize("shape", [CARDS, OLD, TWINS, NET, TWO, SHARED])
def test_groups_on_paper_are_those_of_the_library(shape):
    boards = Boards(shape)
    assert sets(together(boards.functions())) == sets(boards.groups())


def test_the_librarys_groups_are_parts_of_ours():
    """They differ where a switch has ports with ACS and ports without."""
    for seed in range(12):
        boards = Boards(any_shape(Random(seed)))
        ours = sets(together(boards.functions()))
        assert all(any(set(group) <= other for other in ours) for group in boards.groups())


def test_behind_an_open_port_a_card_reaches_what_is_behind_its_neighbour():
    """Linux's rule calls `gpu` alone: its own port has ACS. Its neighbour's has not."""
    boards = Boards(OPEN)
    assert ["gpu"] in boards.groups()
    plan = {"vm1": ["gpu"], "vm2": ["sound"]}
    vms = [vm(1, card("gpu")), vm(2, card("sound"))]
    assert first_leak(OPEN, vms, plan) == "sound, which vm2 got, writes into gpu, past the IOMMU"
    found = Rules(*listing(OPEN), vms).check(plan)
    assert found.look == plan_rules.LOOK_WHOLE


def test_every_port_of_a_board_is_as_it_was_told():
    (host,) = Boards(OPEN).hosts.values()
    open_ports = [each.name for each in host.walk() if each.below and not acs.isolates(each)]
    assert open_ports == ["sw, port 1"]


# -- plans, carried out


@pytest.mark.parametrize(
    ("shape", "plan", "leak"),
    [
        (OLD, {"vm1": ["radio"], "vm2": ["modem"]}, "a DMA write of radio, which vm1 got, to the "
         "frame of vm2 arrives"),
        (OLD, {"vm1": ["radio"], "vm2": []}, "radio, which vm1 got, writes into modem, past the"),
        (OPEN, {"vm1": ["gpu", "sound"], "vm2": ["fpga"]}, ""),
        (NET, {"vm1": ["nic.vf1", "nic.vf4"], "vm2": ["nic.vf2"]}, ""),
        (TWINS, {"vm1": ["gpu.0", "gpu.1"], "vm2": "software"}, ""),
        (OLD, {"vm1": ["radio", "modem"], "vm2": ["no such"]}, ""),
    ],
)  # fmt: skip
def test_what_a_plan_lets_devices_do(shape, plan, leak):
    found = first_leak(shape, [vm(1), vm(2)], plan)
    assert found.startswith(leak) if leak else found == ""


def test_the_model_has_no_way_inside_a_card():
    """Real cards may have one, and groups allow for it: these plans break a rule all the same."""
    wishes = [vm(1, card("gpu.0")), vm(2, card("gpu.1"))]
    for shape, plan in (
        (TWINS, {"vm1": ["gpu.0"], "vm2": ["gpu.1"]}),
        (OPEN_NET, {"vm1": ["nic.vf1"], "vm2": []}),
    ):
        assert first_leak(shape, wishes, plan) == ""
        assert Rules(*listing(shape), wishes).check(plan).look == plan_rules.LOOK_WHOLE


def test_a_function_that_is_in_the_other_hierarchy_reaches_nothing_of_its_vm():
    """The plan gives VFs of one PF to both roots: it can be in one of them only."""
    vms = [vm(1, net(1)), vm(2, net(1), "B")]
    plan = {"vm1": ["nic.vf1"], "vm2": ["nic.vf2"]}
    assert owners(SHARED, vms, plan) == "AA"
    assert "nic.vf2, which vm2 got, to the frame of vm2" not in first_leak(SHARED, vms, plan)
    assert Rules(*listing(SHARED), vms).check(plan).look == plan_rules.LOOK_HIERARCHY
    assert owners(SHARED, vms, {"vm1": "software", "vm2": ["nic.vf2"]}) == "AB"


# -- the rules


WISHES = [vm(1, card("radio")), vm(2, card("modem")), vm(3, card("gpu")), vm(4), vm(5, net(1))]
GOOD = {"vm1": ["modem", "radio"], "vm2": "taken", "vm3": ["gpu"], "vm4": [], "vm5": "software"}


def test_a_good_plan_breaks_no_rule():
    assert Rules(*listing(OLD), WISHES).check(GOOD) is None
    other = GOOD | {"vm1": "taken", "vm2": ["radio", "modem"]}
    assert Rules(*listing(OLD), WISHES).check(other) is None


@pytest.mark.parametrize(
    ("change", "look"),
    [
        ({"vm1": "taken"}, plan_rules.LOOK_ORDER),
        ({"vm1": ["radio"]}, plan_rules.LOOK_WHOLE),
        ({"vm1": ["radio", "modem", "old"]}, plan_rules.LOOK_BRIDGE),
        ({"vm1": ["radio", "modem", "radio"]}, plan_rules.LOOK_OWNER),
        ({"vm2": ["radio", "modem"]}, plan_rules.LOOK_OWNER),
        ({"vm2": "host"}, plan_rules.LOOK_WORD),
        ({"vm2": "software"}, plan_rules.LOOK_WORD),
        ({"vm3": []}, plan_rules.LOOK_CARD),
        ({"vm3": "root"}, plan_rules.LOOK_ORDER),
        ({"vm3": ["GPU"]}, plan_rules.LOOK_FORM),
        ({"vm3": ("gpu",)}, plan_rules.LOOK_FORM),
        ({"vm3": [1]}, plan_rules.LOOK_FORM),
        ({"vm4": "none"}, plan_rules.LOOK_NONE),
        ({"vm4": ["gpu"], "vm3": "taken"}, plan_rules.LOOK_NONE),
        ({"vm5": []}, plan_rules.LOOK_NET),
        ({"vm5": "taken"}, plan_rules.LOOK_WORD),
        ({"vm6": []}, plan_rules.LOOK_FORM),
    ],
)
def test_a_plan_that_breaks_a_rule_is_told_so(change, look):
    assert Rules(*listing(OLD), WISHES).check(GOOD | change).look == look


@pytest.mark.parametrize(
    ("shape", "vms", "plan", "look"),
    [
        (NET, [vm(1, net(1))], {"vm1": ["nic"]}, plan_rules.LOOK_HOST),
        (NET, [vm(1, net(1))], {"vm1": "software"}, plan_rules.LOOK_FEWEST),
        (NET, [vm(1, net(1))], {"vm1": ["nic.vf1", "nic.vf2"]}, plan_rules.LOOK_NET),
        (NET, [vm(1, net(1))], {"vm1": ["gpu"]}, plan_rules.LOOK_NET),
        (NET, [vm(1)], {}, plan_rules.LOOK_FORM),
        (NET, [vm(1)], None, plan_rules.LOOK_FORM),
        (NET, [vm(1)], [[]], plan_rules.LOOK_FORM),
        (TWO, [vm(1, card("fpga"))], {"vm1": ["fpga"]}, plan_rules.LOOK_ROOT),
        (TWO, [vm(1, card("fpga"))], {"vm1": "taken"}, plan_rules.LOOK_WORD),
        (CARDS, [vm(1, card("disk"))], {"vm1": "root"}, plan_rules.LOOK_WORD),
    ],
)
def test_other_rules(shape, vms, plan, look):
    assert Rules(*listing(shape), vms).check(plan).look == look


def brute(functions, members, vms):
    """How many wishes can be met: every subset of the VMs, every way to put PFs into roots."""
    pfs = [each for each in functions if each.kind == "pf"]
    wished = [(root, wish[1]) for _, root, wish in vms if wish and wish[0] == "net"]
    best = 0
    for roots in product(*(pf.roots for pf in pfs)):
        where = {pf.name: root for pf, root in zip(pfs, roots, strict=True)}
        free = [e for e in functions if e.kind == "vf" and members[e.name] == [e.name]]
        pool = {root: sum(where[each.pf] == root for each in free) for root in "AB"}
        for size in range(len(wished) + 1):
            for some in combinations(wished, size):
                if all(sum(n for at, n in some if at == root) <= pool[root] for root in "AB"):
                    best = max(best, size)
    return best


def test_the_fewest_in_software_are_so_by_trying_everything():
    for seed in range(60):
        rng = Random(seed)
        functions, groups = listing(rng.choice((NET, NETS, TWO, SHARED, ALL, OPEN_NET)))
        vms = [vm(n, net(rng.randrange(1, 4)), rng.choice("AB")) for n in range(rng.randrange(7))]
        members = Rules(functions, groups, vms).members
        assert most(functions, members, vms) == brute(functions, members, vms)


# -- what a student reads


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def iommu_groups(f): pass", "expected a list of lists of names yours None: is there a"),
        ("def iommu_groups(f): return [[e.name] for e in f][1:]", "names, each once"),
        ("def iommu_groups(f): return [[e.name] for e in f]", "expected together: gpu, sound, sw, "
         "port 0, sw, port 1, sw, upstream yours together: sw, upstream"),
        ("def assign(f, v): pass", "expected an entry for each VM yours None: is there a return?"),
        ("def assign(f, v): return {}", "yours {}"),
        ("def assign(f, v): return {n: [e.name for e in f if e.kind == 'card'] if w else []"
         " for n, _, w in v}", "expected vm1 wishes for card gpu yours ['gpu', 'sound']"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(source, said):
    assert said in refusal("ps6.q6", source)


def test_what_a_bad_plan_lets_happen_is_shown():
    ask = plan_cases.plan_of(OLD, vm(1, card("radio")))
    names = {"assign": lambda functions, vms: {"vm1": ["radio"]}}
    found = ask(Answer(names), Random(1))
    assert found.access == "radio, which vm1 got, writes into modem, past the IOMMU"
    assert found.yours == "vm1 gets radio; the plan: vm1: ['radio']"


def test_a_leak_that_no_rule_names_would_be_found(monkeypatch):
    monkeypatch.setattr(Rules, "check", lambda rules, plan: None)
    ask = plan_cases.plan_of(OLD, vm(1, card("radio")), run=True)
    found = ask(Answer({"assign": lambda functions, vms: {"vm1": ["radio"]}}), Random(1))
    assert found.look == plan_cases.LOOK_REAL
    assert found.yours.startswith("radio, which vm1 got")


def test_random_wishes_meet_every_word():
    words, assign = set(), right()["assign"]
    for seed in range(40):
        rng = Random(seed)
        functions = listing(any_shape(Random(seed % 8)))[0]
        plan = assign(list(functions), any_vms(rng, functions))
        words |= {each for each in plan.values() if isinstance(each, str)}
        words |= {"list" for each in plan.values() if isinstance(each, list) and each}
    assert words == {"host", "root", "taken", "software", "list"}
