"""Play the attacker: choose an attack and a device, and see what becomes of everybody's bytes.

The idea: two lists and three buttons. Each choice runs the attack in a fresh process, so nothing
can be broken for longer than one look.

The rule that keeps it simple: the state is two names, and the picture follows from them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from virtlab.show.attack_list import ATTACKS
from virtlab.show.attack_picture import attack_picture
from virtlab.show.attack_run import CHECKED, DEVICES, NAIVE, attack
from virtlab.show.attack_words import NAMES, story
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown

_NAMES = tuple(ATTACKS)


class Duel(NamedTuple):
    """Which attack, at which device."""

    name: str = _NAMES[0]
    device: str = NAIVE


START = Duel()


def stepped(duel: Duel, steps: int) -> Duel:
    """So many attacks further on in the list, round its end."""
    place = (_NAMES.index(duel.name) + steps) % len(_NAMES)
    return duel._replace(name=_NAMES[place])


def other(duel: Duel) -> Duel:
    """The same attack at the other device."""
    return duel._replace(device=NAIVE if duel.device == CHECKED else CHECKED)


class AttackLab(Shell):
    """Every attack, at our device and at the naive one."""

    def __init__(self, begin: Duel = START) -> None:
        self._begin = self.state = begin
        self._following = False
        self._picture, self._says = drawing(), sentence()
        titles = [(f"{i}. {each.title}", name) for i, (name, each) in enumerate(ATTACKS.items(), 1)]
        self._attack = choice("Attack", titles, begin.name)
        self._device = choice("At", [(NAMES[device], device) for device in DEVICES], begin.device)
        controls = (
            row(self._attack, self._device),
            row(
                button("Next attack", lambda: self._take(stepped(self.state, 1))),
                button("The one before", lambda: self._take(stepped(self.state, -1))),
                button("The other device", lambda: self._take(other(self.state)), kind="primary"),
                button("Reset", lambda: self._take(self._begin)),
            ),
        )
        super().__init__("AttackLab: a hostile guest", [*controls, self._picture, self._says])
        self._attack.observe(self._heard, "value")
        self._device.observe(self._heard, "value")
        self._take(begin)

    def _heard(self, _: Any) -> None:
        if not self._following:
            self._take(Duel(self._attack.value, self._device.value))

    def _take(self, duel: Duel) -> None:
        """Let it happen, show it, and let both lists follow."""
        self.state, self._following = duel, True
        self._attack.value, self._device.value = duel
        self._following = False
        outcome = attack(*duel)
        self._picture.value = shown(attack_picture(outcome))
        self._says.value = said(story(outcome))
