"""Virtio devices on paper: each notes what a driver does, and asserts what a driver must not do."""

from __future__ import annotations

from virtlab.guest.pci import Found, FoundBar, Place
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.features import Feature, to_bits
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.mmio_registers import CONFIG, ModernMmio
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PackedRings
from virtlab.virtio.split import SplitQueue
from virtlab.virtio.status import Status

BASE = 0x1000_0000


def ring_name(ring):
    """A set of ring features as a test's name: `packed-indirect-event`."""
    words = {28: "indirect", 29: "event", 35: "in order"}
    layout = "packed" if Feature.RING_PACKED in ring else "split"
    return "-".join([layout, *(word for bit, word in words.items() if bit in ring)])


class PaperMmio:
    """A window of `kind` at `BASE`, as a Cpu sees it.

    `log` has the name of each register read, and `(name, value)` of each one written. It asserts
    4.2.2.2: 32 bits, aligned, in the register's direction, selectors first, no queue field touched
    while the queue is ready.
    """

    def __init__(self, kind=ModernMmio, device_id=2, offered=frozenset({Feature.VERSION_1})):
        self.kind = kind
        self.regs = {BASE + reg.offset: reg for reg in kind.registers}
        self.values = {reg.name: reg.reset for reg in kind.registers} | {"DEVICE_ID": device_id}
        self.offered = to_bits(offered)
        self.accepted = 0
        self.sizes = {0: 256}
        self.config = bytearray(b"\x01\x02\x03\x04\x05\x06\x07\x08" + bytes(56))
        self.log = []
        self.waits = 0
        self.resets_taken = 0

    def load(self, gpa, size=4):
        if gpa >= BASE + CONFIG:
            at = gpa - BASE - CONFIG
            assert at % size == 0
            self.log.append(f"config+{at}/{size}")
            return int.from_bytes(self.config[at : at + size], "little")
        reg = self._register(gpa, size)
        assert reg.access != "w", f"{reg.name} is write-only"
        self.log.append(reg.name)
        return getattr(self, f"read_{reg.name}", lambda: self.values[reg.name])()

    def store(self, gpa, value, size=4):
        if gpa >= BASE + CONFIG:
            self.log.append((f"config+{gpa - BASE - CONFIG}/{size}", value))
            return
        reg = self._register(gpa, size)
        assert reg.access != "r", f"{reg.name} is read-only"
        assert 0 <= value < 1 << 32
        if reg.name.startswith(("QUEUE_SIZE", "QUEUE_D")):
            assert not self.values.get("QUEUE_READY"), f"{reg.name} while the queue is ready"
        self.log.append((reg.name, value))
        self.values[reg.name] = value
        getattr(self, f"write_{reg.name}", lambda value: None)(value)

    def wait(self, timeout=0):
        self.waits += 1

    def _register(self, gpa, size):
        assert size == 4, "only 32-bit accesses"
        return self.regs[gpa]

    def read_DEVICE_FEATURES(self):
        assert any(entry[0] == "DEVICE_FEATURES_SEL" for entry in self.log), "select first"
        return self.offered >> 32 * self.values["DEVICE_FEATURES_SEL"] & 0xFFFF_FFFF

    def write_DRIVER_FEATURES(self, value):
        assert any(entry[0] == "DRIVER_FEATURES_SEL" for entry in self.log), "select first"
        self.accepted |= value << 32 * self.values["DRIVER_FEATURES_SEL"]

    def read_QUEUE_SIZE_MAX(self):
        return self.sizes.get(self.values["QUEUE_SEL"], 0)

    def read_QUEUE_RESET(self):
        self.resets_taken += 1
        return 0


class PaperTransport:
    """A device without a bus: what `VirtioDriver` tells it is in `log`, and nothing happens.

    `status_mask` are the status bits that it keeps; `offered` its features; `sizes` its queues.
    """

    def __init__(self, offered=frozenset({Feature.VERSION_1}), legacy=False, device_id=2):
        self.legacy = legacy
        self.device_id = device_id
        self.offered = frozenset(offered)
        self.sizes = {0: 256}
        self.status_mask = 0xFF
        self.extra_status = 0
        self.reset_works = True
        self.now = 0xFF
        self.log = []
        self.generations = [0]
        self.configs = [bytes(range(64))]
        self.isr = 0

    def status(self):
        return self.now | (self.extra_status if self.now & Status.DRIVER_OK else 0)

    def set_status(self, status):
        self.log.append(f"status {status:#04x}")
        if status or self.reset_works:
            self.now = status & self.status_mask

    def device_features(self):
        self.log.append("features?")
        return to_bits(self.offered)

    def accept(self, features):
        self.log.append(f"accept {to_bits(features):#x}")
        self.accepted = features

    def queue_max(self, index):
        return self.sizes.get(index, 0)

    def set_queue(self, index, size, areas):
        self.log.append(f"queue {index}: {size} at " + " ".join(map(hex, areas)))
        self.place = (index, size, areas)

    def set_config_vector(self, vector):
        self.log.append(f"config vector {vector}")

    def set_queue_vector(self, index, vector):
        self.log.append(f"queue {index} vector {vector}")

    def reset_queue(self, index):
        self.log.append(f"reset queue {index}")

    def notify(self, index, following):
        self.log.append(f"bell {index} {following:#x}")

    def interrupts(self):
        isr, self.isr = self.isr, 0
        return isr

    def generation(self):
        """The next of the list; the last one for ever."""
        return self.generations.pop(0) if len(self.generations) > 1 else self.generations[0]

    def config_read(self, offset, size):
        self.log.append(f"config+{offset}/{size}")
        now = self.configs[0]
        if len(self.configs) > 1 and offset + size == self.turns_at:
            self.configs.pop(0)
        return int.from_bytes(now[offset : offset + size], "little")

    turns_at = 0
    """The read that ends here is followed by the next configuration."""


class RamCpu:
    """A Cpu that has memory only; `wait` calls `asleep`."""

    def __init__(self, ram):
        self.ram = ram
        self.waits = 0
        self.asleep = lambda: None

    def load(self, gpa, size=4):
        return self.ram.load(gpa, size)

    def store(self, gpa, value, size=4):
        self.ram.store(gpa, size, value)

    def read(self, gpa, length):
        return bytes(self.ram.read(gpa, length))

    def write(self, gpa, data):
        self.ram.write(gpa, data)

    def wait(self, timeout=0):
        self.waits += 1
        return self.asleep()


class PaperDisk(PaperTransport):
    """The same, with our own block device and queue behind it, in `ram`.

    It serves when the bell rings; if `lazy` only when `serve` is called. `order` may shuffle what
    it has taken, `serve_one` may do it in another way. `most` counts what was in flight at once.
    """

    def __init__(self, ram, disk, offered=frozenset({Feature.VERSION_1}), legacy=False):
        super().__init__(offered, legacy)
        self.ram = ram
        self.device = VirtioBlk(disk, "paper")
        self.serve_one = lambda chain: self.device.serve(chain, self.queue)
        self.configs = [self.device.config]
        self.lazy = False
        self.order = list
        self.called = 0
        self.most = 0

    def set_queue(self, index, size, areas):
        super().set_queue(index, size, areas)
        packed = Feature.RING_PACKED in self.accepted
        kind, rings = (PackedQueue, PackedRings) if packed else (SplitQueue, SplitRings)
        self.queue = kind(self.ram, self.call)
        self.queue.enable(rings(size, *areas), self.accepted)

    def call(self):
        self.called += 1
        self.isr |= 1

    def notify(self, index, following):
        super().notify(index, following)
        if not self.lazy:
            self.serve()

    def serve(self):
        taken = list(iter(self.queue.pop, None))
        self.most = max(self.most, len(taken))
        for chain in self.order(taken):
            self.queue.push(chain, self.serve_one(chain))
        self.queue.notify()


def function(device=0x1042, bars=(), vendor=0x1AF4):
    """A function that a scan found."""
    return Found(Place(0, 3, 0), vendor, device, 0x010000, 0, bars=list(bars))


def memory_bar(index, address, size=0x4000):
    return FoundBar(index, "memory", size, 64, True, address)


def port_bar(index, address, size=0x80):
    return FoundBar(index, "port", size, 32, False, address)
