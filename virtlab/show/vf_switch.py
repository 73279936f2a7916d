"""A frame through the switch inside a card: what is sent, where it goes, who counts it.

    From VF 1, to everybody, its own address, no tag
      -> VF 2 (same VLAN) without a tag, the PF and the wire with tag 5; VF 3 and VF 4 hear nothing

The idea: the state is the settings of four ports, the frame, and the counts so far. `trip` makes
the library's own `EmbeddedSwitch` with these settings and sends that one frame. What the functions
and the wire then hear is the answer.

The rule that keeps it simple: choosing shows the way at once. Only `send` counts.

Source: 802.1Q 5.9 and 6.9; `virtlab.virtio.embedded_switch`. Left out: VFs that are not there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from virtlab.backends import Link
from virtlab.backends.network import BROADCAST
from virtlab.show.vf_guests import frame
from virtlab.virtio.embedded_switch import PHYSICAL, WIRE, EmbeddedSwitch
from virtlab.virtio.net_filter import vlan

GUESTS = (1, 2, 3, 4)
"""Ports with a virtual function and a VM behind it."""

PORTS = (PHYSICAL, *GUESTS)
EVERYBODY = 99
"""As a target: a broadcast."""

VLANS = (0, 5, 6)
"""What a port can be in; 0 is the untagged network."""

MOST_SENT = 999
"""Frames that a port's counters go up to here."""

_FAR = bytes.fromhex("020000000099")


class Setting(NamedTuple):
    """What the host has set for a VF's port."""

    vlan: int = 0
    check: bool = True


class Counts(NamedTuple):
    """Frames of a port so far."""

    sent: int = 0
    received: int = 0
    dropped: int = 0


class Trip(NamedTuple):
    """Where a frame goes: `arrived` has `(port or WIRE, its tag there or 0)`.

    `dropped` is why the sender's own port refuses it, if it does.
    """

    arrived: tuple[tuple[int, int], ...]
    dropped: str

    def tag_at(self, number: int) -> int | None:
        """The tag that a receiver sees, 0 for none; None if the frame does not come there."""
        return dict(self.arrived).get(number)


@dataclass(frozen=True, slots=True)
class SwitchState:
    """Four ports' settings, the frame to send, and the counts of ports 0 to 4.

    `sender` is a port or `WIRE`; `target` is a port, `WIRE` for somebody outside, or `EVERYBODY`.
    The frame has the address of `claims`, and tag `tag` if that is not 0. `port` is the one whose
    settings are shown.
    """

    settings: tuple[Setting, ...] = (Setting(5), Setting(5), Setting(), Setting())
    sender: int = 1
    target: int = EVERYBODY
    claims: int = 1
    tag: int = 0
    port: int = 1
    counts: tuple[Counts, ...] = (Counts(),) * len(PORTS)

    def __post_init__(self) -> None:
        known = (*PORTS, WIRE)
        fine = self.sender in known and self.claims in known and self.port in GUESTS
        if not fine or self.target not in (*known, EVERYBODY) or self.tag not in VLANS:
            raise ValueError(f"no such state: {self}")
        if any(each.vlan not in VLANS for each in self.settings):
            raise ValueError(f"a port is in one of the VLANs {VLANS}")


def mac(number: int) -> bytes:
    """The address of a port, or of somebody at the wire."""
    return _FAR if number == WIRE else bytes.fromhex("5254000000") + bytes([number])


def frame_of(state: SwitchState) -> bytes:
    """The frame that the state describes, 60 bytes."""
    to = BROADCAST if state.target == EVERYBODY else mac(state.target)
    return frame(to, mac(state.claims), b"hello", state.tag)


def trip(state: SwitchState) -> Trip:
    """Send it through a switch with these settings, and listen everywhere."""
    cable = Link("wire")
    switch = EmbeddedSwitch(cable.a, [mac(number) for number in PORTS])
    for number, setting in zip(GUESTS, state.settings, strict=True):
        switch.ports[number].vlan, switch.ports[number].spoof_check = setting
    heard: list[tuple[int, int]] = []
    ends = {WIRE: cable.b, **dict(enumerate(switch.ends))}
    for number, end in ends.items():
        end.listener = lambda frame, number=number: heard.append((number, vlan(frame) or 0))
    ends[state.sender].send(frame_of(state))
    reasons = [] if state.sender == WIRE else list(switch.ports[state.sender].counts)
    why = [reason.partition(": ")[2] for reason in reasons if reason.startswith("dropped")]
    return Trip(tuple(sorted(heard)), why[0] if why else "")


# -- actions


def choose(state: SwitchState, **changes: int) -> SwitchState:
    """Another sender, target, claim, tag or port. A new sender speaks under its own address."""
    if "sender" in changes:
        changes = {"claims": changes["sender"], **changes}
    return replace(state, **changes)  # type: ignore[arg-type]


def configure(state: SwitchState, setting: Setting) -> SwitchState:
    """Other settings for the port that is shown."""
    changed = list(state.settings)
    changed[state.port - 1] = setting
    return replace(state, settings=tuple(changed))


def send(state: SwitchState) -> SwitchState:
    """Send the frame: the ports count it."""
    done = trip(state)
    counts = []
    for number, each in zip(PORTS, state.counts, strict=True):
        mine = number == state.sender
        counts.append(
            Counts(
                min(each.sent + (mine and not done.dropped), MOST_SENT),
                min(each.received + (done.tag_at(number) is not None), MOST_SENT),
                min(each.dropped + (mine and bool(done.dropped)), MOST_SENT),
            )
        )
    return replace(state, counts=tuple(counts))


# -- in words


def name_of(number: int) -> str:
    """A port, the wire, or everybody."""
    names = {WIRE: "the wire", PHYSICAL: "the PF", EVERYBODY: "everybody"}
    return names.get(number, f"VF {number}")


def explain(state: SwitchState) -> str:
    """What the picture shows, in sentences."""
    done = trip(state)
    words = f"{_capital(name_of(state.sender))} sends to {_target(state)}"
    if state.claims != state.sender:
        words += f" under the address of {_claimed(state.claims)}"
    words += f", with tag {state.tag}." if state.tag else "."
    if done.dropped:
        return f"{words} {_why(state, done.dropped)}"
    if not done.arrived:
        return f"{words} It reaches nobody."
    return f"{words} {_reach(done)} {_silence(state, done)}".rstrip()


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _target(state: SwitchState) -> str:
    return "somebody outside" if state.target == WIRE else name_of(state.target)


def _claimed(number: int) -> str:
    return "somebody outside" if number == WIRE else name_of(number)


def _why(state: SwitchState, reason: str) -> str:
    port = f"Port {state.sender} drops it"
    if reason == "tagged":
        return f"{port}: tags are the host's, and a VF may not set one."
    return f"{port}: the source is not the address that the host gave to this port."


def _reach(done: Trip) -> str:
    """`It reaches VF 2 without a tag, the PF and the wire with tag 5.`"""
    order = sorted(done.arrived, key=lambda each: (each[0] == WIRE, each[0] == PHYSICAL, each[0]))
    parts = []
    for tag in dict.fromkeys(tag for _, tag in order):
        names = [name_of(number) for number, each in order if each == tag]
        parts.append(f"{_listed(names)} {f'with tag {tag}' if tag else 'without a tag'}")
    return f"It reaches {', '.join(parts)}."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _silence(state: SwitchState, done: Trip) -> str:
    """Who hears nothing of a broadcast."""
    if state.target != EVERYBODY:
        return ""
    deaf = [n for n in GUESTS if n != state.sender and done.tag_at(n) is None]
    if not deaf:
        return ""
    verb = "hears" if len(deaf) == 1 else "hear"
    return f"{_listed([name_of(n) for n in deaf])} {verb} nothing: another VLAN."
