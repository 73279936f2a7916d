"""What connects the local APICs: every message goes to all, and those that are named take it.

    devices, I/O APICs --> (remapping unit) --> ApicBus.message --> Lapic, Lapic, ...
                             ICR of a Lapic --> ApicBus.send    --> Lapic, Lapic, ...

The rule that keeps it simple: of several that are named, "lowest priority" and the redirection hint
choose one: that whose processor has the lowest priority now, and of equals the first.

Source: Intel SDM 3A, 11.6.2.4 (lowest priority), 11.11 (messages). Left out: focus processors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from virtlab.devices.lapic.chip import ALL, MYSELF, OTHERS, Lapic
from virtlab.devices.lapic.core import LapicCore
from virtlab.interrupts import Delivery, Interrupt, Msi
from virtlab.trace import Trace


class ApicBus:
    """The local APICs of a machine. `lapics` are in the order of their processors."""

    def __init__(self, lapics: Iterable[Lapic], trace: Trace | None = None) -> None:
        self.lapics = tuple(lapics)
        self.trace = trace or Trace()
        for lapic in self.lapics:
            lapic.bus = self

    def message(self, msi: Msi) -> list[Lapic]:
        """Deliver a message, in the format of the APICs. Gives who took it."""
        interrupt = Interrupt.of(msi)
        return self.deliver(interrupt, [each for each in self.lapics if each.matches(interrupt)])

    def send(self, sender: LapicCore, interrupt: Interrupt, shorthand: int) -> list[Lapic]:
        """Deliver what `sender` sends by its ICR."""
        named = [each for each in self.lapics if _is_named(each, sender, interrupt, shorthand)]
        return self.deliver(interrupt, named)

    def deliver(self, interrupt: Interrupt, named: Sequence[Lapic]) -> list[Lapic]:
        """Give `interrupt` to those who are named, or to one of them."""
        if interrupt.mode == Delivery.LOWEST_PRIORITY or interrupt.hint:
            able = [each for each in named if each.enabled]
            named = [min(able, key=lambda each: each.vectors.priority(each.TPR))] if able else []
        took = [each for each in named if each.accept(interrupt)]
        words = f"{Delivery(interrupt.mode).name} {interrupt.vector:#x}" if took else "nobody"
        who = " ".join(f"lapic {each.number}" for each in took)
        self.trace.emit("apic", who, value=interrupt.vector, note=words)
        return took


def _is_named(each: Lapic, sender: LapicCore, interrupt: Interrupt, shorthand: int) -> bool:
    if shorthand in (ALL, OTHERS):
        return each.present and (shorthand == ALL or each is not sender)
    return each is sender if shorthand == MYSELF else each.matches(interrupt)
