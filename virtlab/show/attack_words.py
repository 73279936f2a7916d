"""What came of an attack, in sentences: what the device did, what the guest sees, what is lost.

    device    It refuses: no memory there: 512 bytes at 0x8000 (virtio 1.3 2.7.5).
    guest     DEVICE_NEEDS_RESET in the status, and an interrupt. 0 chains came back.
    host      Nothing is lost.

The idea: an `Outcome` has facts only. Here each fact has its words, once, for picture and widget.

The rule that keeps it simple: nothing is said that is not in the facts, but for `harm`: what the
naive device does to the guest itself. That one a test looks up in the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.show.attack_hand import UNWRITTEN
from virtlab.show.attack_list import ATTACKS
from virtlab.show.attack_memory import Span
from virtlab.show.attack_run import CHECKED, NAIVE, Outcome, attack
from virtlab.show.tables import Table
from virtlab.virtio.blk_layouts import BlkStatus
from virtlab.virtio.status import Interrupt

NAMES = {CHECKED: "our device", NAIVE: "the naive device"}
"""How a device is called."""


def device_did(outcome: Outcome) -> str:
    """What the device did, in a sentence or two."""
    if outcome.dead:
        return f"It obeys, until its process dies: {outcome.dead}."
    if outcome.stuck:
        return f"It obeys, and hangs: {outcome.stuck}."
    if outcome.events:
        return f"It refuses: {outcome.events[0][1]}."
    if outcome.device != CHECKED:
        return "It obeys." if not outcome.attack.looks_first else "It checks, and then it obeys."
    if any(status not in (BlkStatus.OK, UNWRITTEN) for status in outcome.statuses):
        return "It answers the request with an error, and goes on."
    if not outcome.used:
        return "It answers all ones, and goes on."
    return f"It serves {_many(outcome.used, 'chain')}, and is done."


def guest_sees(outcome: Outcome) -> str:
    """What the guest can find out."""
    if outcome.dead or outcome.stuck:
        end = "The VM is gone" if outcome.dead else "No answer, ever"
        return f"{end}. {_back(outcome)}"
    if outcome.needs_reset:
        told = " and an interrupt" if Interrupt.CONFIG in outcome.interrupts else ""
        return f"DEVICE_NEEDS_RESET in the status{told}. {_back(outcome)}"
    return f"{_back(outcome)} {_statuses(outcome)}".strip()


def _back(outcome: Outcome) -> str:
    verb = "comes" if outcome.used == 1 else "come"
    return f"{_many(outcome.used, 'chain')} {verb} back."


def _statuses(outcome: Outcome) -> str:
    words = _words(outcome.statuses)
    return f"Status of the requests: {', '.join(words)}." if words else ""


def _words(statuses: Iterable[int]) -> list[str]:
    known = {int(status): status.name for status in BlkStatus}
    return [known.get(status, "not written") for status in statuses]


def host_lost(outcome: Outcome) -> str:
    """What others have lost: the host, and other VMs."""
    if outcome.safe:
        whole = "Outside of the guest's own part every byte is as it was, and none was looked at."
        harm = outcome.attack.harm if outcome.device != CHECKED else ""
        return f"{harm} {whole}".strip()
    parts = [
        ("Copied to where the guest can read it", outcome.leaked),
        ("Overwritten", outcome.damaged),
        ("Taken for a descriptor", _only_read(outcome)),
    ]
    told = [f"{words}: {_named(spans)}." for words, spans in parts if spans]
    if outcome.dead:
        told.append("With the process die all VMs and devices that it serves.")
    if outcome.stuck:
        told.append("It does nothing else any more: nobody whom it serves gets an answer.")
    return " ".join(told)


def _only_read(outcome: Outcome) -> tuple[Span, ...]:
    """What a device read of others, where nothing of it can be seen any more."""
    if outcome.leaked or outcome.damaged:
        return ()
    return tuple(span for verb, span, _ in outcome.strayed if verb == "read")


def story(outcome: Outcome) -> str:
    """The whole, for the sentence below a picture."""
    facts = f"{title(outcome)}. {device_did(outcome)} {guest_sees(outcome)} {host_lost(outcome)}"
    if not outcome.attack.line:
        return facts
    where = f"virtlab/virtio/{outcome.attack.file}"
    return f"{facts} The line that makes the difference is `{outcome.attack.line}` in `{where}`."


def attack_table(*names: str) -> Table:
    """One attack a row: what it does at the naive device, and what ours says to it."""
    rows = tuple(
        (ATTACKS[name].title, in_short(attack(name, NAIVE)), in_short(attack(name, CHECKED)))
        for name in names
    )
    return Table("What became of it", ("attack", "the naive device", "our device"), rows)


def in_short(outcome: Outcome) -> str:
    """The one thing that is worth saying of an outcome."""
    if outcome.dead or outcome.stuck:
        return f"dies: {outcome.dead}" if outcome.dead else f"hangs: {outcome.stuck}"
    for words, spans in (
        ("gives away", outcome.leaked),
        ("overwrites", outcome.damaged),
        ("takes for a descriptor", _only_read(outcome)),
    ):
        if spans:
            return f"{words}: {_named(spans)}"
    if outcome.device != CHECKED and outcome.attack.harm:
        return outcome.attack.harm
    if outcome.events:
        return outcome.events[0][1]
    wrong = [word for word in _words(outcome.statuses) if word != "OK"]
    return f"status {wrong[0]}, and it goes on" if wrong else device_did(outcome)


def title(outcome: Outcome) -> str:
    """Which attack, at which device."""
    words = outcome.attack.title
    return f"{words[0].upper()}{words[1:]}, at {NAMES[outcome.device]}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _named(spans: Iterable[Span]) -> str:
    return ", ".join(span.name for span in spans)
