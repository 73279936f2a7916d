"""Physical and virtual functions: any function can become either.

    function                      make_virtual(function)            its part of a physical one
    FFFF:FFFF (the real ids are in the PF's capability)             routing id = PF + offset + n
    Command: Bus Master Enable only          BARs: 0                memory = VF BAR + n x aperture
    MSI-X, PCI Express with FLR, ARI         no INTx, no ROM        awake while the PF is

The idea: a device behind a function knows no PCI. So the same virtio-net or edu serves as an
ordinary function, a PF or a VF. A VF has a table of interrupts, a Bus Master Enable and a reset of
its own. It has no place of its own: that is what `VirtualPart` computes from the PF's registers.

The rule that keeps it simple: after each configuration write to the PF, `Virtuals.update` compares
what should be there with what is. VFs that appear are as after a reset; VFs that vanish are reset.

Source: SR-IOV 1.1, 2.2 (resets), 3.3 and 3.4; 4 (interrupts); 5 (power).
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.pci.ari import add_ari
from virtlab.pci.bars import Bar
from virtlab.pci.capabilities import Express
from virtlab.pci.config import EXPRESS, EXTENDED, Header
from virtlab.pci.express import ENDPOINT_AT, make_express
from virtlab.pci.extended import Ari
from virtlab.pci.function import Function
from virtlab.pci.routing_ids import BUS, Spread, distance
from virtlab.pci.sriov import REQUIRED_PAGES, Sharing
from virtlab.pci.tlp import SOURCE_ID

ARI_AT, SRIOV_AT = 0x160, 0x180
"""Where a physical function keeps the two capabilities, behind error reporting and serial number.
A virtual one has ARI first."""

NOBODY = 0xFFFF
"""Vendor and device id of a VF: a scan that does not know of VFs passes it by (3.4.1.1)."""

_FLR = Express.DEVICE_CONTROL.INITIATE_FLR.mask


class VirtualExpress(Express):
    """The PCI Express capability of a VF: its link and its packet sizes are those of `physical`.

    All that it can be told is to reset itself (3.5).
    """

    def __init__(self, physical: Express) -> None:
        super().__init__(physical.role)
        self.physical = physical
        self.preset(
            EXPRESS_CAPABILITIES=physical.EXPRESS_CAPABILITIES,
            DEVICE_CAPABILITIES=physical.DEVICE_CAPABILITIES | Express.DEVICE_CAPABILITIES.FLR.mask,
            DEVICE_CONTROL=0,
            LINK_CAPABILITIES=physical.LINK_CAPABILITIES,
            LINK_STATUS=0,
            LINK_CAPABILITIES_2=physical.LINK_CAPABILITIES_2,
            LINK_CONTROL_2=0,
        )
        self.narrow(DEVICE_CONTROL=_FLR, LINK_CONTROL=0, DEVICE_CONTROL_2=0, LINK_CONTROL_2=0)

    @property
    def max_payload(self) -> int:
        """That of the physical function (3.5.4)."""
        return self.physical.max_payload

    @property
    def max_read_request(self) -> int:
        """That of the physical function (3.5.4)."""
        return self.physical.max_read_request

    def kept_by_flr(self) -> dict[str, int]:
        """Nothing: all that a function level reset keeps is the physical function's."""
        return {}


class VirtualPart:
    """What VF `index` (from 0) of `physical` has of it: a `Share`."""

    def __init__(self, physical: Function, sharing: Sharing, index: int) -> None:
        self.physical, self.sharing, self.index = physical, sharing, index

    @property
    def source_id(self) -> int:
        """The physical function's routing id, and so many strides on."""
        return self.sharing.placement.routing_id(self.physical.source_id, self.index)

    @property
    def awake(self) -> bool:
        """A VF sleeps when its PF does (5.1)."""
        return self.physical.awake

    def decodes(self, bar: Bar) -> bool:
        """VF Memory Space Enable is for all VFs together (3.3.3.4)."""
        return self.sharing.decodes and self.index < self.sharing.count

    def address(self, bar: Bar) -> int:
        """The VF's slice behind the physical function's VF BAR (3.3.14)."""
        return self.sharing.base(bar) + self.index * self.sharing.aperture(bar)


class Virtuals:
    """The VFs of `physical`, all that there can be; the first `present` of them are there."""

    def __init__(self, physical: Function, sharing: Sharing, functions: Sequence[Function]) -> None:
        self.physical, self.sharing = physical, sharing
        self.functions = tuple(functions)
        self.present = 0
        self._seen: tuple[object, ...] = ()

    def update(self) -> None:
        """Let as many VFs be there as the registers say, and each look where its memory is."""
        seen = (*self.sharing.values.values(), self.physical.awake, self.physical.bus)
        if seen == self._seen:
            return
        self._seen = seen
        wanted = self.sharing.count if self.physical.bus is not None else 0
        if wanted < self.present:
            self._vanish(self.functions[wanted : self.present])
        for function in self.functions[self.present : wanted]:
            self._appear(function)
        self.present = wanted
        for function in self.functions[:wanted]:
            function.update()

    def _appear(self, function: Function) -> None:
        """At a place that another function has, it stays unseen."""
        bus = self.physical.bus
        assert bus is not None
        assert function.share is not None
        at = distance(bus.number, function.share.source_id)
        place = SOURCE_ID.decode(function.share.source_id)
        if at in bus.virtual or (
            at < BUS and (place["DEVICE"], place["FUNCTION"]) in bus.functions
        ):
            return
        function.bus = bus
        function.device, function.number = place["DEVICE"], place["FUNCTION"]
        bus.virtual[at] = function

    def _vanish(self, functions: Sequence[Function]) -> None:
        for function in functions:
            function.reset()
            bus, function.bus = function.bus, None
            if bus is not None:
                bus.virtual = {at: each for at, each in bus.virtual.items() if each is not function}


def make_physical(
    function: Function,
    virtual: Sequence[Function],
    *,
    at: int = ENDPOINT_AT,
    spread: Spread | None = None,
    lowest: Function | None = None,
    dependency: int = 0,
    pages: int = REQUIRED_PAGES,
) -> Virtuals:
    """Make `function` a physical function, and each of `virtual` a VF of it, in order.

    None of them is plugged in. All VFs are of one kind: same device id, same BARs. `at` is where
    the PCI Express capability goes in all of them. In a device of several physical functions,
    `lowest` is the one with the lowest number, and `spread` the same for all. `ValueError` for
    functions that cannot be VFs of this one.
    """
    if not virtual:
        raise ValueError("a physical function has at least one VF")
    bars = _common_bars(virtual)
    first = lowest.config.find(Sharing) if lowest is not None else None
    if lowest is not None and first is None:
        raise ValueError(f"{lowest} is no physical function")
    device = virtual[0].header.DEVICE_ID
    if function.config.find(Express) is None:
        make_express(function, at=at)
    if function.config.find(Ari) is None:
        add_ari(function, ARI_AT)
    sharing = Sharing(len(virtual), device, bars, spread, first, dependency, pages)
    function.config.add(sharing, SRIOV_AT)
    for index, each in enumerate(virtual):
        _make_virtual(each, function, at)
        each.share = VirtualPart(function, sharing, index)
    virtuals = Virtuals(function, sharing, virtual)
    function.shared = virtuals.update
    return virtuals


def _common_bars(virtual: Sequence[Function]) -> list[Bar]:
    """The BARs that all VFs have. A VF has neither ports nor a ROM (3.4.1)."""
    shapes = [[(bar.register, bar.size, bar.flags) for bar in each.bars] for each in virtual]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError("the VFs of a function have the same BARs")
    for bar in virtual[0].bars:
        if bar.space != "memory" or not bar.register.startswith("BAR"):
            raise ValueError(f"a VF cannot have {bar.register} in {bar.space} space")
    if any(each.header.DEVICE_ID != virtual[0].header.DEVICE_ID for each in virtual):
        raise ValueError("the VFs of a function have the same device id")
    return virtual[0].bars


def _make_virtual(function: Function, physical: Function, at: int) -> None:
    """What is read-only 0, or the physical function's, in a VF's header (3.4.1)."""
    if function.bus is not None or function.share is not None or function.below is not None:
        raise ValueError(f"{function} is plugged in, a VF already, or a bridge")
    header = function.header
    bars = {name: 0 for name in header.values if name.startswith("BAR")}
    header.preset(
        VENDOR_ID=NOBODY,
        DEVICE_ID=NOBODY,
        CLASS_CODE=physical.header.CLASS_CODE,
        SUBSYSTEM_VENDOR_ID=physical.header.values["SUBSYSTEM_VENDOR_ID"],
        INTERRUPT_PIN=0,
        **bars,
    )
    header.narrow(
        COMMAND=Header.COMMAND.BUS_MASTER.mask, CACHE_LINE_SIZE=0, INTERRUPT_LINE=0, **bars
    )
    express = physical.config.find(Express)
    assert express is not None
    function.config.size = EXPRESS
    function.config.add(VirtualExpress(express), at)
    add_ari(function, EXTENDED)
