"""The board on which devices are given to virtual machines: what is given, and what may be.

The idea: a `Board` is what was given so far, what the lists are set to, and the last thing that was
said. `give` and `withdraw` make a new one of it. Whether a device may be given says the VMM's own
`Ledger`, into which everything given so far is written again.

The rule that keeps it simple: nothing here runs. What a board *does* is in `assign_run`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from virtlab.vmm.assignment import Kind, Ledger

VMS = ("A", "B", "C")

LINK = "virtual link"

DEVICES = ("keyboard", "display", "disk", "network card", LINK)
"""In the order of the picture. The last one is no device of the host's."""

CAN_BE = {
    "keyboard": (Kind.DEDICATED,),
    "display": (Kind.DEDICATED,),
    "disk": (Kind.DEDICATED, Kind.PARTITIONED),
    "network card": (Kind.SHARED,),
}
"""What each of the host's devices can be on this board."""

WAYS = {
    "dedicated, through the VMM": Kind.DEDICATED,
    "dedicated, direct": Kind.DEDICATED,
    "partitioned": Kind.PARTITIONED,
    "shared": Kind.SHARED,
    "non-existent": Kind.NON_EXISTENT,
}
"""The list's words, and the kind that they are."""

FORWARDED, DIRECT = "dedicated, through the VMM", "dedicated, direct"

WHY_NOT = {
    ("keyboard", Kind.PARTITIONED): "Half a keyboard is of no use to anybody.",
    ("keyboard", Kind.SHARED): "For whom would a key be? It goes to one VM at a time.",
    ("display", Kind.PARTITIONED): "Its memory could be cut, but here it is one screen.",
    ("display", Kind.SHARED): "Two VMs that draw in one memory draw over each other.",
    ("disk", Kind.SHARED): "Two file systems on the same sectors destroy each other.",
    ("network card", Kind.DEDICATED): (
        "It writes to memory itself, where its driver says. That takes DMA remapping (lesson 10),"
        " and for several VMs virtual functions, SR-IOV (lesson 21)."
    ),
    ("network card", Kind.PARTITIONED): "It has one address, one ring each way: nothing to cut.",
}
"""What stands behind the ledger's refusals."""


class Given(NamedTuple):
    """A device is given to a VM, in one of the `WAYS`."""

    device: str
    vm: str
    way: str

    def __str__(self) -> str:
        return f"{self.vm} has the {self.device}: {self.way}"


START = (
    Given("keyboard", "A", DIRECT),
    Given("display", "B", FORWARDED),
    Given("disk", "A", "partitioned"),
    Given("disk", "B", "partitioned"),
    Given("network card", "A", "shared"),
    Given("network card", "C", "shared"),
)


@dataclass(frozen=True, slots=True)
class Board:
    """What is `given`, in order; what the lists say; and what the last button answered."""

    given: tuple[Given, ...] = START
    device: str = LINK
    vm: str = "B"
    way: str = "non-existent"
    said: str = "Choose a device, a virtual machine and a kind."

    @property
    def chosen(self) -> Given:
        """What the lists say together."""
        return Given(self.device, self.vm, self.way)


def objection(board: Board) -> str:
    """Why what is chosen cannot be given; empty if it can."""
    wanted = board.chosen
    if LINK in wanted or wanted.way == "non-existent":
        return _link_objection(board, wanted)
    ledger = Ledger(CAN_BE)
    for each in board.given:
        if each.device != LINK:
            ledger.give(each.device, each.vm, WAYS[each.way])
    kind = WAYS[wanted.way]
    why = ledger.objection(wanted.device, wanted.vm, kind)
    more = WHY_NOT.get((wanted.device, kind), "") if kind not in CAN_BE[wanted.device] else ""
    return f"{why}. {more}".strip() if why else ""


def _link_objection(board: Board, wanted: Given) -> str:
    if wanted.device != LINK:
        return f"the {wanted.device} exists. Only a device that the host has not is non-existent."
    if wanted.way != "non-existent":
        return f"the host has no {LINK} that could be {WAYS[wanted.way]}."
    ends = [each.vm for each in board.given if each.device == LINK]
    if wanted.vm in ends:
        return f"{wanted.vm} has an end of the {LINK} already."
    return f"a {LINK} has two ends: {' and '.join(ends)} have them." if len(ends) == 2 else ""


def give(board: Board) -> Board:
    """The chosen device to the chosen VM, or a refusal in words."""
    why = objection(board)
    if why:
        return replace(board, said=f"Refused: {why}")
    return replace(board, given=(*board.given, board.chosen), said=f"Given: {board.chosen}.")


def withdraw(board: Board) -> Board:
    """Take the chosen device from the chosen VM, whatever way it has it."""
    left = tuple(e for e in board.given if (e.device, e.vm) != (board.device, board.vm))
    if left == board.given:
        return replace(board, said=f"{board.vm} has nothing of the {board.device}.")
    said = f"Withdrawn: {board.vm} has the {board.device} no more, and nothing of it is left there."
    return replace(board, given=left, said=said)
