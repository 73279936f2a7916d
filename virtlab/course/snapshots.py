"""Memory snapshots: the rings that a real driver left in a real guest's memory.

A `virtlab-snapshot/1` holds pages of guest memory, and a manifest that says where the virtqueues
are, how far each device was, and what the IOMMU's registers were. `load_snapshot` gives them as a
machine would: memory, queues, and for each queue the memory *as its device sees it*.

The rule that keeps it simple: what was not saved is not there. A read of such a page is a
`DmaFault` that names it; a page that was saved as zeros reads as zeros. The memory is a copy, so a
queue of ours may go on from here and use up what is pending.

A manifest is checked before it is believed: each value's type and range. Keys that are not known
are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from os import PathLike, fspath
from typing import Any, BinaryIO, NamedTuple

from virtlab.course.saved_iommu import SavedIommu, capabilities_of, root_table
from virtlab.course.snapshot_file import MAX_FILE, Arrays, read_arrays
from virtlab.errors import DmaFault, FileError
from virtlab.memory import PAGE, Dma, GuestMemory
from virtlab.virtio.doctor import Layout
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import MAX_SIZE

FORMAT = "virtlab-snapshot/1"
"""What the manifest must call itself."""

MAX_QUEUES = 4096
"""Queues that a manifest may list."""

MAX_FEATURES = 128
"""Feature names that it may list for one."""

_LETTERS = 120
_ADDRESS, _SHORT = (1 << 64) - 1, (1 << 16) - 1


class SavedQueue(NamedTuple):
    """One virtqueue, as the manifest describes it. Addresses are the device's own.

    A queue that the driver did not set up may have size 0. For a packed ring `avail` is the
    driver's event structure and `used` the device's, and the two indices are slots of the ring.
    """

    device: str
    source_id: int
    number: int
    layout: Layout
    size: int
    desc: int
    avail: int
    used: int
    features: tuple[str, ...]
    last_avail_idx: int
    used_idx: int

    @property
    def bits(self) -> frozenset[int]:
        """The features of queue and transport, as bit positions."""
        return frozenset(bit for name in self.features if (bit := feature_bit(name)) is not None)


class Snapshot(NamedTuple):
    """What a file holds. `vtd` are the IOMMU's registers by offset, empty if there is none."""

    name: str
    source: str
    memory: SavedMemory
    queues: tuple[SavedQueue, ...]
    vtd: Mapping[int, int]

    def dma(self, queue: SavedQueue) -> Dma:
        """Memory as the device of `queue` sees it.

        A device that has agreed to ACCESS_PLATFORM is behind the IOMMU, if there is one and it
        translates. Any other uses guest-physical addresses (virtio 1.3 6).
        """
        root = root_table(self.vtd)
        if root is None or Feature.ACCESS_PLATFORM not in queue.bits:
            return self.memory
        return SavedIommu(self.memory, root, queue.source_id, capabilities_of(self.vtd))


class SavedMemory(GuestMemory):
    """Guest memory of which only some pages were saved: `DmaFault` names the first that was not."""

    def offset(self, gpa: int, length: int = 1, write: bool = False) -> int:
        """Where in `bytes` the `length` bytes at `gpa` begin."""
        try:
            return super().offset(gpa, length)
        except DmaFault:
            page = self._missing(gpa)
            raise DmaFault(f"page {page:#x} is not in the snapshot", gpa, length) from None

    def _missing(self, gpa: int) -> int:
        """The first page from `gpa` on that was not saved."""
        page = gpa - gpa % PAGE
        for region in self.regions:
            if region.start <= page < region.start + region.size:
                page = region.start + region.size
        return page


def feature_bit(name: str) -> int | None:
    """The bit that a feature name of the manifest means; None for a device type's own.

    >>> feature_bit("VIRTIO_RING_F_EVENT_IDX"), feature_bit("VIRTIO_F_IOMMU_PLATFORM")
    (29, 33)
    """
    short = name.removeprefix("VIRTIO_F_")
    short = short.replace("VIRTIO_RING_F_", "RING_", 1)
    short = {"IOMMU_PLATFORM": "ACCESS_PLATFORM"}.get(short, short)
    return int(Feature[short]) if short in Feature.__members__ else None


# -- reading


def load_snapshot(path: str | PathLike[str]) -> Snapshot:
    """The snapshot in a file. `FileError` where it is malformed, `OSError` if it cannot be read."""
    with open(path, "rb") as file:
        return read_snapshot(file, fspath(path))


def read_snapshot(file: BinaryIO, path: str) -> Snapshot:
    """The snapshot in an open file, which `FileError` calls `path`."""
    arrays = read_arrays(file.read(MAX_FILE + 1), path)
    place = _Place(path, arrays.manifest_byte)
    manifest = _manifest(arrays, place)
    queues = place.items(manifest.get("queues"), MAX_QUEUES, "queues")
    return Snapshot(
        place.text(manifest.get("name", ""), "name"),
        place.text(manifest.get("source", ""), "source"),
        _memory(arrays, place),
        tuple(_queue(place, each, f"queues[{number}]") for number, each in enumerate(queues)),
        _registers(place, manifest.get("vtd")),
    )


class _Place(NamedTuple):
    """The file, and where in it the manifest is; each method checks one value of it."""

    path: str
    byte: int

    def refuse(self, where: str, why: str) -> FileError:
        return FileError(self.path, self.byte, f"manifest: {where}: {why}")

    def record(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.refuse(where, "it must be an object")
        return value

    def items(self, value: Any, most: int, where: str) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise self.refuse(where, f"it must be a list of at most {most}")
        return value

    def text(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise self.refuse(where, "it must be text")
        return "".join(letter if letter.isprintable() else "?" for letter in value[:_LETTERS])

    def number(self, value: Any, most: int, where: str) -> int:
        if type(value) is not int or not 0 <= value <= most:
            raise self.refuse(where, f"it must be a whole number from 0 to {most}")
        return value


def _manifest(arrays: Arrays, place: _Place) -> dict[str, Any]:
    try:
        manifest = place.record(json.loads(arrays.manifest.tobytes()), "all of it")
    except FileError:
        raise
    except (ValueError, RecursionError) as error:
        raise place.refuse("not JSON", str(error)) from error
    if manifest.get("format") != FORMAT:
        raise place.refuse("format", f"it must be {FORMAT!r}")
    return manifest


def _queue(place: _Place, value: Any, where: str) -> SavedQueue:
    entry = place.record(value, where)

    def field(name: str, check: Callable[..., Any], *limits: int) -> Any:
        if name not in entry:
            raise place.refuse(where, f"it has no {name!r}")
        return check(entry[name], *limits, where=f"{where}.{name}")

    layouts: dict[str, Layout] = {"split": "split", "packed": "packed"}
    layout = layouts.get(field("layout", place.text))
    if layout is None:
        raise place.refuse(f"{where}.layout", "it must be 'split' or 'packed'")
    return SavedQueue(
        device=field("device", place.text),
        source_id=field("source_id", place.number, _SHORT),
        number=field("index", place.number, _SHORT),
        layout=layout,
        size=field("size", place.number, MAX_SIZE),
        desc=field("desc", place.number, _ADDRESS),
        avail=field("avail", place.number, _ADDRESS),
        used=field("used", place.number, _ADDRESS),
        features=tuple(
            place.text(each, f"{where}.features")
            for each in field("features", place.items, MAX_FEATURES)
        ),
        last_avail_idx=field("last_avail_idx", place.number, _SHORT),
        used_idx=field("used_idx", place.number, _SHORT),
    )


def _registers(place: _Place, value: Any) -> Mapping[int, int]:
    """The IOMMU's registers: the manifest writes their offsets as text, `"0x020"`."""
    if value is None:
        return {}
    registers = place.record(place.record(value, "vtd").get("registers"), "vtd.registers")
    found = {}
    for name, number in registers.items():
        try:
            offset = int(name, 16)
        except ValueError:
            raise place.refuse("vtd.registers", f"no offset: {name[:20]!r}") from None
        found[offset] = place.number(number, _ADDRESS, f"vtd.registers.{name[:20]}")
    return found


def _memory(arrays: Arrays, place: _Place) -> SavedMemory:
    """All pages, each run of neighbours one region."""
    if len(arrays.page_addr) != len(arrays.pages):
        raise FileError(
            place.path, 0, f"{len(arrays.page_addr)} page addresses for {len(arrays.pages)} pages"
        )
    saved = arrays.page_addr.tolist()
    pages = sorted(saved + arrays.zero_pages.tolist())
    if not pages:
        raise FileError(place.path, 0, "no page in it")
    for page, before in zip(pages, [None, *pages[:-1]], strict=True):
        if page % PAGE:
            raise FileError(place.path, 0, f"page {page:#x} does not begin at a multiple of {PAGE}")
        if page == before:
            raise FileError(place.path, 0, f"page {page:#x} is there twice")
    memory = SavedMemory(_runs(pages))
    for page, data in zip(saved, arrays.pages, strict=True):
        memory.view(page, PAGE)[:] = data
    return memory


def _runs(pages: Iterable[int]) -> list[tuple[int, int]]:
    """Sorted pages as `(start, size)` of the stretches without a gap."""
    runs: list[tuple[int, int]] = []
    for page in pages:
        if runs and sum(runs[-1]) == page:
            runs[-1] = runs[-1][0], runs[-1][1] + PAGE
        else:
            runs.append((page, PAGE))
    return runs
