"""``virtlab inspect ring``: what QEMU itself said of a running Linux, and what is no snapshot."""

import gzip
import io
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from tests.course.saved import Saved, refusal
from virtlab.course import cli

DATA = Path(__file__).parent.parent / "data" / "virtio"
NAMES = ("vq_split", "vq_packed", "vtd48_split")


def file_of(name):
    """Where a snapshot is: that of the lessons in the library, the others here."""
    lesson = files("virtlab") / "data" / "vtd" / f"{name}.npz"
    return str(lesson if lesson.is_file() else DATA / f"{name}.npz")


def expected(name):
    with gzip.open(DATA / f"{name}.expected.json.gz") as file:
        return json.load(file)["queues"]


def said(capsys, *words, status=0):
    """What the command prints on stdout, and on stderr."""
    assert cli.main(["inspect", "ring", *words]) == status
    return capsys.readouterr()


def queues(capsys, *words):
    return json.loads(said(capsys, *words, "--json").out)["queues"]


def as_qemu_says(chain):
    """A chain with its buffers in the order of QEMU's answer."""
    buffers = sorted(chain["buffers"], key=lambda buffer: (buffer["write"], buffer["addr"]))
    return {"head": chain["head"], "buffers": buffers}


def in_order(elements):
    return [as_qemu_says(each) for each in elements]


# -- the real thing


@pytest.mark.parametrize("name", NAMES)
def test_the_queues_are_those_of_the_machine(capsys, name):
    for ours, qemu in zip(queues(capsys, file_of(name)), expected(name), strict=True):
        assert {key: ours[key] for key in ("device", "source_id", "index")} == {
            key: qemu[key] for key in ("device", "source_id", "index")
        }
        assert ours["in_flight"] == qemu["inuse"]
        assert sum(chain["taken"] for chain in ours["pending"]) == qemu["inuse"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_pending_is_what_qemu_says(capsys, name):
    compared = 0
    for ours, qemu in zip(queues(capsys, file_of(name)), expected(name), strict=True):
        if "pending" in qemu:
            assert ours["layout"] == "split"
            assert len(ours["pending"]) == qemu["pending"]
            assert in_order(ours["pending"][:12]) == in_order(qemu["elements"])
            compared += qemu["pending"]
    assert compared == {"vq_split": 269, "vq_packed": 0, "vtd48_split": 269}[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_real_driver_breaks_no_rule(capsys, name):
    """Two tables of the packed disk's lie in pages that were not saved; that is all there is."""
    for each in queues(capsys, file_of(name)):
        assert each["sound"]
        left_out = 2 if (name, each["source_id"]) == ("vq_packed", 256) else 0
        assert len(each["findings"]) == left_out
        for finding in each["findings"]:
            assert finding["warning"]
            assert "is not in the snapshot" in finding["why"]


def test_chains_are_in_their_own_order_and_tables_stand_for_themselves(capsys):
    disk = queues(capsys, file_of("vq_split"))[5]
    assert disk["pending"][0] == {
        "head": 0,
        "buffers": [
            {"addr": 0x2B56410, "len": 16, "write": False},
            {"addr": 0x93CB000, "len": 4096, "write": True},
            {"addr": 0x93FD000, "len": 4096, "write": True},
            {"addr": 0x2B56420, "len": 1, "write": True},
        ],
        "position": 2,
        "taken": True,
    }


def test_packed_lists_are_listed_with_their_ids(capsys):
    net = queues(capsys, file_of("vq_packed"))[1]
    assert (net["in_flight"], net["waiting"], len(net["pending"])) == (0, 256, 256)
    assert [chain["head"] for chain in net["pending"]] == list(range(256))
    assert {chain["buffers"][0]["len"] for chain in net["pending"]} == {1536, 2048}


# -- in words


def test_the_text_says_who_waits_for_what(capsys):
    out = said(capsys, file_of("vq_split")).out
    assert out.startswith("vq_split: live guest memory of Debian linux-image-6.1.0-56-cloud-amd64")
    net = out.split("\n\n")[3].splitlines()
    assert net == [
        "virtio-net 00:04.0, queue 1: split, 256 entries",
        "  descriptors 0x2bc4000, driver 0x2bc5000, device 0x2bc5240",
        "  chains in flight 1, waiting to be taken 5",
        "  the driver wants an interrupt for used entry 3; the next is 0",
        "  the device wants a kick for available entry 0; the next is 6: "
        "no kick is due for the 5 that wait",
        "  head 0, in flight: read 102 at 0x3511806",
        "  head 1, waiting: read 98 at 0x351b606",
        "  head 2, waiting: read 102 at 0x3513006",
        "  head 3, waiting: read 102 at 0x3510006",
        "  head 4, waiting: read 82 at 0x35ea606",
        "  head 5, waiting: read 102 at 0x3511006",
        "  no rule is broken",
    ]


def test_long_lists_are_cut_unless_all_is_asked_for(capsys):
    short = said(capsys, file_of("vq_split")).out
    assert "  and 244 more (-v shows all)\n" in short
    assert "write 4096 at 0x93e7000, and 4 more\n" in short
    whole = said(capsys, file_of("vq_split"), "-v").out
    assert " more" not in whole
    assert whole.count("\n  head ") == 1 + 256 + 6 + 6


def test_what_is_wrong_is_a_line_with_its_place_and_clause(capsys, tmp_path):
    saved = Saved()
    saved.page(0x1000)[:16] = bytes.fromhex("00800000000000001000000004000000")
    saved.page(0x1000)[0x80:0x88] = bytes.fromhex("0000010000000000")
    out = said(capsys, saved.write(tmp_path)).out.splitlines()
    assert out[0] == "made up"
    assert out[-3:] == [
        "  the device wants a kick for each chain: a kick is due, 1 wait",
        "  head 0, waiting: nothing that can be followed",
        "  driver: desc[0] at 0x1000: INDIRECT without the feature; it says addr 0x8000, len 0x10, "
        "next 0x0, flags 0x4 INDIRECT (virtio 1.3 2.7.5.3.1)",
    ]


def test_a_queue_that_is_not_set_up(capsys, tmp_path):
    saved = Saved()
    saved.manifest["queues"][0]["size"] = 0
    out = said(capsys, saved.write(tmp_path)).out.splitlines()
    assert out[-2:] == ["  the driver has not set it up", "  no rule is broken"]


def test_a_source_is_printed_where_there_is_one(capsys, tmp_path):
    saved = Saved()
    saved.manifest["source"] = "by\nhand"
    assert said(capsys, saved.write(tmp_path)).out.startswith("made up: by?hand\n\n")


# -- standard input, and what goes wrong


def test_standard_input_is_the_same():
    command = [sys.executable, "-m", "virtlab.course.cli", "inspect", "ring", "-", "--json"]
    data = Path(file_of("vq_split")).read_bytes()
    done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["name"] == "vq_split"


@pytest.mark.parametrize("data", [b"", b"PK", gzip.compress(b"x", mtime=0), b"PK\5\6" + bytes(18)])
def test_a_file_that_is_none_is_one_line_and_status_2(capsys, tmp_path, data):
    path = tmp_path / "snapshot.npz"
    path.write_bytes(data)
    captured = said(capsys, str(path), status=2)
    assert captured.out == ""
    assert captured.err.startswith(f"virtlab inspect ring: {path}: byte ")
    assert captured.err.count("\n") == 1


def test_a_file_that_is_not_there_is_one_line_and_status_2(capsys, tmp_path):
    path = tmp_path / "none.npz"
    assert said(capsys, str(path), status=2).err.endswith("none.npz: No such file or directory\n")


def test_a_refusal_names_file_and_place(tmp_path):
    saved = Saved()
    saved.manifest["queues"][0]["size"] = -1
    why = refusal(io.BytesIO(saved.data()))
    assert why.endswith("manifest: queues[0].size: it must be a whole number from 0 to 32768")
