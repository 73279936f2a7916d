"""One interrupt, sent on a real VM and watched at every place that it passes.

    device --> unit --> entry --> host's APIC --> VMM --> guest's APIC --> guest
                  |         +---> descriptor ------------------^
                  +--> refused

The idea: `InterruptedVm` does all of it. Here each of its steps is noted as it happens: where, in
words, what it has cost so far, and what stands in both APICs and in the descriptor.

The rule that keeps it simple: nothing is said that was not done. The costs are the VM's counts, the
refusals those of the remapping unit.

Source: as `vmm.interrupt_ways`. The host ends its own interrupts (disk, timer) in its own handler.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Literal, NamedTuple

from virtlab.interrupts import Msi
from virtlab.iommu.interrupt_remapping import CHECK_ID, Outcome
from virtlab.iommu.layouts import DST_XAPIC, IRTE, REQUEST_ADDRESS
from virtlab.iommu.posted import PostedDescriptor
from virtlab.iommu.reasons import Reason
from virtlab.machine import lesson_vm
from virtlab.pci.tlp import bdf_text
from virtlab.show.irq_scene import (
    CARD,
    CARD_VECTOR,
    DISK,
    DISK_ENTRY,
    DISK_VECTOR,
    GUEST_VECTOR,
    TIMER_VECTOR,
    Plan,
)
from virtlab.vmm.interrupt_target import WAKE, State
from virtlab.vmm.interrupt_ways import InterruptedVm
from virtlab.vmm.meter import Cost, Meter
from virtlab.vmm.virtual_machine import VirtualMachine

Place = Literal["guest", "device", "unit", "entry", "refused", "descriptor", "host", "vmm", "apic"]

NAP = 1000
"""Nanoseconds after which a guest that nobody wakes is looked at again."""

BY_PROCESSOR = "The processor knows its notification: ON=0, and PIR becomes IRR. No exit."
BY_VMM = "The VMM has set ON=0, and PIR became the guest's IRR."
"""Who takes what was posted."""

OWNERS = {DISK_VECTOR: "the disk's", TIMER_VECTOR: "the timer's"}
"""Whose handler the host runs for vectors of its own."""


class Step(NamedTuple):
    """What happened at `place`, and how things stand then.

    `cost` is what it took so far, `handled` how often the host's handlers ran. `host` and `apic`
    are IRR and ISR of the two APICs, `descriptor` all its 64 bytes, `entry` what was read (or 0).
    """

    place: Place
    words: str
    cost: Cost
    handled: int
    state: State
    host: tuple[int, int]
    apic: tuple[int, int]
    descriptor: int
    entry: int


class Trip(NamedTuple):
    """A plan, and what became of it. `reason` says why it was refused."""

    plan: Plan
    steps: tuple[Step, ...]
    reason: Reason | None


class Watched(InterruptedVm):
    """The interrupted VM, with the disk's entry beside the card's; `steps` are its notes."""

    def __init__(self, vm: VirtualMachine, plan: Plan) -> None:
        super().__init__(vm, "posted" if plan.unit == "posted" else "kernel")
        self.plan = plan
        self.steps: list[Step] = []
        self.reason: Reason | None = None
        self.entry = 0
        self.moved = BY_PROCESSOR
        self.remapper.enabled = plan.unit != "off"
        self.meter = Meter(vm)

    def _entry(self, n: int) -> int:
        if n != DISK_ENTRY:
            return super()._entry(n)
        entry = IRTE.pack(P=1, V=DISK_VECTOR, SID=DISK, SVT=CHECK_ID)
        return DST_XAPIC.put(entry, self.host.number)

    def note(self, place: Place, words: str) -> None:
        """Keep a step."""
        host, apic = self.host.vectors, self.lapic.vectors
        self.steps.append(
            Step(
                place,
                words,
                self.meter.cost,
                self.host_interrupts,
                self.state,
                (host.irr, host.isr),
                (apic.irr, apic.isr),
                self.descriptor.value,
                self.entry,
            )
        )

    # -- the way up

    def arrive(self) -> None:
        """The device sends; everything that follows from it, up to the guest's APIC."""
        msi = self.plan.msi
        self.note("device", f"{_sender(self.plan)} writes {msi.data:#x} to {msi.address:#x}.")
        decided = self.remapper.decide(self.plan.sender, msi)
        self.note("unit", _read(self.plan, msi))
        if decided.interrupt_index is not None:
            self.entry = decided.entry or 0
            self.note("entry", _judged(decided, self.plan.sender))
        self.remapper.send(self.plan.sender, msi)
        if decided.reason is not None:
            self.reason = decided.reason
            self.note("refused", _refused(decided.reason, self.plan.sender))
            return
        self._sent(decided)
        while self.host.pending:
            self.meet(self.host.acknowledge())

    def _sent(self, decided: Outcome) -> None:
        if decided.descriptor is not None:
            self.note("descriptor", _posted(self.descriptor, self.host.pending))
        if self.host.pending:
            self.note("host", f"The host's local APIC has vector {self.host.wanted():#x} in IRR.")

    def _handle(self, vector: int) -> None:
        """The host's handler. What is not the card's stays with the host."""
        met = "An exit, and the host" if self.state == "running" else "The host"
        if vector == WAKE:
            self.note("vmm", f"The host handles the wake-up vector {vector:#x}: the VMM looks.")
            self.moved = BY_VMM
            super()._handle(vector)
        elif vector == CARD_VECTOR:
            super()._handle(vector)
            self.note("vmm", f"{met} handles {vector:#x}. The VMM knows whose it is.")
            self.note("apic", f"The VMM has set {GUEST_VECTOR:#x} in the guest's IRR.")
        else:
            self.host_interrupts += 1
            self._end_at_host()
            self.note("vmm", f"{met} runs {OWNERS[vector]} handler for {vector:#x}.")

    def _look(self) -> None:
        """PIR becomes IRR: by the processor, or by the VMM."""
        pending = self.descriptor.pending
        super()._look()
        if pending:
            self.note("apic", self.moved)

    # -- the guest

    def resume(self) -> None:
        """The guest's turn has come again."""
        self.note("vmm", "The guest's turn comes. The VMM looks for interrupts, then enters.")
        self.moved = BY_VMM
        self.become("running")

    def finish(self, vector: int | None) -> None:
        """The guest takes what there is, and ends it."""
        if vector is None:
            idle = "sleeps on" if self.state == "asleep" else "goes on"
            self.note("guest", f"The guest {idle}. Nothing has come for it.")
            return
        forged = "" if self.plan.honest else " But its card has sent none."
        self.note("guest", f"The guest's handler for {vector:#x} runs.{forged}")
        self.end()
        how = "no exit" if self.way == "posted" else "an exit"
        self.note("guest", f"The handler writes EOI: {how}.")


@cache
def _vm() -> VirtualMachine:
    return lesson_vm().vm


@cache
def run(plan: Plan) -> Trip:
    """Send it, and follow it to its end."""
    with Watched(_vm(), plan) as rig:
        rig.become(plan.guest)
        if plan.guest == "asleep":
            rig.vm.clock.after(1, partial(_asleep, rig))
            vector = rig.vm.cpu.wait(NAP)
            if vector is not None:
                rig.become("running")
        else:
            rig.note("guest", f"The guest is {plan.guest}.")
            rig.arrive()
            if plan.guest == "preempted":
                rig.resume()
            vector = rig.take()
        rig.finish(vector)
        return Trip(plan, tuple(rig.steps), rig.reason)


def _asleep(rig: Watched) -> None:
    rig.note("guest", "The guest has halted. HLT was an exit.")
    rig.arrive()


# -- in words


def _sender(plan: Plan) -> str:
    return f"The {'card' if plan.sender == CARD else 'disk'} {bdf_text(plan.sender)}"


def _read(plan: Plan, msi: Msi) -> str:
    if plan.unit == "off":
        return (
            f"Nothing is remapped: vector {msi.data:#x}, for processor 0. Nobody asks who sent it."
        )
    if not REQUEST_ADDRESS.FORMAT.get(msi.address):
        return "The unit finds the old format, which names a vector itself."
    return f"The unit reads: format 1, handle {REQUEST_ADDRESS.HANDLE.get(msi.address)}."


def _judged(decided: Outcome, sender: int) -> str:
    owner = bdf_text(IRTE.SID.get(decided.entry or 0))
    said = f"Entry {decided.interrupt_index} is for {owner}"
    if decided.reason is not None:
        return f"{said}, and {bdf_text(sender)} has asked."
    if decided.descriptor is not None:
        return f"{said}. It posts {decided.vector:#x} to the descriptor."
    return f"{said}. Its vector is {IRTE.V.get(decided.entry or 0):#x}."


def _refused(reason: Reason, sender: int) -> str:
    return f"Refused and recorded: fault {reason:x}h of {bdf_text(sender)}, {reason.meaning}."


def _posted(descriptor: PostedDescriptor, notified: bool) -> str:
    told = "ON=1, a notification goes out" if notified else "SN=1, so nobody is told"
    return f"Bit {descriptor.pending.bit_length() - 1:#x} of PIR is set. {told}."
