"""Our virtio transports against QEMU's, register by register.

Both have a block device with the same features, the same configuration, one queue. A driver that
keeps to the order of 3.1.1, but is curious, does the same on both: it selects, writes, resets in
the middle, and reads everything all the time. Every answer is compared.

`DIFFERENT` are the registers where the two may differ, with the clause. Besides:

- QEMU's legacy block device does not offer ANY_LAYOUT, which a transitional device MUST (6.3);
- QEMU's virtio-mmio takes any selector of features but 0 for 1; past bit 63 there are none (4.2.2);
- what a selector and DRIVER_FEATURE are after a reset: a driver writes them first, and ours does.
"""

import random
import re

import pytest

from tests.needs import needs_lspci, needs_qemu
from tests.oracles.lspci import run
from tests.oracles.virtio_blk_qemu import SECTORS, machine_with
from tests.virtio.devices import Echo
from tests.virtio.rig import Rig
from virtlab.pci.dump import dumped, format_dump
from virtlab.virtio.blk_layouts import SECTOR
from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.features import Feature, from_bits
from virtlab.virtio.mmio_registers import LegacyMmio, ModernMmio
from virtlab.virtio.negotiation import ANY_LAYOUT
from virtlab.virtio.pci_layouts import CommonConfig, LegacyHeader
from virtlab.virtio.session import RING_FEATURES
from virtlab.virtio.status import DeviceId

LAYOUTS = {
    "mmio": ModernMmio,
    "mmio-legacy": LegacyMmio,
    "pci": CommonConfig,
    "pci-legacy": LegacyHeader,
}

DIFFERENT = {
    "VENDOR_ID",  # 4.2.2: everybody has a number of his own
    "QUEUE_SIZE_MAX",  # 4.2.2: ours is the device's largest; QEMU says 1024, whatever the device
    "SHM_BASE_LOW",  # 4.2.2: all ones where no region is; QEMU 7.2 says 0
    "SHM_BASE_HIGH",
    "QUEUE_NOTIFY_OFF",  # 4.1.4.3: of a queue that is not there ours is 0, QEMU's the selector
    "QUEUE_NOTIFY",  # 4.1.4.10: nothing says what reading a doorbell gives
}

NOTIFY_ON_EMPTY = 24
"""Legacy only, and nothing that our transports can do (6.3)."""

UNUSED = 30
"""A bit that QEMU offers on a legacy interface, to catch drivers that accept anything (6.3)."""

SELECTORS = ("_SEL", "_SELECT")
"""How the name of a selector ends."""

QUEUE_SIZE = 256
"""Of QEMU's queue, by option."""

CONFIG_BYTES = 0x40
"""More than a block device's configuration has: past its end both read all ones."""

SESSIONS, SLOW_SESSIONS = 40, 120


class Twin(VirtioDevice):
    """A device that says of itself what QEMU's says, and does nothing."""

    device_id = DeviceId.BLOCK

    def __init__(self, features, config):
        super().__init__([QUEUE_SIZE], features)
        self.config = config

    def handle(self, index, queue):
        """Nobody asks for anything here."""


def twin_of(theirs, bus, offered):
    """Our machine, whose device offers what that of the transport `theirs` does."""
    config = bytes(theirs.config_read(at, 1) for at in range(CONFIG_BYTES))
    # It ends in a byte that is 1; behind it QEMU reads as all ones.
    config = config.rstrip(b"\xff")
    own = from_bits(offered) - RING_FEATURES - {Feature.VERSION_1}
    twin = Twin(own - {NOTIFY_ON_EMPTY, UNUSED}, config)
    rig = Rig(twin, bus, from_bits(offered) & RING_FEATURES, vectors=2)
    # Nothing here can do these two (6.3). A twin, of whom nobody asks anything, may offer them.
    rig.core.offered |= own
    return rig


class Session:
    """One way from reset to DRIVER_OK, or part of it, with questions in between."""

    def __init__(self, rng, layout, offered, config):
        self.rng = rng
        # A structure of virtio-pci says how long it is; elsewhere a driver may look past the end.
        self.config = config if layout is CommonConfig else CONFIG_BYTES
        self.regs = {reg.name: reg for reg in layout.registers}
        self.legacy = layout in (LegacyMmio, LegacyHeader)
        self.sized = layout is not LegacyHeader
        self.status = "STATUS" if "STATUS" in self.regs else "DEVICE_STATUS"
        self.offered = offered
        self.readable = [
            reg for reg in layout.registers if reg.access != "w" and reg.name not in DIFFERENT
        ]

    def steps(self):
        """`(register, value)` to write, `(register, None)` to read, `("config", at, size)`."""
        yield from self._begin()
        for name, value in self._wishes():
            if self.rng.random() < 0.02:
                break
            for _ in range(self.rng.randrange(6)):
                yield self._question()
            if name in self.regs:
                yield self.regs[name], value
        yield from self._begin()
        for reg in self.readable:
            yield reg, None

    def _begin(self):
        """A reset, nothing accepted, and every selector at 0."""
        yield self.regs[self.status], 0
        for half in (1, 0):
            if "DRIVER_FEATURE" in self.regs:
                yield self.regs["DRIVER_FEATURE_SELECT"], half
                yield self.regs["DRIVER_FEATURE"], 0
        for name, reg in self.regs.items():
            if name.endswith(SELECTORS):
                yield reg, 0

    def _question(self):
        if self.rng.random() < 0.2:
            size = self.rng.choice([1, 2, 4])
            return "config", self.rng.randrange(0, self.config - size + 1, size), size
        return self.rng.choice(self.readable), None

    def _wishes(self):
        """What a driver writes, in order. A register that is not here is passed over."""
        yield self.status, 1
        yield self.status, 3
        yield from self._selections()
        yield from self._features()
        if not self.legacy:
            yield self.status, 11
        yield from self._selections()
        yield from self._queue()
        yield from self._selections()
        yield self.status, 7 if self.legacy else 15

    def _selections(self):
        """Selectors of something that is there, and of something that is not."""
        for name in self.rng.sample(sorted(self.regs), 3):
            if name.endswith(SELECTORS):
                features = name.endswith("FEATURES_SEL")
                yield name, self.rng.choice([0, 1] if features else [0, 1, 2, 7])

    def _features(self):
        accepted = self.offered & (self.rng.getrandbits(64) | 1 << Feature.VERSION_1)
        accepted &= ~(1 << UNUSED)
        for half in range(1 if self.legacy else 2):
            yield "DRIVER_FEATURES_SEL", half
            yield "DRIVER_FEATURE_SELECT", half
            yield "DRIVER_FEATURES", accepted >> 32 * half & 0xFFFF_FFFF
            yield "DRIVER_FEATURE", accepted >> 32 * half & 0xFFFF_FFFF
        yield "GUEST_PAGE_SIZE", 4096

    def _queue(self):
        """Queue 0, with a size and addresses that it may have."""
        base = self.rng.randrange(1, 64) << 16
        yield "QUEUE_SEL", 0
        yield "QUEUE_SELECT", 0
        for name in ("CONFIG_MSIX_VECTOR", "QUEUE_MSIX_VECTOR"):
            yield name, self.rng.choice([0, 1, 2, 0x7FF, 0xFFFF])
        if self.sized:
            yield "QUEUE_SIZE", 1 << self.rng.randrange(1, 9)
        yield "QUEUE_ALIGN", 4096
        for number, part in enumerate(("DESC", "DRIVER", "DEVICE")):
            yield f"QUEUE_{part}", base + 0x4000 * number
            yield f"QUEUE_{part}_LOW", base + 0x4000 * number
            yield f"QUEUE_{part}_HIGH", 0
        for name in ("QUEUE_READY", "QUEUE_ENABLE"):
            yield name, 1
        for name in ("QUEUE_PFN", "QUEUE_ADDRESS"):
            yield name, base >> 12


def act(transport, step):
    """Do one step; what was read, or None."""
    if step[0] == "config":
        return transport.config_read(*step[1:])
    reg, value = step
    return transport.get(reg) if value is None else transport.put(reg, value)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("virtio") / "disk.img"
    path.write_bytes(bytes(SECTORS * SECTOR))
    return path


def compare(bus, image, sessions):
    """The answers compared, and the registers that were touched."""
    layout = LAYOUTS[bus]
    with machine_with(bus, image, f",queue-size={QUEUE_SIZE},num-queues=1") as (_, theirs):
        rng, offered = random.Random(bus), theirs.device_features()
        rig = twin_of(theirs, bus, offered)
        ours, length = rig.transport, len(rig.device.config)
        compared, touched = 0, set()
        for _ in range(sessions):
            done = []
            for step in Session(rng, layout, offered, length).steps():
                done.append(step)
                mine, answer = act(ours, step), act(theirs, step)
                if bus.endswith("legacy") and step == (layout.DEVICE_FEATURES, None):
                    mine &= ~(1 << ANY_LAYOUT) | offered
                assert mine == answer, f"ours {mine:#x}, QEMU's {answer:#x} after {done[-20:]}"
                compared += answer is not None
                touched.add(getattr(step[0], "name", "config"))
        return compared, touched


@needs_qemu
@pytest.mark.parametrize("bus", LAYOUTS)
def test_a_curious_driver_gets_the_same_answers(bus, image):
    compared, touched = compare(bus, image, SESSIONS)
    assert compared > 1000
    known = {reg.name for reg in LAYOUTS[bus].registers if reg.access == "r"}
    assert touched >= known - DIFFERENT | {"config"}


@needs_qemu
@pytest.mark.long
@pytest.mark.parametrize("bus", LAYOUTS)
def test_three_times_as_many(bus, image):
    compare(bus, image, SLOW_SESSIONS)


# -- where the two differ: each row of `docs/deviations.md` is seen on both


def told(transport, *statuses, accept=()):
    """The status after these were written one by one, from a reset on."""
    transport.set_status(0)
    for status in statuses:
        if status == 11:
            transport.accept(frozenset(accept))
        transport.set_status(status)
    return transport.status()


def sized(transport, size):
    """What queue_size is after a driver of split queues wrote `size`, and the status."""
    told(transport, 3, 11, accept={Feature.VERSION_1})
    transport.put(CommonConfig.QUEUE_SELECT, 0)
    transport.put(CommonConfig.QUEUE_SIZE, size)
    return transport.get(CommonConfig.QUEUE_SIZE), transport.status()


def enabled_at(transport, *areas):
    """Whether a queue at these addresses is in use."""
    sized(transport, 4)
    for part, gpa in zip((0x20, 0x28, 0x30), areas, strict=True):
        transport.common.write(part, 4, gpa)
    transport.put(CommonConfig.QUEUE_ENABLE, 1)
    return transport.get(CommonConfig.QUEUE_ENABLE), transport.status()


def features_at(transport, select):
    """The features that are offered from bit 32 `select` on."""
    transport.put(ModernMmio.DEVICE_FEATURES_SEL, select)
    return transport.get(ModernMmio.DEVICE_FEATURES)


ODD = (0x10_0008, 0x11_0001, 0x12_0002)
STATUSES = [
    ("a step that is not next (3.1.1)", lambda t: told(t, 4), 0, 4),
    ("a bit cleared (2.1.1)", lambda t: told(t, 3, 1), 3, 1),
    ("a step after FAILED (2.1.1)", lambda t: told(t, 0x83, 0x87), 0x83, 0x87),
]
MODERN = [
    ("VERSION_1 not accepted (6.1)", lambda t: told(t, 3, 11), 3, 11),
    ("a feature that was not offered (2.2.2)", lambda t: told(t, 3, 11, accept={32, 63}), 3, 11),
]
COMMON = [
    ("a split queue of 3 (4.1.4.3.1)", lambda t: sized(t, 3), (QUEUE_SIZE, 0x4B), (3, 11)),
    ("areas not aligned (2.7.1)", lambda t: enabled_at(t, *ODD), (0, 0x4B), (1, 11)),
]
MMIO = [
    ("the largest queue (4.2.2)", lambda t: t.queue_max(0), QUEUE_SIZE, 1024),
    ("features past bit 63 (4.2.2)", lambda t: features_at(t, 2), 0, 0x101),
    ("memory that is not shared (4.2.2)", lambda t: t.get(ModernMmio.SHM_BASE_LOW), 2**32 - 1, 0),
]
DEVIATIONS = {
    "mmio": STATUSES + MODERN + MMIO,
    "mmio-legacy": STATUSES,
    "pci": STATUSES + MODERN + COMMON,
    "pci-legacy": STATUSES,
}


@needs_qemu
@pytest.mark.parametrize("bus", DEVIATIONS)
def test_where_the_two_differ_they_still_do(bus, image):
    with machine_with(bus, image, f",queue-size={QUEUE_SIZE},num-queues=1") as (_, theirs):
        ours = twin_of(theirs, bus, theirs.device_features()).transport
        for what, probe, expected, qemus in DEVIATIONS[bus]:
            assert (what, probe(ours), probe(theirs)) == (what, expected, qemus)
        anyway = [transport.device_features() >> ANY_LAYOUT & 1 for transport in (ours, theirs)]
        assert anyway == ([1, 0] if bus.endswith("legacy") else [0, 0])


# -- what `lspci` reads in our configuration space

STRUCTURES = {
    "CommonCfg": "0000003c",
    "ISR": "00000001",
    "Notify": "00000008",
    "DeviceCfg": "0000000c",
}


@needs_lspci
@pytest.mark.parametrize("bus", ["pci", "pci-transitional", "pci-legacy"])
def test_lspci_names_the_device_and_finds_its_structures(bus, tmp_path):
    """It knows no name for the window in configuration space, on QEMU's devices neither."""
    path = tmp_path / "dump.txt"
    path.write_text(format_dump([dumped(Rig(Echo(), bus, vectors=3).card)]))
    said = run(path, "-vvv")
    name = "Virtio 1.0 network device (rev 01)" if bus == "pci" else "Virtio network device"
    assert said.splitlines()[0] == f"00:03.0 Ethernet controller: Red Hat, Inc. {name}"
    assert "MSI-X: Enable- Count=3" in said
    found = dict(re.findall(r"VirtIO: (\w+)\n\t\tBAR=4 offset=\w+ size=(\w+)", said))
    assert found == ({} if bus == "pci-legacy" else STRUCTURES)
    assert ("Region 0: I/O ports" in said) == (bus != "pci")
