"""The driver's side of virtio-pci: capabilities, structures, doorbells, and the legacy I/O BAR."""

import struct

import pytest

from tests.guest.paper_virtio import function, memory_bar, port_bar
from virtlab.guest.pci import Place
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci
from virtlab.guest.virtio_pci_structures import (
    CapabilityFound,
    Structure,
    device_id_of,
    virtio_capabilities,
)
from virtlab.guest.virtio_transport import POLLS, VirtioFailed
from virtlab.virtio.features import Feature
from virtlab.virtio.pci_layouts import CfgType, CommonConfig, LegacyMsixHeader

V = Feature.VERSION_1
BAR4 = 0x8000_0000
PORT = 0xC000
HERE = Place(0, 3, 0)
COMMON, NOTIFY, ISR, DEVICE, WINDOW = CfgType(1), CfgType(2), CfgType(3), CfgType(4), CfgType(5)


def capability(kind, bar, offset, length, more=b"", ident=9):
    """The bytes of a `virtio_pci_cap`, but for the link."""
    return struct.pack("<BBBBBB2xII", ident, 0, 16 + len(more), kind, bar, 0, offset, length) + more


USUAL = (
    capability(WINDOW, 0, 0, 0, bytes(4)),
    capability(NOTIFY, 4, 0x3000, 0x1000, struct.pack("<I", 4)),
    capability(DEVICE, 4, 0x2000, 0x1000),
    capability(ISR, 4, 0x1000, 0x1000),
    capability(COMMON, 4, 0, 0x1000),
)
"""What QEMU's device has, in its order."""


class PaperConfig:
    """Configuration space with `capabilities` one behind the other, and MSI-X where asked for."""

    def __init__(self, capabilities=USUAL):
        self.bytes = bytearray(256)
        self.log = []
        self.bytes[6] = 0x10
        link, at = 0x34, 0x40
        for raw in capabilities:
            self.bytes[link] = at
            self.bytes[at : at + len(raw)] = raw
            link, at = at + 1, at + (len(raw) + 3 & ~3)

    def read(self, place, offset, size):
        assert place == HERE
        return int.from_bytes(self.bytes[offset : offset + size], "little")

    def write(self, place, offset, size, value):
        self.log.append((offset, size, value))
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")


class PaperBars:
    """BARs as a Cpu sees them: notes each access; `fields` has the common configuration's values.

    It asserts 4.1.3.1: each field in its own width, 64 bits as two halves.
    """

    def __init__(self, **fields):
        self.log = []
        self.fields = {reg.name: reg.reset for reg in CommonConfig.registers} | fields
        self.offered = 0
        self.waits = 0
        self.isr = 0

    def _common(self, offset, size):
        for reg in CommonConfig.registers:
            if reg.offset <= offset < reg.offset + reg.width:
                assert size == min(reg.width, 4), f"{reg.name} as {size} bytes"
                assert (offset - reg.offset) % size == 0
                return reg, 8 * (offset - reg.offset)
        raise AssertionError(f"nothing is at {offset:#x}")

    def load(self, gpa, size=4):
        if gpa >= BAR4 + 0x1000:
            self.log.append((gpa - BAR4, size))
            return self.isr if gpa == BAR4 + 0x1000 else 0x5A
        reg, shift = self._common(gpa - BAR4, size)
        self.log.append(reg.name)
        if reg.name == "DEVICE_FEATURE":
            return self.offered >> 32 * self.fields["DEVICE_FEATURE_SELECT"] & 0xFFFF_FFFF
        return self.fields[reg.name] >> shift & (1 << 8 * size) - 1

    def store(self, gpa, value, size=4):
        if gpa >= BAR4 + 0x1000:
            self.log.append((gpa - BAR4, size, value))
            return
        reg, shift = self._common(gpa - BAR4, size)
        assert reg.access != "r", f"{reg.name} is read-only"
        self.log.append((reg.name, value) if not shift else (f"{reg.name}+4", value))
        mask = (1 << 8 * size) - 1 << shift
        self.fields[reg.name] = self.fields[reg.name] & ~mask | value << shift
        if reg.name == "QUEUE_RESET":
            self.fields |= {"QUEUE_RESET": self.stuck, "QUEUE_ENABLE": self.still}
        if reg.name.endswith("VECTOR") and value > 1:
            self.fields[reg.name] = 0xFFFF

    stuck = still = 0

    def wait(self, timeout=0):
        self.waits += 1


def modern(config=None, bars=None, **fields):
    cpu = PaperBars(**fields)
    transport = ModernPci(
        cpu, config or PaperConfig(), function(bars=bars or [memory_bar(4, BAR4)])
    )
    return transport, cpu


# -- who it is (4.1.2)


@pytest.mark.parametrize(
    ("device", "ident"),
    [(0x1041, 1), (0x1042, 2), (0x1000, 1), (0x1001, 2), (0x1005, 4), (0x1009, 9), (0x107F, 63)],
)
def test_the_pci_device_id_says_what_it_is(device, ident):
    assert device_id_of(function(device)) == ident


def test_others_are_no_virtio_device():
    assert device_id_of(function(0x1042, vendor=0x8086)) == 0
    assert [device_id_of(function(device)) for device in (0x1040, 0x1080, 0x1010, 0x0FFF)] == [
        0
    ] * 4


# -- capabilities (4.1.4.1)


def test_every_capability_is_found():
    found = virtio_capabilities(PaperConfig(), HERE)
    assert found[COMMON] == CapabilityFound(0x40 + 4 * 16 + 8, COMMON, 4, 0, 0x1000)
    assert set(found) == {COMMON, NOTIFY, ISR, DEVICE, WINDOW}


def test_the_first_of_a_type_is_used_and_the_reserved_are_ignored():
    """A reserved type, a reserved BAR, and another vendor's word are passed over."""
    config = PaperConfig(
        [
            capability(COMMON, 6, 0x10, 64),
            capability(7, 1, 0x20, 64),
            capability(0, 1, 0x20, 64),
            capability(COMMON, 1, 0x30, 64, ident=0x05),
            capability(COMMON, 2, 0x40, 64, b"longer than it need be"),
            capability(COMMON, 3, 0x50, 64),
        ]
    )
    assert [(c.bar, c.offset) for c in virtio_capabilities(config, HERE).values()] == [(2, 0x40)]


def test_a_legacy_device_has_none():
    config = PaperConfig([])
    config.bytes[6] = 0
    assert virtio_capabilities(config, HERE) == {}
    with pytest.raises(VirtioFailed, match=r"00:03\.0 has no structure COMMON_CFG"):
        modern(config)


def test_a_structure_behind_a_bar_without_an_address():
    with pytest.raises(VirtioFailed, match="COMMON_CFG is behind BAR 4, which has no address"):
        modern(bars=[memory_bar(2, BAR4)])
    with pytest.raises(VirtioFailed, match="COMMON_CFG is behind BAR 4"):
        modern(bars=[memory_bar(4, None)])


def test_a_structure_among_the_ports():
    class Ports:
        def inp(self, port, size=1):
            return (port, size)

        def out(self, port, value, size=1):
            self.told = port, value, size

    cpu = Ports()
    structure = Structure(cpu, "port", PORT, 8)
    assert structure.read(4, 2) == (PORT + 4, 2)
    structure.write(6, 2, 9)
    assert cpu.told == (PORT + 6, 9, 2)
    with pytest.raises(VirtioFailed, match="8 bytes, none at 0x6"):
        structure.read(6, 4)


# -- the common configuration (4.1.4.3)


def test_features_are_selected_before_they_are_read_and_written():
    transport, cpu = modern()
    cpu.offered = 1 << 32 | 1 << 5
    assert transport.device_features() == 1 << 32 | 1 << 5
    transport.accept(frozenset({V, 5}))
    assert cpu.log == [
        ("DEVICE_FEATURE_SELECT", 0),
        "DEVICE_FEATURE",
        ("DEVICE_FEATURE_SELECT", 1),
        "DEVICE_FEATURE",
        ("DRIVER_FEATURE_SELECT", 0),
        ("DRIVER_FEATURE", 32),
        ("DRIVER_FEATURE_SELECT", 1),
        ("DRIVER_FEATURE", 1),
    ]


def test_status_generation_and_interrupts():
    transport, cpu = modern(CONFIG_GENERATION=7)
    cpu.isr = 3
    transport.set_status(0x0B)
    assert (transport.status(), transport.generation(), transport.interrupts()) == (0x0B, 7, 3)
    assert cpu.log[-1] == (0x1000, 1)
    assert (transport.device_id, transport.legacy) == (2, False)


def test_the_devices_own_configuration():
    transport, cpu = modern()
    assert transport.config_read(8, 4) == 0x5A
    transport.config_write(32, 1, 0)
    assert cpu.log == [(0x2008, 4), (0x2020, 1, 0)]
    with pytest.raises(VirtioFailed, match="4096 bytes, none at 0xffd"):
        transport.config_read(0xFFD, 4)


def test_a_device_without_a_configuration_of_its_own():
    """An entropy device has none (5.4.4)."""
    transport, _ = modern(PaperConfig([raw for raw in USUAL if raw[3] != DEVICE]))
    with pytest.raises(VirtioFailed, match="no structure DEVICE_CFG"):
        transport.config_read(0, 1)


def test_a_queue_is_asked_for_and_set_up():
    """4.1.5.1.3, and 4.1.4.3.2: everything else before QUEUE_ENABLE."""
    transport, cpu = modern(QUEUE_SIZE=256, QUEUE_NOTIFY_OFF=3)
    assert transport.queue_max(5) == 256
    transport.set_queue(5, 100, (0x1_0000_2000, 0x3000, 0x4000))
    assert cpu.log == [
        ("QUEUE_SELECT", 5),
        "QUEUE_ENABLE",
        "QUEUE_SIZE",
        ("QUEUE_SELECT", 5),
        ("QUEUE_SIZE", 100),
        ("QUEUE_DESC", 0x2000),
        ("QUEUE_DESC+4", 1),
        ("QUEUE_DRIVER", 0x3000),
        ("QUEUE_DRIVER+4", 0),
        ("QUEUE_DEVICE", 0x4000),
        ("QUEUE_DEVICE+4", 0),
        "QUEUE_NOTIFY_OFF",
        ("QUEUE_ENABLE", 1),
    ]
    assert transport.get(CommonConfig.QUEUE_DESC) == 0x1_0000_2000
    assert transport.queue_max(5) == 0


def test_the_doorbell_is_computed():
    """4.1.4.4: structure + queue_notify_off x multiplier; 4.1.5.2: 16 bits."""
    transport, cpu = modern(QUEUE_NOTIFY_OFF=3)
    assert transport.multiplier == 4
    transport.set_queue(5, 8, (0, 0, 0))
    transport.notify(5, 0x8007)
    assert cpu.log[-1] == (0x3000 + 3 * 4, 2, 5)


@pytest.mark.parametrize(
    ("features", "told"),
    [
        ({Feature.NOTIFICATION_DATA}, (4, 0x8007_0005)),
        ({Feature.NOTIF_CONFIG_DATA}, (2, 0x77)),
        ({Feature.NOTIFICATION_DATA, Feature.NOTIF_CONFIG_DATA}, (4, 0x8007_0077)),
    ],
)
def test_the_doorbell_says_more(features, told):
    """4.1.5.2.1: how far, and the number that the device wants to hear."""
    transport, cpu = modern(QUEUE_NOTIFY_OFF=1, QUEUE_NOTIF_CONFIG_DATA=0x77)
    transport.accept(frozenset({V, *features}))
    transport.set_queue(5, 8, (0, 0, 0))
    transport.notify(5, 0x8007)
    assert cpu.log[-1] == (0x3004, *told)


def test_vectors_are_read_back():
    """4.1.5.1.2.2: NO_VECTOR comes back where the device could not; here for one of its three."""
    msix = struct.pack("<BBHII", 0x11, 0, 2, 1, 0x801)
    transport, cpu = modern(PaperConfig([*USUAL, msix]))
    transport.set_config_vector(0)
    transport.set_queue_vector(2, 1)
    assert cpu.log == [
        ("CONFIG_MSIX_VECTOR", 0),
        "CONFIG_MSIX_VECTOR",
        ("QUEUE_SELECT", 2),
        ("QUEUE_MSIX_VECTOR", 1),
        "QUEUE_MSIX_VECTOR",
    ]
    with pytest.raises(VirtioFailed, match="did not take MSI-X vector 2"):
        transport.set_queue_vector(2, 2)
    transport.set_queue_vector(2, 0xFFFF)


def test_a_queue_is_reset_when_it_says_so():
    """4.1.4.3.2, 4.1.4.3.1."""
    transport, cpu = modern()
    transport.reset_queue(1)
    assert cpu.log == [("QUEUE_SELECT", 1), ("QUEUE_RESET", 1), "QUEUE_RESET", "QUEUE_ENABLE"]
    cpu.still = 1
    with pytest.raises(VirtioFailed, match="queue 1 is still in use after its reset"):
        transport.reset_queue(1)
    cpu.stuck = 1
    with pytest.raises(VirtioFailed, match="reset of queue 1 does not end"):
        transport.reset_queue(1)
    assert len(cpu.log) > POLLS


# -- the window of 4.1.4.9


def test_the_window_is_aimed_before_each_access():
    config = PaperConfig()
    cpu = PaperBars()
    transport = ModernPci(cpu, config, function(), window=True)
    transport.set_status(1)
    at = 0x40
    assert config.log == [
        (at + 4, 1, 4),
        (at + 12, 4, 1),
        (at + 8, 4, CommonConfig.DEVICE_STATUS.offset),
        (at + 16, 1, 1),
    ]
    config.log.clear()
    config.bytes[at + 16 : at + 20] = b"\x78\x56\x34\x12"
    assert transport.config_read(0x10, 4) == 0x12345678
    assert config.log == [(at + 4, 1, 4), (at + 12, 4, 4), (at + 8, 4, 0x2010)]
    with pytest.raises(VirtioFailed, match="none at"):
        transport.config_write(0xFFE, 4, 0)
    assert cpu.log == []


# -- the legacy interface (4.1.4.10)


class PaperPorts:
    """The I/O BAR of a legacy device: notes each access, in the width of its register."""

    def __init__(self):
        self.regs = {PORT + reg.offset: reg for reg in LegacyMsixHeader.registers}
        self.values = {reg.name: 0 for reg in LegacyMsixHeader.registers} | {"QUEUE_SIZE": 128}
        self.log = []

    def inp(self, port, size=1):
        reg = self.regs.get(port)
        self.log.append(reg.name if reg else (port - PORT, size))
        assert reg is None or size == reg.width
        return self.values[reg.name] if reg else 0x5A

    def out(self, port, value, size=1):
        reg = self.regs.get(port)
        self.log.append((reg.name if reg else port - PORT, value))
        assert reg is None or (size == reg.width and reg.access != "r")
        self.values[reg.name if reg else port] = 0xFFFF if reg and value == 7 else value


def legacy(msix=None, device=0x1001):
    config = PaperConfig([] if msix is None else [struct.pack("<BBHII", 0x11, 0, msix, 1, 0x801)])
    cpu = PaperPorts()
    return LegacyPci(cpu, config, function(device, [port_bar(0, PORT)])), cpu, config


def test_features_and_status_of_a_legacy_device():
    transport, cpu, _ = legacy()
    cpu.values |= {"DEVICE_FEATURES": 0x3000_0000, "ISR_STATUS": 1}
    assert transport.device_features() == 0x3000_0000
    transport.accept(frozenset({29}))
    transport.set_status(3)
    assert (transport.status(), transport.interrupts(), transport.generation()) == (3, 1, 0)
    assert cpu.log == [
        "DEVICE_FEATURES",
        ("DRIVER_FEATURES", 1 << 29),
        ("DEVICE_STATUS", 3),
        "DEVICE_STATUS",
        "ISR_STATUS",
    ]
    with pytest.raises(ValueError, match="has 32 features, not 0x100000000"):
        transport.accept(frozenset({V}))
    assert (transport.device_id, transport.legacy) == (2, True)


def test_a_legacy_queue_is_one_page_number():
    transport, cpu, _ = legacy()
    assert transport.queue_max(1) == 128
    with pytest.raises(ValueError, match="queue 1 has 128 entries, whoever asks for 8"):
        transport.set_queue(1, 8, (0x5000, 0x5080, 0x6000))
    cpu.log.clear()
    transport.set_queue(1, 128, (0x5000, 0x5800, 0x6000))
    transport.notify(1, 99)
    assert cpu.log == [
        ("QUEUE_SELECT", 1),
        "QUEUE_SIZE",
        ("QUEUE_ADDRESS", 5),
        ("QUEUE_NOTIFY", 1),
    ]
    assert transport.queue_max(1) == 0
    with pytest.raises(ValueError, match="cannot reset one queue"):
        transport.reset_queue(1)


def test_the_configuration_moves_when_msix_is_switched_on():
    """4.1.4.10: at 20, or at 24 behind two more registers; and back."""
    transport, cpu, config = legacy(msix=1)
    cpu.regs.clear()
    transport.config_read(0, 4)
    config.bytes[0x43] |= 0x80
    transport.config_write(4, 4, 1)
    config.bytes[0x43] &= 0x7F
    transport.config_read(2, 2)
    assert cpu.log == [(20, 4), (28, 1), (22, 2)]


def test_vectors_of_a_legacy_device_are_there_only_with_msix():
    transport, _, _ = legacy(msix=1)
    with pytest.raises(ValueError, match="only while MSI-X is on"):
        transport.set_config_vector(0)
    assert not legacy()[0].msix
    transport, cpu, _ = legacy(msix=0x8007)
    transport.set_config_vector(1)
    transport.set_queue_vector(3, 0)
    assert cpu.log == [
        ("CONFIG_MSIX_VECTOR", 1),
        "CONFIG_MSIX_VECTOR",
        ("QUEUE_SELECT", 3),
        ("QUEUE_MSIX_VECTOR", 0),
        "QUEUE_MSIX_VECTOR",
    ]
    with pytest.raises(VirtioFailed, match="did not take MSI-X vector 7"):
        transport.set_config_vector(7)


@pytest.mark.parametrize(
    "bars", [[], [memory_bar(0, BAR4)], [port_bar(0, None)], [port_bar(1, PORT)]]
)
def test_without_an_io_bar_0_there_is_no_legacy_interface(bars):
    with pytest.raises(VirtioFailed, match=r"00:03\.0 has no I/O BAR 0"):
        LegacyPci(PaperPorts(), PaperConfig([]), function(0x1001, bars))
