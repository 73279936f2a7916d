"""``virtlab inspect``: a file of the reader's own; one clear line where it is wrong."""

import gzip
import json
import subprocess
import sys
from importlib import resources

import pytest

from virtlab.course import cli, inspect

PACKED = resources.files("virtlab") / "data" / "pci" / "q35.txt.gz"
EXAMPLE, TEXT = str(PACKED), gzip.decompress(PACKED.read_bytes())


def said(capsys, *words, status=0):
    """What the command prints on stdout, and on stderr."""
    assert cli.main(["inspect", *words]) == status
    return capsys.readouterr()


def command(*words, **options):
    """The installed command, as a program."""
    return subprocess.run(
        [sys.executable, "-m", "virtlab.course.cli", "inspect", *words],
        capture_output=True,
        timeout=60,
        **options,
    )


def test_the_tree_is_the_default(capsys):
    out = said(capsys, "pci", EXAMPLE).out.splitlines()
    assert len(out) == 22
    assert out[:3] == [
        "bus 00",
        "+- 00:00.0 Host bridge: Intel 82G33 (Q35) host bridge [8086:29c0]",
        "+- 00:03.0 PCI bridge: Red Hat QEMU PCIe root port [1b36:000c], to buses 01-04",
    ]


def test_json_is_every_function_with_the_keys_that_were_promised(capsys):
    functions = json.loads(said(capsys, "pci", EXAMPLE, "--json").out)["functions"]
    assert len(functions) == 21
    for each in functions:
        assert {"bdf", "vendor", "device", "class", "header_type", "bridge", "sriov"} <= set(each)
        for bar in each["bars"]:
            assert {"index", "kind", "address", "prefetchable", "width"} <= set(bar)
        for found in each["capabilities"]:
            assert set(found) == {"id", "offset", "name"}
        for found in each["extended_capabilities"]:
            assert set(found) == {"id", "offset", "version", "name"}
    assert functions[0]["class"] == 0x0600


def test_verbose_is_every_register(capsys):
    out = said(capsys, "pci", EXAMPLE, "-v").out
    assert "    054 CAPABILITY_ID = 10  Which capability this is. [PCI 3.0 6.7]\n" in out
    assert out.count("\n\n") == 20
    data = json.loads(said(capsys, "pci", EXAMPLE, "-v", "--json").out)
    assert data["functions"][0]["registers"][0]["name"] == "VENDOR_ID"


def test_what_is_odd_is_noted_below_the_tree(capsys, tmp_path):
    path = tmp_path / "dump.txt"
    rows = ["00: 34 12 78 56 00 00 10 00 00 00 00 00 00 00 00 00"]
    rows += [f"{at:02x}: {'00 ' * 15}00" for at in (0x10, 0x20)]
    rows += ["30: 00 00 00 00 10 00 00 00 00 00 00 00 00 00 00 00"]
    path.write_text("\n".join(["00:02.0 x", *rows, ""]))
    out = said(capsys, "pci", str(path)).out.splitlines()
    assert out[-1] == "00:02.0: the capability list points to 0x10, before 0x40"


def test_a_plain_file_a_compressed_one_and_standard_input_are_the_same(tmp_path):
    plain = tmp_path / "dump.txt"
    plain.write_bytes(TEXT)
    ways = [command("pci", EXAMPLE), command("pci", str(plain)), command("pci", "-", input=TEXT)]
    ways.append(command("pci", "-", input=gzip.compress(TEXT)))
    assert {(way.returncode, way.stderr) for way in ways} == {(0, b"")}
    assert len({way.stdout for way in ways}) == 1


# -- what goes wrong


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "line 1, byte 0: no PCI function in it; make one with: sudo lspci -xxxx"),
        (b"00:00.0 x\n", "line 1, byte 0: titles without bytes; make one with: sudo lspci -xxxx"),
        (
            b"00:00.0 x\n00: 86 80\n",
            "line 2, byte 10: 00:00.0: a row is 16 bytes of two hexadecimal digits each",
        ),
        (b"\x1f\x8b\x08", "byte 0: the compressed file is damaged: Compressed file ended before"),
    ],
)
def test_a_malformed_file_is_one_line_with_file_and_byte_and_status_2(capsys, tmp_path, text, why):
    path = tmp_path / "dump.txt"
    path.write_bytes(text)
    captured = said(capsys, "pci", str(path), status=2)
    assert captured.out == ""
    assert captured.err.startswith(f"virtlab inspect pci: {path}: {why}")
    assert captured.err.count("\n") == 1


def test_standard_input_is_named_where_it_is_malformed():
    done = command("pci", "-", input=b"nothing")
    assert done.returncode == 2
    assert done.stderr.startswith(b"virtlab inspect pci: standard input: line 1, byte 0: no PCI")


def test_standard_input_that_is_closed_is_one_line():
    shell = '"$0" -m virtlab.course.cli inspect pci - <&-'
    done = subprocess.run(
        ["bash", "-c", shell, sys.executable], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "virtlab inspect pci: -: Bad file descriptor\n"


def test_a_file_that_cannot_be_read_is_one_line_and_status_2(capsys, tmp_path):
    for path, why in ((tmp_path / "none.txt", "No such file"), (tmp_path, "Is a directory")):
        captured = said(capsys, "pci", str(path), status=2)
        assert captured.err.startswith(f"virtlab inspect pci: {path}: {why}")
        assert captured.err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["nonsense"], ["pci"], ["pci", EXAMPLE, "--bogus"]])
def test_a_wrong_command_line_is_one_line_and_status_2(capsys, words):
    captured = said(capsys, *words, status=2)
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_a_reader_who_stops_reading_is_no_traceback():
    shell = 'set -o pipefail; "$0" -m virtlab.course.cli inspect pci "$1" -v | head -c 1 >/dev/null'
    done = subprocess.run(
        ["bash", "-c", shell, sys.executable, EXAMPLE], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("subject", inspect.SUBJECTS, ids=lambda subject: subject.name)
def test_every_subject_has_help_with_an_example(capsys, subject):
    out = said(capsys, subject.name, "--help").out
    assert f"example: {subject.example}" in out
    words = subject.example.split()
    assert words[:3] == ["virtlab", "inspect", subject.name]
    cli.parser_for(next(c for c in cli.COMMANDS if c.name == "inspect")).parse_args(words[2:])
