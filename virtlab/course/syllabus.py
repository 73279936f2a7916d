"""The syllabus: what the course must teach, by id, and the lessons that teach it, in order.

A lesson's section and a task carry the ids of what they teach, as cell tags: `topic:S18`. S01-S48
follow the lecture that the course is built from; B01-B07 go beyond it. A test demands that each is
taught in a lesson and graded by a task.

`PARTS` is the order of the course. Only what no lesson says of itself stands here: its short name,
its part, and after which lesson a problem set is due. Minutes, questions and topics are read from
the lessons (`scripts/index.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

TOPICS = {
    # Part I. The I/O subsystem
    "S01": "why virtualize I/O: share devices, or create them, for virtual machines",
    "S02": "port-mapped I/O: a separate address space, IN and OUT",
    "S03": "memory-mapped I/O: devices in the system memory map",
    "S04": "DMA, synchronous and asynchronous",
    "S05": "PCI: the bus and its cards",
    "S06": "PCI topology: a tree of buses and bridges",
    "S07": "PCI Express topology: root complex, switches, endpoints, bridges",
    # Part II. Where I/O can be virtualized
    "S08": "three layers: system call, driver call, I/O operation",
    "S09": "at the system call: shadow I/O routines",
    "S10": "at the driver call: a para-virtual driver and hypercalls",
    "S11": "at the I/O operation: privileged instructions, protected regions",
    # Part III. The device model
    "S12": "the device model: emulated ports, registers, DMA and interrupts",
    "S13": "its two homes: inside the VMM, or a user-space service",
    "S14": "the flow: discovery, interception, virtualization",
    "S15": "discovering what cannot be enumerated: hard-coded ports and preset status",
    "S16": "discovering what can: emulate the devices and the bus",
    "S17": "discovering what does not exist: invented devices, new drivers",
    "S18": "intercepting ports: the I/O bitmap",
    "S19": "intercepting memory: shadow page tables",
    "S20": "remapping DMA addresses in software",
    "S21": "four kinds of device: dedicated, partitioned, shared, non-existent",
    "S22": "dedicated devices",
    "S23": "partitioned devices: addresses translated by the VMM",
    "S24": "shared devices: a virtual state for each VM",
    "S25": "non-existent devices: requests buffered, other VMs interrupted",
    "S26": "performance: direct access to I/O addresses through EPT",
    "S27": "performance: direct DMA, and who must translate it",
    # Part IV. Virtio
    "S28": "full against para-virtualization",
    "S29": "what virtio is: a standard for cooperating drivers",
    "S30": "why it is fast: shared memory in place of register accesses",
    "S31": "its architecture: front-end, virtqueue, buffers, back-end",
    "S32": "its drivers: front-end in the guest, back-end in the VMM",
    "S33": "its transport: virtqueue, vring, scatter-gather lists",
    "S34": "the path of a request without virtio",
    "S35": "the path of a request with virtio",
    "S36": "setting up a virtqueue",
    "S37": "the virtqueue as a data structure: two sides of one ring",
    "S38": "the calls: add_buf, kick, get_buf; pop, push",
    "S39": "the flow: add, kick, pop, push, get",
    "S40": "switching callbacks off and on",
    # Part V. Hardware assistance
    "S41": "sharing in software, and what it costs",
    "S42": "two answers in hardware: DMA remapping, and virtual PCIe functions",
    "S43": "VT-d: data that bypasses the VMM",
    "S44": "SR-IOV: why",
    "S45": "SR-IOV: physical and virtual functions",
    "S46": "SR-IOV and the VMM: functions handed to VMs",
    "S47": "MR-IOV: one device, several root complexes",
    "S48": "where the interrupt controller lives, and what that costs",
    # Part VI. Beyond the lecture
    "B01": "the packed virtqueue",
    "B02": "indirect descriptors and EVENT_IDX",
    "B03": "the vectorized ring path",
    "B04": "vhost-user: the device service in practice",
    "B05": "MSI-X, interrupt remapping, posted interrupts",
    "B06": "the real thing: QEMU, KVM, an unmodified Linux",
    "B07": "a hostile guest",
}
"""Title by id."""


class Lesson(NamedTuple):
    """A lesson: the stem of its notebook, and a short name for lists and links."""

    stem: str
    name: str

    @property
    def number(self) -> str:
        """Two digits: `14`."""
        return self.stem[:2]


class Part(NamedTuple):
    """A part of the course: its lessons in order, and after which one a problem set is due."""

    name: str
    lessons: tuple[Lesson, ...]
    sets: dict[int, str]


PARTS = (
    Part(
        "I. The I/O subsystem",
        (
            Lesson("00_tour", "Tour"),
            Lesson("01_port_io", "Port-mapped I/O"),
            Lesson("02_memory_mapped_io", "Memory-mapped I/O"),
            Lesson("03_dma", "DMA"),
            Lesson("04_pci", "PCI"),
            Lesson("05_pci_express", "PCI Express"),
        ),
        {1: "02", 2: "05"},
    ),
    Part(
        "II. Where I/O can be virtualized",
        (Lesson("06_where_to_virtualize", "Where to virtualize"),),
        {},
    ),
    Part(
        "III. The device model",
        (
            Lesson("07_device_model", "Device model"),
            Lesson("08_discovery", "Discovery"),
            Lesson("09_interception", "Interception"),
            Lesson("10_dma_remapping", "DMA remapping"),
            Lesson("11_kinds_of_devices", "Kinds of devices"),
        ),
        {3: "11"},
    ),
    Part(
        "IV. Virtio",
        (
            Lesson("12_why_virtio", "Why virtio"),
            Lesson("13_virtqueue", "Virtqueue"),
            Lesson("14_data_exchange", "Data exchange"),
            Lesson("15_notifications", "Notifications"),
            Lesson("16_packed_ring", "Packed ring"),
            Lesson("17_vectorized_ring", "Vectorized ring"),
            Lesson("18_hostile_guest", "Hostile guest"),
        ),
        {4: "17", 5: "18"},
    ),
    Part(
        "V. Hardware assistance",
        (
            Lesson("19_vtd", "VT-d"),
            Lesson("20_interrupts", "Interrupts"),
            Lesson("21_sriov", "SR-IOV"),
        ),
        {6: "21"},
    ),
    Part("VI. The real thing", (Lesson("22_real_linux", "A real Linux"),), {7: "22"}),
)
"""The course, in order."""

LESSONS = tuple(lesson for part in PARTS for lesson in part.lessons)
"""Every lesson, in order."""

TAG = re.compile(r"topic:(\w+)\Z")


def topics(tags: Iterable[str]) -> set[str]:
    """The ids in a cell's tags. `ValueError` names an id that is not in the syllabus.

    >>> sorted(topics(["topic:S02", "instructor", "topic:B07"]))
    ['B07', 'S02']
    """
    ids = {match[1] for tag in tags if (match := TAG.match(tag))}
    if unknown := sorted(ids - TOPICS.keys()):
        raise ValueError(f"no such topic: {', '.join(unknown)}; they are S01-S48 and B01-B07")
    return ids
