"""A VM as its interrupts find it: running, asleep, or waiting for its turn.

    host's processor takes a vector   --> does the guest run?  yes: an exit, then the host's handler
                                                               no:  the host's handler
    a notification                    --> does the guest run?  yes: the processor looks by itself
                                                               no:  the host's handler looks

The idea: an interrupt comes to a processor, and the processor is doing something. If it runs this
guest, the interrupt ends that. Only the notification of posted interrupts does not. If it does not
run this guest, nothing has to be left.

The rule that keeps it simple: while the VMM handles an exit of the guest, the guest does not run.

Source: SDM 3C 26.2 (external interrupts), 30.6 (posted interrupts).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from virtlab.devices.lapic import BASE, Lapic, LapicRegisters
from virtlab.iommu.posted import PostedDescriptor
from virtlab.memory import PAGE
from virtlab.vmm.exits import Exit
from virtlab.vmm.vcpu import Resume
from virtlab.vmm.virtual_machine import VirtualMachine

State = Literal["running", "asleep", "preempted"]

NOTIFY, WAKE = 0xF2, 0xF1
"""The host's vectors for "look at the descriptor": while the guest runs, and while it sleeps."""

VIRTUAL_APICS = range(0xFEE0_1000, 0xFEE4_1000, PAGE)
"""Where the host has the APIC pages that its processor answers for (hpa), one for each VM."""


@dataclass(frozen=True, slots=True)
class ExternalInterruptExit(Exit):
    """A physical interrupt came while the guest ran (SDM 3C 26.2).

    `vector` is that of the host; the processor acknowledged it on the exit.
    """

    REASON: ClassVar[int] = 1
    NAME: ClassVar[str] = "external interrupt"
    vector: int


class InterruptTarget:
    """`vm`, its local APIC, and the local APIC of the `host` processor that runs it.

    `deliver` says what the host's handler does for each of its vectors. `descriptor` is where
    interrupts are posted. `state` is what the guest does; `host_interrupts` counts what the host
    had to handle.
    """

    def __init__(
        self, vm: VirtualMachine, lapic: Lapic, host: Lapic, descriptor: PostedDescriptor
    ) -> None:
        self.vm, self.lapic, self.host = vm, lapic, host
        self.descriptor = descriptor
        self.state: State = "running"
        self.host_interrupts = 0
        self.deliver: dict[int, Callable[[], object]] = {}
        descriptor.start(NOTIFY, host.number)

    @property
    def running(self) -> bool:
        """Whether the guest's own instructions run now."""
        return self.state == "running" and not self.vm.vmm.busy

    def become(self, state: State) -> None:
        """The VMM lets the guest run, sleep or wait for its turn, and tells the descriptor."""
        self.state = state
        self.descriptor.suppress(state == "preempted")
        self.descriptor.move(WAKE if state == "asleep" else NOTIFY, self.host.number)
        if state != "preempted":
            self._look()  # what was posted while SN was set brings no notification any more

    # -- what the host's processor got

    def meet(self, vector: int) -> None:
        """It got `vector`, for this VM: the guest's own affair, an exit, or neither."""
        if not self.running:
            self._handle(vector)
        elif vector == NOTIFY:
            self._end_at_host()
            self._look()
        else:
            self._exit(vector)

    def glance(self) -> None:
        """It got a notification, and has ended it: whoever has the processor now looks."""
        self.host_interrupts += not self.running
        self._look()

    def _exit(self, vector: int) -> None:
        """The guest stops. Until it goes on, exits of this kind are for whoever has the vector."""
        handlers = self.vm.vmm.handlers
        handlers[ExternalInterruptExit] = self._exited
        try:
            self.vm.vmm.handle(ExternalInterruptExit(vector))
        finally:
            del handlers[ExternalInterruptExit]

    def _exited(self, exit: Exit) -> Resume:
        assert isinstance(exit, ExternalInterruptExit)
        self._handle(exit.vector)
        return Resume(again=True)

    def _handle(self, vector: int) -> None:
        """The host's handler: end it there, then do what it stands for."""
        self.host_interrupts += 1
        self._end_at_host()
        if vector in (NOTIFY, WAKE):
            self._look()
        elif (deliver := self.deliver.get(vector)) is not None:  # None: taken back in the meantime
            deliver()

    def _end_at_host(self) -> None:
        self.host.write(LapicRegisters.EOI.offset, 4, 0)

    def _look(self) -> None:
        """PIR becomes IRR: by the processor at a notification, by the VMM before an entry."""
        self.lapic.vectors.irr |= self.descriptor.sync()


def assign_apic(vm: VirtualMachine, lapic: Lapic) -> Callable[[], None]:
    """Let the processor answer for the APIC page of `vm`, with no exit. Gives the way back.

    `ValueError` if the host has no such page free, or no frame for a table.
    """
    space = vm.host.memory
    page = next((each for each in VIRTUAL_APICS if space.find(each) is None), None)
    if page is None:
        raise ValueError(f"the host has {len(VIRTUAL_APICS)} such pages, and all are in use")
    vm.assign_memory(BASE, page, PAGE)  # first: it is what can fail
    mapped = space.map(page, PAGE, lapic, "virtual apic", width=4)

    def undo() -> None:
        vm.withdraw_memory(BASE, PAGE)
        space.unmap(mapped)

    return undo
