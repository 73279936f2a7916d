"""The driver's side of virtio-mmio: which register, in which order, in which width.

`PaperMmio` asserts at each access what 4.2.2.2 asks of a driver.
"""

import pytest

from tests.guest.paper_virtio import BASE, PaperMmio
from virtlab.guest.virtio_mmio import LegacyMmioTransport, MmioTransport, find, probe
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.virtio.features import Feature
from virtlab.virtio.mmio_registers import LegacyMmio, ModernMmio

V = Feature.VERSION_1


def modern(**kinds):
    paper = PaperMmio(ModernMmio, **kinds)
    return MmioTransport(paper, BASE), paper


def legacy(**kinds):
    paper = PaperMmio(LegacyMmio, **kinds)
    return LegacyMmioTransport(paper, BASE), paper


# -- finding it


def test_magic_version_and_id_in_this_order():
    """4.2.3.1: the driver must begin with the first two."""
    paper = PaperMmio()
    assert isinstance(probe(paper, BASE), MmioTransport)
    assert paper.log == ["MAGIC_VALUE", "VERSION", "DEVICE_ID"]
    assert isinstance(probe(PaperMmio(LegacyMmio), BASE), LegacyMmioTransport)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [("MAGIC_VALUE", 0x12345678, 1), ("VERSION", 3, 2), ("DEVICE_ID", 0, 3)],
)
def test_what_is_no_device_is_passed_over(name, value, read):
    """4.2.2.2: ignored, and after an id of 0 no other register is touched."""
    paper = PaperMmio()
    paper.values[name] = value
    assert probe(paper, BASE) is None
    assert len(paper.log) == read


def test_a_device_among_windows():
    class Board(PaperMmio):
        def load(self, gpa, size=4):
            return 0xFFFF_FFFF if gpa < BASE else super().load(gpa, size)

    windows = range(BASE - 0x400, BASE + 0x200, 0x200)
    assert find(Board(), windows, 2).base == BASE
    with pytest.raises(LookupError, match="no virtio device of type 3"):
        find(Board(), windows, 3)


# -- the whole device


def test_features_are_selected_before_they_are_read_and_written():
    transport, paper = modern(offered={V, 3, 29})
    assert transport.device_features() == 1 << 32 | 1 << 29 | 1 << 3
    transport.accept(frozenset({V, 29}))
    assert paper.log == [
        ("DEVICE_FEATURES_SEL", 0),
        "DEVICE_FEATURES",
        ("DEVICE_FEATURES_SEL", 1),
        "DEVICE_FEATURES",
        ("DRIVER_FEATURES_SEL", 0),
        ("DRIVER_FEATURES", 1 << 29),
        ("DRIVER_FEATURES_SEL", 1),
        ("DRIVER_FEATURES", 1),
    ]
    assert paper.accepted == 1 << 32 | 1 << 29


def test_a_legacy_device_has_32_features_and_wants_the_page_size():
    """4.2.4: the page size before any queue is used."""
    transport, paper = legacy(offered={V, 3})
    assert transport.device_features() == 8
    transport.accept(frozenset({3}))
    assert paper.log[2:] == [
        ("DRIVER_FEATURES_SEL", 0),
        ("DRIVER_FEATURES", 8),
        ("GUEST_PAGE_SIZE", 4096),
    ]


def test_status_is_read_and_written():
    transport, paper = modern()
    transport.set_status(3)
    assert transport.status() == 3
    assert paper.log == [("STATUS", 3), "STATUS"]
    assert (transport.legacy, legacy()[0].legacy) == (False, True)


def test_an_interrupt_is_acknowledged_and_unknown_bits_are_ignored():
    """4.2.2.2: undefined bits must not be set in InterruptACK."""
    transport, paper = modern()
    paper.values["INTERRUPT_STATUS"] = 0xF3
    assert transport.interrupts() == 3
    assert paper.log == ["INTERRUPT_STATUS", ("INTERRUPT_ACK", 3)]
    paper.values["INTERRUPT_STATUS"] = 0xF0
    assert transport.interrupts() == 0
    assert paper.log[2:] == ["INTERRUPT_STATUS"]


def test_the_configuration_in_the_width_of_each_field():
    transport, paper = modern()
    assert [transport.config_read(at, n) for at, n in ((0, 1), (2, 2), (4, 4))] == [
        1,
        0x0403,
        0x08070605,
    ]
    transport.config_write(6, 2, 0xABCD)
    assert paper.log == ["config+0/1", "config+2/2", "config+4/4", ("config+6/2", 0xABCD)]


def test_the_generation():
    transport, paper = modern()
    paper.values["CONFIG_GENERATION"] = 9
    assert transport.generation() == 9
    transport, paper = legacy()
    assert transport.generation() == 0
    assert paper.log == []


def test_there_is_one_wire_and_no_vector():
    """4.2.3.4."""
    for transport, _ in (modern(), legacy()):
        with pytest.raises(ValueError, match="one interrupt, and no vectors"):
            transport.set_config_vector(0)
        with pytest.raises(ValueError, match="one interrupt, and no vectors"):
            transport.set_queue_vector(0, 1)


# -- a queue


def test_a_queue_is_asked_for_and_set_up():
    """4.2.3.2, step by step: QueueReady last."""
    transport, paper = modern()
    assert transport.queue_max(0) == 256
    transport.set_queue(0, 128, (0x1_2345_6000, 0x2_0000_0010, 0x3_0000_0020))
    assert paper.log == [
        ("QUEUE_SEL", 0),
        "QUEUE_READY",
        "QUEUE_SIZE_MAX",
        ("QUEUE_SEL", 0),
        ("QUEUE_SIZE", 128),
        ("QUEUE_DESC_LOW", 0x2345_6000),
        ("QUEUE_DESC_HIGH", 1),
        ("QUEUE_DRIVER_LOW", 0x10),
        ("QUEUE_DRIVER_HIGH", 2),
        ("QUEUE_DEVICE_LOW", 0x20),
        ("QUEUE_DEVICE_HIGH", 3),
        ("QUEUE_READY", 1),
    ]
    assert transport.queue_max(0) == 0  # it is in use
    assert modern()[0].queue_max(1) == 0  # there is none


def test_a_legacy_queue_is_asked_for_and_set_up():
    """4.2.4, step by step: QueuePFN last."""
    transport, paper = legacy()
    assert transport.queue_max(0) == 256
    transport.set_queue(0, 8, (0x5000, 0x5080, 0x6000))
    assert paper.log == [
        ("QUEUE_SEL", 0),
        "QUEUE_PFN",
        "QUEUE_SIZE_MAX",
        ("QUEUE_SEL", 0),
        ("QUEUE_SIZE", 8),
        ("QUEUE_ALIGN", 4096),
        ("QUEUE_PFN", 5),
    ]
    assert transport.queue_max(0) == 0
    with pytest.raises(ValueError, match="in one piece"):
        transport.set_queue(0, 8, (0x5000, 0x5080, 0x6010))


def test_a_queue_is_stopped():
    """4.2.2.2: write 0, and read it back."""
    transport, paper = modern()
    transport.set_queue(1, 8, (0, 0, 0))
    paper.log.clear()
    transport.stop_queue(1)
    assert paper.log == [("QUEUE_SEL", 1), ("QUEUE_READY", 0), "QUEUE_READY"]
    paper.read_QUEUE_READY = lambda: 1
    with pytest.raises(VirtioFailed, match="queue 1 does not stop"):
        transport.stop_queue(1)
    transport, paper = legacy()
    transport.stop_queue(1)
    assert paper.log == [("QUEUE_SEL", 1), ("QUEUE_PFN", 0)]


def test_a_queue_is_reset_when_it_says_so():
    """4.2.2.2: not before QueueReset reads back 0; 4.2.2.1: then QueueReady is 0 too."""
    transport, paper = modern()
    answers = [1, 1, 0]
    paper.read_QUEUE_RESET = lambda: answers.pop(0)
    transport.reset_queue(2)
    assert paper.log == [
        ("QUEUE_SEL", 2),
        ("QUEUE_RESET", 1),
        *["QUEUE_RESET"] * 3,
        "QUEUE_READY",
    ]
    paper.read_QUEUE_RESET = lambda: 1
    with pytest.raises(VirtioFailed, match="reset of queue 2 does not end"):
        transport.reset_queue(2)
    paper.read_QUEUE_RESET = lambda: 0
    paper.values["QUEUE_READY"] = 1
    with pytest.raises(VirtioFailed, match="queue 2 is still in use after its reset"):
        transport.reset_queue(2)
    with pytest.raises(ValueError, match="a legacy device cannot reset one queue"):
        legacy()[0].reset_queue(0)


def test_the_doorbell():
    """4.2.3.3: the index; with NOTIFICATION_DATA where the next entry goes as well."""
    transport, paper = modern()
    transport.notify(3, 0x8005)
    transport.accept(frozenset({V, Feature.NOTIFICATION_DATA}))
    transport.notify(3, 0x8005)
    bells = [entry for entry in paper.log if entry[0] == "QUEUE_NOTIFY"]
    assert bells == [("QUEUE_NOTIFY", 3), ("QUEUE_NOTIFY", 0x8005_0003)]
