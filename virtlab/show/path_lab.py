"""Choose a device and a way to it; see the figure, the counts, and what a formula says they are.

The idea: each choice is a run on a fresh virtual machine, whose data are checked at both ends. The
same choice is always the same run, so it is made once.

The rule that keeps it simple: the controls stay as they were set. What a way does not have is left
out of its run, and the sentence below says so.
"""

from __future__ import annotations

from typing import Any, Literal

from virtlab.show.layer_words import many
from virtlab.show.path_choice import REQUEST, Choice, settled
from virtlab.show.path_costs import costs_picture, figure_of, measured, pieces
from virtlab.show.path_figures import HEADS
from virtlab.show.path_forms import closed_form
from virtlab.show.path_runs import BATCHES
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown

Way = tuple[Literal["disk", "net"], str, bool]
WAYS: tuple[tuple[str, Way], ...] = (
    ("disk: ATA, PIO", ("disk", "pio", False)),
    ("disk: ATA, DMA", ("disk", "dma", False)),
    ("disk: virtio", ("disk", "virtio", False)),
    ("network: e1000", ("net", "e1000", False)),
    ("network: e1000, buffers back together", ("net", "e1000", True)),
    ("network: virtio", ("net", "virtio", False)),
)
"""Device, way, and whether an e1000's driver gives its receive buffers back together."""

TASKS = (("write, or send", "out"), ("read, or receive", "in"))
TRANSPORTS = (("PCI", "pci"), ("PCI, legacy", "pci-legacy"), ("MMIO", "mmio"))

Wake = Literal["wire", "message", "look"]
WAKES: tuple[tuple[str, Wake], ...] = (
    ("sleeps; a wire wakes it", "wire"),
    ("sleeps; MSI-X wakes it", "message"),
    ("looks again and again", "look"),
)
"""How the guest waits."""

PIECES, PIO_PIECES = 32, 2
"""Requests or packets of a run. Word by word two are enough: every request costs the same."""

START = Choice("disk", "virtio", PIECES * REQUEST, 4, task="out")


def asked(
    way: Way,
    task: Literal["out", "in"],
    batch: int,
    transport: Literal["pci", "pci-legacy", "mmio"],
    wake: Wake,
    event_idx: bool,
) -> Choice:
    """The run that these controls ask for, without what its way does not have."""
    device, name, bundled = way
    count = PIO_PIECES if name == "pio" else PIECES
    wanted = Choice(
        device,
        name,
        count * (REQUEST if device == "disk" else 1),
        min(batch, count),
        wake != "look",
        task,
        transport=transport,
        event_idx=event_idx,
        msix=wake == "message",
        bundled=bundled,
    )
    return settled(wanted)


def explain(made: Choice, wake: Wake) -> str:
    """What the run has shown, in words."""
    counts, form = measured(made)[0], closed_form(made)
    each = "4 KiB" if made.device == "disk" else "packet"
    same = "as predicted" if counts == form else f"predicted were {form.exits}"
    made_of = f"{pieces(made, made.units)}: {many(counts.exits, 'exit')}, {same}."
    says = [
        f"{HEADS[figure_of(made)]}. {made_of} "
        f"That is {counts.exits / made.units:.4g} for each {each}."
    ]
    if made.way in ("pio", "dma"):
        says.append("The drive takes one command at a time, so a batch saves nothing.")
    elif made.batch == 1:
        says.append("With a batch of 1 each of them pays for its own doorbell.")
    if made.way != "virtio":
        says.append("Transport, MSI-X and EVENT_IDX are virtio's: here they change nothing.")
    elif wake == "message" and not made.msix:
        says.append("There is no MSI-X over MMIO: the guest is woken by the wire.")
    return " ".join(says)


class PathLab(Shell):
    """The way of a workload, with its counts measured and predicted. It starts `begin`."""

    def __init__(self) -> None:
        self.state = START
        self._picture, self._says = drawing(), sentence()
        self._controls = {
            "way": choice("Way", WAYS, ("disk", "virtio", False)),
            "task": choice("Direction", TASKS, "out"),
            "batch": choice("Batch", BATCHES, 4),
            "transport": choice("Transport", TRANSPORTS, "pci"),
            "wake": choice("The guest", WAKES, "wire"),
            "event_idx": choice("EVENT_IDX", (("off", False), ("on", True)), False),
        }
        self._begin = self._values
        super().__init__(
            "PathLab: two devices, six ways",
            [
                row(*self._controls.values(), button("Reset", self.reset)),
                self._picture,
                self._says,
            ],
        )
        for control in self._controls.values():
            control.observe(lambda _: self._show(), "value")
        self._show()

    @property
    def _values(self) -> dict[str, Any]:
        return {name: control.value for name, control in self._controls.items()}

    def reset(self) -> None:
        """Back to where it started."""
        for name, value in self._begin.items():
            self._controls[name].value = value

    def _show(self) -> None:
        values = self._values
        self.state = asked(**values)
        self._picture.value = shown(costs_picture(self.state, *measured(self.state)))
        self._says.value = said(explain(self.state, values["wake"]))
