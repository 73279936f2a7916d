"""A plan of task 6 of problem set 6, carried out: VT-d, a domain for each VM, and attacks.

    for each function that a VM got     a write to each VM's frame       only its own may arrive
                                        a write to each other register   none may arrive

The idea: isolation is not what a plan says but what devices can do. So the board is built again,
the tables are filled as the plan says, and each device that was given away is let loose.

The rule that keeps it simple: the source id in the tables is the one that the unit sees. Behind a
bridge to conventional PCI that is the bridge's.

Source: VT-d 3.0, 3.4; PCI Express 3.0, 6.12. Left out, as in the buses themselves: ways inside a
card, from one function of it to another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from virtlab.course.ps6.plan_board import Boards, Host, Part, Shape
from virtlab.course.ps6.plan_rules import Vm
from virtlab.errors import DmaFault
from virtlab.guest.room import Room
from virtlab.guest.vtd import VtdDriver
from virtlab.guest.vtd_tables import Domain
from virtlab.iommu.registers import BASE
from virtlab.iommu.vtd import VtdUnit
from virtlab.memory import PAGE

FRAMES = 0x1_0000
"""Where the VMs' frames are, one page each."""

TABLES = 0x10_0000
"""Where the unit's tables are, up to the end of memory."""

MARK = b"intruder"

KEPT = 256
"""Plans of which it is kept what happened."""

Shares = Mapping[str, object]


def owners(shape: Shape, vms: Sequence[Vm], plan: Shares) -> str:
    """The root that each shared thing must be in, as the plan has it; A if nobody uses it."""
    letters = []
    for thing in shape.shared:
        users = [root for name, root, _ in vms if _has(plan.get(name), thing.name)]
        letters.append(users[0] if users else "A")
    return "".join(letters)


def _has(given: object, thing: str) -> bool:
    """Whether what a VM gets is this thing, or a VF of it."""
    names = given if isinstance(given, list) else []
    return any(name == thing or name.startswith(f"{thing}.") for name in names)


def first_leak(shape: Shape, vms: Sequence[Vm], plan: Shares) -> str:
    """What a function reaches that is not its VM's, or does not reach that is; empty if nothing.

    The same plan of the same board is carried out once.
    """
    shares = ((name, plan.get(name)) for name, _, _ in vms)
    given = ((name, tuple(share)) for name, share in shares if isinstance(share, list))
    return _carried_out(shape, tuple(vms), tuple(given))


@lru_cache(KEPT)
def _carried_out(
    shape: Shape, vms: tuple[Vm, ...], given: tuple[tuple[str, tuple[object, ...]], ...]
) -> str:
    plan = {name: [*share] for name, share in given}
    boards = Boards(shape, owners(shape, vms, plan))
    found = (leak for host in boards.hosts.values() for leak in _leaks(host, vms, plan))
    return next(found, "")


def _leaks(host: Host, vms: Sequence[Vm], plan: Shares) -> Iterator[str]:
    parts = {each.name: each for each in host.walk() if isinstance(each, Part)}
    frames = {name: FRAMES + n * PAGE for n, (name, _, _) in enumerate(vms)}
    given: dict[str, list[Part]] = {}
    for name in frames:
        share = plan.get(name)
        names = share if isinstance(share, list) else []
        given[name] = [parts[each] for each in names if each in parts]
    _attach(host, frames, given)
    for name, mine in given.items():
        for part in mine:
            yield from _to_frames(host, part, name, frames)
            yield from _to_registers(part, name, [p for p in parts.values() if p not in mine])


def _attach(host: Host, frames: Mapping[str, int], given: Mapping[str, list[Part]]) -> None:
    """A unit for this root; a domain for each VM that got something."""
    unit = VtdUnit(host.ram)
    host.memory.map(BASE, VtdUnit.length, unit, "vtd", width=8)
    host.root.memory, host.root.message = unit.dma_for, unit.remap
    vtd = VtdDriver(host.cpu, BASE, Room(TABLES, host.ram.size - TABLES))
    vtd.start()
    attached: dict[int, Domain] = {}
    for name, parts in given.items():
        sources = {_source(part) for part in parts}
        # Behind one bridge all have one source id: their VMs can only share a domain.
        domains = {id(d): d for s, d in attached.items() if s in sources}.values()
        for domain in domains or ([vtd.new_domain()] if parts else []):
            vtd.map(domain, frames[name], frames[name], PAGE)
            for source in sources - attached.keys():
                vtd.attach(source, domain)
                attached[source] = domain
    vtd.enable()


def _source(part: Part) -> int:
    """The source id that the unit sees of it."""
    assert part.bus is not None
    return part.bus.route_up(part, FRAMES, len(MARK), part.source_id).requester


def _to_frames(host: Host, part: Part, owner: str, frames: Mapping[str, int]) -> Iterator[str]:
    for name, gpa in frames.items():
        arrives = _tries(part, gpa) and host.ram.read(gpa, len(MARK)) == MARK
        host.ram.write(gpa, bytes(len(MARK)))
        if arrives != (name == owner):
            said = "arrives" if arrives else "is refused"
            yield f"a DMA write of {part.name}, which {owner} got, to the frame of {name} {said}"


def _to_registers(part: Part, owner: str, others: Sequence[Part]) -> Iterator[str]:
    for other in others:
        other.scratch.WORD = 0
        _tries(part, other.address(other.bars[0]))
        if other.scratch.WORD:
            yield f"{part.name}, which {owner} got, writes into {other.name}, past the IOMMU"


def _tries(part: Part, iova: int) -> bool:
    """Whether a write of a device is not refused."""
    try:
        part.dma.write(iova, MARK)
    except DmaFault:
        return False
    return True
