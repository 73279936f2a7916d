"""What stands in each place of an interrupt's way: a few short lines.

    device      source id, data, address          host, apic   IRR and ISR
    unit        format and handle, or the fault   descriptor   PIR, ON, SN, NV, NDST
    entry       whose it is, and what it makes    vmm          exits, handlers

The rule that keeps it simple: every number is taken out of a message, an entry or a descriptor with
the library's own layouts.

Source: VT-d 3.0, 5.1.2.2, 9.10 to 9.12.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from virtlab.iommu.layouts import DST_XAPIC, IRTE, IRTE_POSTED, REQUEST_ADDRESS, descriptor_gpa
from virtlab.iommu.layouts import POSTED_DESCRIPTOR as PD
from virtlab.iommu.posted import NDST_XAPIC
from virtlab.pci.tlp import bdf_text
from virtlab.show.irq_run import Place, Step, Trip
from virtlab.show.vf_grid import runs


def inside(trip: Trip, place: Place, seen: Sequence[Step]) -> list[str]:
    """The lines of `place`, after the steps that were `seen`."""
    return _INSIDE[place](trip, seen)


def vectors_text(vectors: int) -> str:
    """The vectors of a set of 256 bits; three and more in a row by their ends.

    >>> vectors_text(1 << 0x31 | 0b11 << 0x60), vectors_text(0x3FF << 0x60), vectors_text(0)
    ('0x31 0x60 0x61', '0x60-0x69', '-')
    """
    found = runs(n for n in range(256) if vectors >> n & 1)
    return " ".join(_run(first, last) for first, last in found) or "-"


def _run(first: int, last: int) -> str:
    if last - first > 1:
        return f"{first:#x}-{last:#x}"
    return f"{first:#x}" if first == last else f"{first:#x} {last:#x}"


def _device(trip: Trip, seen: Sequence[Step]) -> list[str]:
    msi, who = trip.plan.msi, [bdf_text(trip.plan.sender)]
    return [*who, f"data {msi.data:#x}", f"at   {msi.address:#x}"] if len(seen) > 1 else who


def _unit(trip: Trip, seen: Sequence[Step]) -> list[str]:
    places = [step.place for step in seen]
    lines = [f"remapping {'off' if trip.plan.unit == 'off' else 'on'}"]
    if "unit" in places:
        msi = trip.plan.msi
        new = REQUEST_ADDRESS.FORMAT.get(msi.address)
        handle = f"handle {REQUEST_ADDRESS.HANDLE.get(msi.address)}"
        lines.append(f"format {new}, {handle if new else f'vector {msi.data:#x}'}")
    if "refused" in places and trip.reason is not None:
        lines += ["refused:", f"fault {trip.reason:x}h"]
    return lines


def _entry(trip: Trip, seen: Sequence[Step]) -> list[str]:
    entry = seen[-1].entry
    if not entry:
        return []
    sid = f"SID {bdf_text(IRTE.SID.get(entry))}"
    if IRTE.IM.get(entry):
        words = f"VV  {IRTE_POSTED.VV.get(entry):#x}", f"PDA {descriptor_gpa(entry):#x}"
        return [sid, "P=1 IM=1", *words]
    return [sid, "P=1 IM=0", f"V   {IRTE.V.get(entry):#x}", f"DST {DST_XAPIC.get(entry)}"]


def _sets(irr: int, isr: int) -> list[str]:
    return [f"IRR {vectors_text(irr)}", f"ISR {vectors_text(isr)}"]


def _descriptor(trip: Trip, seen: Sequence[Step]) -> list[str]:
    value = seen[-1].descriptor
    return [
        f"PIR {vectors_text(PD.PIR.get(value))}",
        f"ON={PD.ON.get(value)} SN={PD.SN.get(value)}",
        f"NV  {PD.NV.get(value):#x}",
        f"NDST {NDST_XAPIC.get(value)}",
    ]


def _vmm(trip: Trip, seen: Sequence[Step]) -> list[str]:
    return [f"exits    {seen[-1].cost.exits}", f"handlers {seen[-1].handled}"]


_INSIDE: dict[Place, Callable[[Trip, Sequence[Step]], list[str]]] = {
    "device": _device,
    "unit": _unit,
    "entry": _entry,
    "host": lambda trip, seen: _sets(*seen[-1].host),
    "vmm": _vmm,
    "apic": lambda trip, seen: _sets(*seen[-1].apic),
    "guest": lambda trip, seen: [seen[-1].state],
    "descriptor": _descriptor,
}
