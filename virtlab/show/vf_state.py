"""The SR-IOV capability of one card, under the learner's hands: registers, places, addresses.

    NumVFs 12   ARI 1   page 4 KiB   VF Enable 1   VF MSE 1
       |          |         |            |            |
       +----------+--- routing ids ------+            +--- the VFs' memory answers
                            +--- aperture: from one VF's memory to the next one's

The idea: the state is what the registers hold. An action is one write. It goes to a real `Sharing`,
the capability that our own card answers with, and what is read back is the next state. So what the
card ignores here is what it ignores anywhere.

The rule that keeps it simple: one physical function at 06:00.0, one VF BAR of 16 KiB.

Source: SR-IOV 1.1, 2.1.2 (routing ids), 3.3.3 to 3.3.14. Left out: several physical functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from virtlab.pci.bars import Bar
from virtlab.pci.extended import SrIov
from virtlab.pci.routing_ids import FUNCTIONS
from virtlab.pci.sriov import REQUIRED_PAGES, Sharing
from virtlab.pci.tlp import bdf_text, source_id
from virtlab.registers import Reg, RegisterFile
from virtlab.show.maps import size_words
from virtlab.virtio.pci_layouts import MODERN_BASE
from virtlab.virtio.status import DeviceId

TOTAL, MOST = 256, 300
"""TotalVFs, and the largest NumVFs that can be asked for here."""

PHYSICAL = source_id(6, 0, 0)
"""Routing id of the physical function: where it is on the lesson server."""

BASE, BAR_BYTES = 0x8_0000_0000, 0x4000
"""Where software has put the VF BAR, and how many bytes one VF has."""

PAGES = tuple(1 << bit + 12 for bit in range(32) if REQUIRED_PAGES >> bit & 1)
"""System page sizes that the card supports, in bytes."""

BAR = Bar("BAR0", "memory", RegisterFile(), BAR_BYTES, bits=64, prefetchable=True)

NAMES = {
    "wanted": "NumVFs",
    "ari": "ARI Capable Hierarchy",
    "page": "System Page Size",
    "enabled": "VF Enable",
    "decodes": "VF MSE",
}
"""What a field of the state is called in the specification."""


@dataclass(frozen=True, slots=True)
class VfState:
    """What the registers hold; `page` is in bytes. `chosen` is the VF looked at, from 1.

    `ignored` is the field that the last action tried to change, where the card did not let it.
    """

    wanted: int = 12
    ari: bool = True
    page: int = PAGES[0]
    enabled: bool = True
    decodes: bool = True
    chosen: int = 12
    ignored: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.wanted <= MOST or not 1 <= self.chosen <= TOTAL or self.page not in PAGES:
            raise ValueError(f"no such state: {self}")

    @property
    def count(self) -> int:
        """VFs that there are."""
        return card(self).count

    @property
    def offset(self) -> int:
        """First VF Offset."""
        return card(self).placement.offset

    @property
    def stride(self) -> int:
        """VF Stride."""
        return card(self).placement.stride

    @property
    def aperture(self) -> int:
        """Bytes from one VF's memory to the next one's."""
        return card(self).aperture(BAR)

    def place(self, number: int) -> int:
        """The routing id of VF `number`, from 1."""
        return card(self).placement.routing_id(PHYSICAL, number - 1)

    def address(self, number: int) -> int:
        """Where the memory of VF `number` begins."""
        return card(self).base(BAR) + (number - 1) * self.aperture


@lru_cache(maxsize=64)
def card(state: VfState) -> Sharing:
    """The capability of a fresh card, told all of `state`. Read it only: it is kept."""
    made = Sharing(TOTAL, MODERN_BASE + DeviceId.NETWORK, [BAR])
    _put(made, SrIov.NUM_VFS, state.wanted)
    _put(made, SrIov.SYSTEM_PAGE_SIZE, state.page >> 12)
    _put(made, SrIov.VF_BAR0, BASE & 0xFFFF_FFFF)
    _put(made, SrIov.VF_BAR1, BASE >> 32)
    _put(made, SrIov.CONTROL, _control(state))
    return made


def _put(made: Sharing, reg: Reg, value: int) -> None:
    made.write(reg.offset, reg.width, value)


def _control(state: VfState) -> int:
    word = SrIov.CONTROL.ARI_HIERARCHY.put(0, state.ari)
    word = SrIov.CONTROL.VF_MSE.put(word, state.decodes)
    return SrIov.CONTROL.VF_ENABLE.put(word, state.enabled)


# -- actions


def put(state: VfState, field: str, value: int) -> VfState:
    """Write one register of the card as it is, and read back what that made of it.

    `field` is a name of `NAMES`; `ValueError` for any other, and for a value not on offer.
    """
    if field not in NAMES:
        raise ValueError(f"{field!r} is no field: there are {', '.join(NAMES)}")
    wish = replace(state, **{field: value}, ignored="")  # type: ignore[arg-type]
    made = card.__wrapped__(state)
    if field == "wanted":
        _put(made, SrIov.NUM_VFS, value)
    elif field == "page":
        _put(made, SrIov.SYSTEM_PAGE_SIZE, value >> 12)
    else:
        _put(made, SrIov.CONTROL, _control(wish))
    after = _read(made, state.chosen)
    return after if getattr(after, field) == value else replace(after, ignored=field)


def _read(made: Sharing, chosen: int) -> VfState:
    fields = SrIov.CONTROL.decode(made.CONTROL)
    return VfState(
        made.NUM_VFS,
        bool(fields["ARI_HIERARCHY"]),
        made.page,
        made.enabled,
        bool(fields["VF_MSE"]),
        chosen,
    )


def look(state: VfState, number: int) -> VfState:
    """Look at another VF; the nearest one that there can be."""
    return replace(state, chosen=min(max(number, 1), TOTAL), ignored="")


def more(state: VfState, steps: int) -> VfState:
    """Write a NumVFs that is `steps` higher, within 0 to `MOST`."""
    return put(state, "wanted", min(max(state.wanted + steps, 0), MOST))


# -- in words


def explain(state: VfState) -> str:
    """What the map shows, in sentences."""
    parts = [_ignored(state)] if state.ignored else []
    if not state.enabled:
        parts.append("VF Enable is 0: there is no VF.")
        parts.append(f"For {state.wanted} VFs the card would take offset {state.offset}.")
        return " ".join(parts)
    if not state.count:
        return " ".join([*parts, "VF Enable is 1, and NumVFs is 0: there is no VF."])
    return " ".join([*parts, *_there(state)])


def _ignored(state: VfState) -> str:
    return f"The card ignored the write to {NAMES[state.ignored]}: VF Enable is 1."


def _there(state: VfState) -> list[str]:
    """Sentences for a card that has VFs."""
    parts = []
    if state.wanted > TOTAL:
        parts.append(f"NumVFs is above TotalVFs. That is undefined; this card makes {TOTAL}.")
    first, last = bdf_text(state.place(1)), bdf_text(state.place(state.count))
    one = state.count == 1
    parts.append(f"1 VF: `{first}`." if one else f"{state.count} VFs: `{first}` to `{last}`.")
    if not state.ari and state.count >= FUNCTIONS:
        parts.append("Without ARI bus 06 has room for 7, so all of them are on bus 07.")
    if state.chosen > state.count:
        return [*parts, f"There is no VF {state.chosen}."]
    return [*parts, _routing(state), _memory(state)]


def _routing(state: VfState) -> str:
    n = state.chosen
    sum_ = f"`{bdf_text(PHYSICAL)}` + {state.offset} + {n - 1} x {state.stride}"
    return f"VF {n} is at {sum_} = `{bdf_text(state.place(n))}`."


def _memory(state: VfState) -> str:
    n = state.chosen
    sum_ = f"`{BASE:#x}` + {n - 1} x {size_words(state.aperture)} = `{state.address(n):#x}`"
    if not state.decodes:
        return f"Its memory would be at {sum_}, but VF MSE is 0: nobody answers there."
    return f"Its memory is at {sum_}."
