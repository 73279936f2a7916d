"""The same load on real models, in each way, and counted.

    run("SR-IOV", Load(4))        4 VMs, each with a virtual function         Counts(...)
    closed_form("SR-IOV", ...)    the same, predicted

The idea: the drivers are started, then the counting begins. Exits are counted by each VM's VMM,
copies and interrupts by the trace, the host's interrupts by who handles them.

The rule that keeps it simple: every run checks its frames, at both ends of every wire. Counts of
something that did not happen cannot be had: that would be a bug of ours, `RuntimeError`.

A batch that goes out is done when the doorbell returns, since our devices work at once. So its
interrupt meets a guest that runs. The batch that comes in meets one that sleeps.

A back-end in user space is the same model in the same place. What goes to it is a trip: here each
access to a register, and each interrupt of the host's card. The run counts both. Left out: other
reasons for which such a process runs. `placement` has devices in processes that are real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from virtlab.show.path_runs import EXPERIMENTAL, OUTSIDE, pattern
from virtlab.show.share_assigned import sriov, vtd
from virtlab.show.share_forms import Counts
from virtlab.show.share_load import MOST_FRAMES, Load, Way, check
from virtlab.show.share_mediated import MOST, emulated, virtio
from virtlab.show.share_station import SETTLE, Station, World
from virtlab.trace import Event
from virtlab.vmm.exits import HltExit

WORLDS: dict[Way, Callable[[Load], World]] = {
    "emulated": emulated,
    "virtio": virtio,
    "virtio in user space": virtio,
    "VT-d": vtd,
    "SR-IOV": sriov,
}

MEASURED = (1, 2, 4, 8)
"""Numbers of VMs that are run. All of them fit on the lesson PC."""


def run(way: Way, load: Load) -> Counts:
    """Do the work of `load` on a fresh host. `ValueError` for more VMs than `MOST`."""
    if check(load).vms > MOST:
        raise ValueError(f"runs are of 1 to {MOST} VMs; beyond that there is `closed_form`")
    return count(way, WORLDS[way](load), load)


@lru_cache(64)
def measure(way: Way, load: Load) -> Counts:
    """The counts of a run, which are always the same."""
    return run(way, load)


def count(way: Way, world: World, load: Load) -> Counts:
    """Let every station of `world` work, one after the other, batch by batch."""
    world.settle()
    before, handled = _exits(world), world.host_interrupts()
    with world.trace.recording() as events:
        for some in _batches(load):
            for number, station in enumerate(world.stations):
                _exchange(world, station, number, some, load)
    halts, registers = (now - then for now, then in zip(_exits(world), before, strict=True))
    copies = [event.size for event in events if event.kind == "copy"]
    interrupts = world.host_interrupts() - handled
    return Counts(
        registers=registers,
        halts=halts,
        trips=registers + interrupts if way == "virtio in user space" else 0,
        host_interrupts=interrupts,
        interrupts=_number(events, "inject"),
        copies=len(copies),
        bytes_copied=sum(copies),
    )


def _exits(world: World) -> tuple[int, int]:
    """Exits so far for HLT, and all others."""
    exits = [station.vm.vmm.exits for station in world.stations]
    halts = sum(each[HltExit.__name__] for each in exits)
    return halts, sum(each.total() for each in exits) - halts


def _number(events: list[Event], kind: str) -> int:
    return sum(event.kind == kind for event in events)


def _batches(load: Load) -> Iterator[range]:
    """The numbers of each batch's frames, from 0 on."""
    whole = range(load.frames)
    return (whole[at : at + load.batch] for at in whole[:: load.batch])


def frame(to: bytes, source: bytes, number: int, size: int) -> bytes:
    """Frame `number` of a station: its bytes tell them apart."""
    head = to + source + EXPERIMENTAL
    return head + pattern(number, size - len(head))


def _arrive(station: Station, frames: list[bytes]) -> None:
    for each in frames:
        station.far.send(each)


def _exchange(world: World, station: Station, number: int, some: range, load: Load) -> None:
    """One batch goes out; then one comes in, while the guest sleeps, or before it looks."""
    heard: list[bytes] = []
    station.far.listener = heard.append
    numbers = [number * MOST_FRAMES + n for n in some]
    out = [frame(OUTSIDE, station.mac, n, load.size) for n in numbers]
    station.card.send(out)
    world.settle()
    back = [frame(station.mac, OUTSIDE, n, load.size) for n in numbers]
    world.clock.after(SETTLE // 2, partial(_arrive, station, back))
    if not load.asleep:
        world.settle()
    came = station.card.receive(len(back))
    if (heard, came) != (out, back):
        raise RuntimeError("not every frame arrived as it was sent: the counts mean nothing")
