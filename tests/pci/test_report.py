"""What is said of a function: every register with its clause, and the same as data."""

import json

import pytest

from tests.pci.dumps import EXPRESS, Space
from virtlab.pci.decode import decode
from virtlab.pci.dump import DumpedFunction, example
from virtlab.pci.report import WORD_WIDTH, as_data, verbose_text


def made(*writes, size=64):
    space = Space(size)
    space.put(0x00, 0x1041_1AF4, 4)
    for at, value, width in writes:
        space.put(at, value, width)
    return decode(DumpedFunction(0, 0, 1, 0, bytes(space.data)))


def summary(decoded):
    """The lines between the title and the registers."""
    lines = verbose_text(decoded).splitlines()
    return [line.strip() for line in lines[1 : lines.index("  header")]]


def test_the_keys_of_the_data():
    data = as_data(decode(example()[0]))
    assert {
        "bdf", "vendor", "device", "class", "header_type", "bars", "capabilities",
        "extended_capabilities", "bridge", "sriov",
    } <= set(data)  # fmt: skip


def test_a_function_as_data():
    nvme = next(each for each in example() if each.bdf == "06:00.0")
    data = as_data(decode(nvme))
    assert json.loads(json.dumps(data)) == data
    assert (data["vendor"], data["device"], data["class"]) == (0x1B36, 0x0010, 0x0108)
    assert (data["class_code"], data["revision"]) == (0x010802, 2)
    assert data["subsystem"] == {"vendor": 0x1AF4, "device": 0x1100}
    assert data["bars"] == [
        {
            "index": 0,
            "kind": "memory",
            "address": 0xC040_0000,
            "prefetchable": False,
            "width": 64,
            "enabled": True,
        }
    ]
    assert data["capabilities"][0] == {"id": 0x11, "offset": 0x40, "name": "MSI-X"}
    assert data["extended_capabilities"][1] == {
        "id": 0x10,
        "offset": 0x120,
        "version": 1,
        "name": "Single Root I/O Virtualization (SR-IOV)",
    }
    assert data["bridge"] is None
    assert {name: value for name, value in data["sriov"].items() if name != "bars"} == {
        "total_vfs": 4,
        "initial_vfs": 4,
        "num_vfs": 0,
        "first_vf_offset": 1,
        "vf_stride": 1,
        "vf_enable": False,
        "vf_device": 0x0010,
    }


def test_a_bridge_as_data():
    port = next(each for each in example() if each.bdf == "00:03.1")
    data = as_data(decode(port))
    assert (data["header_type"], data["sriov"]) == (1, None)
    bridge = data["bridge"]
    assert (bridge["primary"], bridge["secondary"], bridge["subordinate"]) == (0, 5, 5)
    assert bridge["windows"][0] == {
        "kind": "io",
        "base": 0xC000,
        "limit": 0xCFFF,
        "width": 16,
        "open": True,
    }


@pytest.mark.parametrize("vendor", [0, 0xFFFF])
def test_no_card_is_no_subsystem(vendor):
    assert as_data(made((0x2C, vendor, 2)))["subsystem"] is None


def test_verbose_data_has_every_register_with_its_fields_and_its_clause():
    decoded = made((0x06, 0x10, 2), (0x34, 0x40, 1), (0x40, EXPRESS, 1), size=256)
    data = as_data(decoded, verbose=True)
    assert data["registers"][0] == {
        "name": "VENDOR_ID",
        "offset": 0,
        "width": 2,
        "value": 0x1AF4,
        "fields": {},
        "spec": "PCI 3.0 6.2.1",
    }
    control = next(
        each for each in data["capabilities"][0]["registers"] if each["name"] == "DEVICE_CONTROL"
    )
    assert (control["offset"], control["fields"]["MAX_PAYLOAD"]) == (0x48, 0)
    assert "registers" not in as_data(decoded)


def test_the_text_of_every_function_of_the_example_has_every_register_once():
    for source in example():
        decoded = decode(source)
        lines = verbose_text(decoded).splitlines()
        for part in (decoded.header, *(each.registers for each in decoded.capabilities)):
            for register in part:
                start = f"    {register.offset:03x} {register.name} = "
                assert sum(line.startswith(start) for line in lines) == 1
        assert all(len(line) <= WORD_WIDTH + 8 for line in lines if line.startswith(" " * 8))


def test_a_register_is_said_with_its_value_its_purpose_and_its_clause():
    assert (
        "    004 COMMAND = 0407  What the function may do: answer in a space, master the bus, "
        "pull its pin. [PCI 3.0 6.2.2]" in verbose_text(made((0x04, 0x0407, 2)))
    )
    assert "        LAYOUT 0, MULTI_FUNCTION 1" in verbose_text(made((0x0E, 0x80, 1)))


def test_where_it_answers():
    said = summary(made((0x04, 2, 2), (0x10, 0xC000_0008, 4), (0x14, 0xC001, 4), (0x18, 4, 4)))
    assert said == [
        "BAR 0: memory, 32 bits, prefetchable, at 0xc0000000",
        "BAR 1: ports, at 0xc000 (disabled)",
        "BAR 2: memory, 64 bits, not assigned",
    ]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (0xFEB0_0001, "ROM: at 0xfeb00000"),
        (0xFEB0_0000, "ROM: at 0xfeb00000 (disabled)"),
        (1, "ROM: not assigned"),
    ],
)
def test_the_rom(word, said):
    assert summary(made((0x04, 2, 2), (0x30, word, 4))) == [said]


def test_the_windows_of_a_bridge():
    said = summary(made((0x0E, 1, 1), (0x1C, 0xF0, 1), (0x20, 0xFE00, 2), (0x22, 0xFE10, 2)))
    assert said == [
        "window, io: closed",
        "window, memory: 0xfe000000 to 0xfe1fffff",
        "window, prefetchable: 0x0 to 0xfffff",
    ]


def test_virtual_functions():
    writes = [(0x06, 0x10, 2), (0x34, 0x40, 1), (0x40, EXPRESS, 1), (0x100, 0x10, 2)]
    writes += [(0x10E, 8, 2), (0x110, 3, 2)]
    assert summary(made(*writes, size=4096)) == ["virtual functions: 3 of 8, not enabled"]
    writes += [(0x108, 1, 2)]
    assert summary(made(*writes, size=4096)) == ["virtual functions: 3 of 8, enabled"]


def test_notes_come_last_and_nobody_has_no_registers():
    assert verbose_text(made((0x06, 0x10, 2), (0x34, 0x10, 1))).splitlines()[-1] == (
        "  note: the capability list points to 0x10, before 0x40"
    )
    nobody = decode(DumpedFunction(0, 0, 1, 0, b"\xff" * 64))
    assert verbose_text(nobody).splitlines() == [
        "00:01.0 nobody answers here (all ones)",
        "  note: all ones: nobody answered",
    ]
