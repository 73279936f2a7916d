"""Send a frame through the card's own switch, and set what its ports may do.

The idea: the first row of controls is the frame, the second is the host's form for one port. Every
choice shows the way of the frame at once; *Send* lets the ports count it.

The rule that keeps it simple: all that is known is in a `SwitchState`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown
from virtlab.show.vf_switch import (
    EVERYBODY,
    GUESTS,
    PORTS,
    VLANS,
    Setting,
    SwitchState,
    choose,
    configure,
    explain,
    name_of,
    send,
)
from virtlab.show.vf_switch_picture import switch_picture
from virtlab.virtio.embedded_switch import WIRE

_PLACES = [(name_of(number), number) for number in (*GUESTS, *PORTS[:1], WIRE)]
_TARGETS = [*_PLACES[:-1], ("somebody outside", WIRE), ("everybody", EVERYBODY)]
_CLAIMS = _TARGETS[:-1]
FRAME: dict[str, tuple[str, list[tuple[str, int]]]] = {
    "sender": ("From", _PLACES),
    "target": ("To", _TARGETS),
    "claims": ("Source address of", _CLAIMS),
    "tag": ("Tag", [("none", 0), *((f"VLAN {vid}", vid) for vid in VLANS[1:])]),
    "port": ("Settings of", _PLACES[: len(GUESTS)]),
}
"""Lists of the lab, by the field of the state that each writes."""

SETTINGS: dict[str, tuple[str, list[tuple[str, int]]]] = {
    "vlan": ("VLAN", [("untagged", 0), *((f"{vid}", vid) for vid in VLANS[1:])]),
    "check": ("Spoof check", [("on", True), ("off", False)]),
}
"""The host's form for one port."""


class SwitchLab(Shell):
    """Four VMs behind one card; `begin` is where it starts."""

    def __init__(self, begin: SwitchState | None = None) -> None:
        self._begin = self.state = SwitchState() if begin is None else begin
        self._following = False
        self._picture, self._says = drawing(), sentence()
        self._lists: dict[str, Any] = {
            field: choice(words, options, getattr(self.state, field))
            for field, (words, options) in FRAME.items()
        }
        self._form: dict[str, Any] = {
            field: choice(words, options, getattr(self._setting, field))
            for field, (words, options) in SETTINGS.items()
        }
        frame = [self._lists[field] for field in ("sender", "target", "claims", "tag")]
        form = [self._lists["port"], *self._form.values()]
        press = button("Send", lambda: self._take(send(self.state)), kind="primary")
        rows = [row(*frame, press), row(*form, button("Reset", self.reset))]
        super().__init__("SwitchLab: the switch inside a card", [*rows, self._picture, self._says])
        for field, control in self._lists.items():
            control.observe(partial(self._chosen, field), "value")
        for field, control in self._form.items():
            control.observe(partial(self._set, field), "value")
        self._take(self.state)

    @property
    def _setting(self) -> Setting:
        return self.state.settings[self.state.port - 1]

    def reset(self) -> None:
        """The first frame, the first settings, and all counts 0."""
        self._take(self._begin)

    def _chosen(self, field: str, change: dict[str, Any]) -> None:
        if not self._following:
            self._take(choose(self.state, **{field: change["new"]}))

    def _set(self, field: str, change: dict[str, Any]) -> None:
        if not self._following:
            changed = self._setting._replace(**{field: change["new"]})
            self._take(configure(self.state, changed))

    def _take(self, state: SwitchState) -> None:
        """Show `state`, and let every control follow."""
        self.state, self._following = state, True
        for field, control in self._lists.items():
            control.value = getattr(state, field)
        for field, control in self._form.items():
            control.value = getattr(self._setting, field)
        self._following = False
        self._picture.value = shown(switch_picture(state))
        self._says.value = said(explain(state))
