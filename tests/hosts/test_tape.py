"""A recording: what is written is read again; what is no recording is refused, by line and byte."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from virtlab.course.serve_trace import as_object
from virtlab.errors import FileError
from virtlab.hosts.tape import ChainNote, Counts, Event, Moment, RingShot, Said, Tape
from virtlab.hosts.tape_lines import EVENTS
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.packed_layouts import PackedRings


def whole(rings):
    """The pieces that a ring is."""
    return tuple((gpa, bytes(range(100, 100 + length))) for gpa, length in rings.parts)


RINGS = SplitRings(8, 0x1000, 0x1080, 0x10C0), PackedRings(5, 0x1000, 0x1050, 0x1054)
SPLIT = RingShot(
    0,
    RINGS[0],
    frozenset({28, 29, 32}),
    70_000,
    69_999,
    (*whole(RINGS[0]), (0x5000, b"")),
    ((0, 0xA0000), (0x10_0000, 1 << 20)),
)
PACKED = SPLIT._replace(ring=1, rings=RINGS[1], pieces=whole(RINGS[1]))
CHAIN = ChainNote(0, 3, ((16, False), (512, True), (1, True)), b"a head of 16 byt", 513, 0, 1 << 31)
SAID = Said("mkfs", "mke2fs -q /dev/vda", 0, "ä\n", 20, Counts(1, 2, 3, 4, 5, 6))

WHOLE = Tape(
    {"kernel": "6.1.0", "left_out": {"shots": 3}},
    [
        Moment(0, "console", "", b"\x1b[6n \xff\xfe \xc3\xa4\r\n"),
        *(Moment(at, "event", "disk", Event(kind, 0)) for at, kind in enumerate(EVENTS, 1)),
        Moment(20, "event", "disk", Event("pop", 1, (3, 5), (529, 17), "in flight before")),
        Moment(20, "ring", "disk", SPLIT),
        Moment(21, "ring", "disk", PACKED),
        Moment(22, "chain", "disk", CHAIN),
        Moment(30, "said", "", SAID),
        Moment(31, "console", "", b""),
    ],
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "tape.jsonl"


@pytest.mark.parametrize("name", ["tape.jsonl", "tape.jsonl.gz"])
def test_a_tape_is_read_as_it_was_written(tmp_path, name):
    WHOLE.write(tmp_path / name)
    assert Tape.read(tmp_path / name) == WHOLE


def test_the_same_tape_gives_the_same_bytes(tmp_path):
    one, two = tmp_path / "one.jsonl.gz", tmp_path / "two.jsonl.gz"
    WHOLE.write(one)
    Tape.read(one).write(two)
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes()[:2] == b"\x1f\x8b"
    assert one.read_bytes()[4:8] == bytes(4)  # no time of day


def test_a_trace_of_virtlab_serve_is_a_tape_of_events(file):
    events = [Event("kick", 0), Event("pop", 0, [3, 6], [4113, 529]), Event("error", 1, note="no")]
    lines = [as_object(100 * n, "disk.sock", event) for n, event in enumerate(events)]
    file.write_text("\n".join(lines) + "\n\n")
    tape = Tape.read(file)
    assert tape.about == {}
    assert [str(event) for event in tape.events] == [str(event) for event in events]
    assert [(m.ns, m.kind, m.device) for m in tape.moments] == [
        (100 * n, "event", "disk.sock") for n in range(3)
    ]
    # And an event of a tape is written as a line of such a trace.
    tape.write(file)
    assert file.read_text().splitlines()[1:] == lines


def test_moments_are_put_in_the_order_of_their_times(file):
    Tape({}, [Moment(5, "console", "", b"b"), Moment(3, "console", "", b"a")]).write(file)
    tape = Tape.read(file)
    assert tape.console == b"ab"
    assert [moment.ns for moment in tape.moments] == [3, 5]


def test_a_tape_is_asked_by_kind():
    assert [moment.what for moment in WHOLE.of("ring")] == [SPLIT, PACKED]
    assert WHOLE.chains == [CHAIN]
    assert WHOLE.said == [SAID]
    assert [event.kind for event in WHOLE.events] == [*EVENTS, "pop"]
    assert CHAIN.writable == 513
    assert repr(WHOLE) == f"Tape({len(WHOLE.moments)} moments, 1 commands)"


def test_a_part_ends_with_its_command():
    more = Moment(40, "said", "", SAID._replace(name="mount"))
    tape = Tape({}, [*WHOLE.moments, more])
    (first, before), (second, after) = tape.parts()
    assert (first.name, second.name) == ("mkfs", "mount")
    assert before == WHOLE.moments[:-1]
    assert after == [WHOLE.moments[-1], more]


# -- what is no tape

GOOD = '{"ns": 1, "kind": "console", "text": "a"}\n'
EVENT = {"ns": 1, "kind": "pop", "ring": 0, "heads": [1], "lengths": [2], "note": ""}
SHOT = {
    "ns": 1,
    "kind": "ring",
    "ring": 0,
    "layout": "split",
    "size": 8,
    "parts": [0, 128, 256],
    "features": 0,
    "last_avail": 0,
    "used": 0,
    "pieces": [[0, 500 * "AAAA"]],
    "regions": [[0, 4096]],
}
NOTE = {
    "ns": 1,
    "kind": "chain",
    "ring": 0,
    "head": 0,
    "pieces": [[3, 0], [1, 1]],
    "data": "AAAA",
    "written": 1,
    "status": 0,
    "answer": 5,
}
COMMAND = {
    "ns": 1,
    "kind": "said",
    "name": "a",
    "command": "b",
    "status": 0,
    "text": "",
    "began": 0,
    "counts": dict.fromkeys(Counts._fields, 0),
}

WRONG = {
    "heads without lengths": (EVENT | {"lengths": []}, "0 of them, for 1 heads"),
    "an unknown layout": (SHOT | {"layout": "round"}, "no queue is 'round'"),
    "a piece that is no pair": (SHOT | {"pieces": [[1]]}, "pieces: '[1]' is no pair"),
    "a piece that is no base64": (SHOT | {"pieces": [[1, "?"]]}, "pieces: no base64"),
    "an unknown kind": ({"ns": 1, "kind": "sound"}, "no known kind: 'sound'"),
    "a time before the beginning": ({"ns": -1, "kind": "console", "text": ""}, "ns: -1"),
    "no object": ("[1]", "is an object"),
    "no JSON": ("{", "no JSON"),
    "no text": (b"\xff\xff", "no JSON"),
    "no kind": ({"ns": 1}, "kind: 'None'"),
    "no time": ({"kind": "console", "text": ""}, "ns: 'None'"),
    "a device that is a number": ({"ns": 1, "device": 5, **EVENT}, "device: '5'"),
    "a text that is none": ({"ns": 1, "kind": "console", "text": 5}, "text: '5'"),
    "a surrogate of no byte": ('{"ns": 1, "kind": "console", "text": "\\ud800"}', "surrogates"),
    "a head that is true": (EVENT | {"heads": [True]}, "heads: 'True'"),
    "a head that is huge": (EVENT | {"heads": [1 << 64]}, "no number of 64 bits"),
    "a ring of nothing": (SHOT | {"size": 0}, "no queue is 'split', 0"),
    "a ring too large": (SHOT | {"size": 32769}, "no queue is"),
    "a ring of two parts": (SHOT | {"parts": [0, 1]}, "no queue is"),
    "a ring that is not there": (SHOT | {"pieces": [[0, 40 * "AAAA"]]}, "ring is missing"),
    "a region of text": (SHOT | {"regions": [[1, "a"]]}, "regions: 'a'"),
    "a region that is negative": (SHOT | {"regions": [[1, -1]]}, "regions: -1"),
    "data that is no base64": (NOTE | {"data": "a"}, "data: no base64"),
    "data with a letter of no alphabet": (NOTE | {"data": "ää=="}, "data: no base64"),
    "data of another length": (NOTE | {"data": ""}, "pieces: they do not fit 0 bytes"),
    "a request of a terabyte": (NOTE | {"pieces": [[3, 0], [1 << 40, 1]]}, "or are too long"),
    "no counts": (COMMAND | {"counts": []}, "counts: '[]'"),
    "a count too few": (COMMAND | {"counts": {}}, "requests: 'None'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_moment_is_refused_with_its_line_and_byte(file, name):
    line, why = WRONG[name]
    if isinstance(line, dict):
        line = json.dumps(line)
    file.write_bytes(GOOD.encode() + (line if isinstance(line, bytes) else line.encode()))
    with pytest.raises(FileError, match=re.escape(why)) as caught:
        Tape.read(file)
    assert (caught.value.line, caught.value.byte) == (2, len(GOOD))
    assert caught.value.path == str(file)
    assert "\n" not in str(caught.value)


def test_an_object_nested_too_deep_is_refused(file, monkeypatch):
    def too_deep(text):
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr("virtlab.hosts.tape_lines.json.loads", too_deep)
    file.write_text(GOOD)
    with pytest.raises(FileError, match="no JSON: maximum recursion"):
        Tape.read(file)


@pytest.mark.parametrize("field", ["ring", "head", "written", "status", "answer", "data", "pieces"])
def test_a_request_has_every_field(file, field):
    file.write_text(json.dumps({key: NOTE[key] for key in NOTE if key != field}))
    with pytest.raises(FileError, match=f"{field}: 'None'"):
        Tape.read(file)


def test_a_line_without_end_is_not_read_into_memory(file, monkeypatch):
    monkeypatch.setattr("virtlab.hosts.tape.LONGEST", 1000)
    file.write_text(GOOD + json.dumps({"kind": "about", "a": "x" * 1000}))
    with pytest.raises(FileError, match="of 1000 bytes") as caught:
        Tape.read(file)
    assert (caught.value.line, caught.value.byte) == (2, len(GOOD))


def test_lines_without_end_are_not_read_into_memory(file, monkeypatch):
    monkeypatch.setattr("virtlab.hosts.tape.MOST", 3)
    file.write_text(3 * GOOD)
    assert len(Tape.read(file).moments) == 3
    file.write_text(4 * GOOD)
    with pytest.raises(FileError, match="at most 3 lines"):
        Tape.read(file)


def test_a_small_file_may_not_become_a_large_tape(file, monkeypatch):
    monkeypatch.setattr("virtlab.hosts.tape.ALL", 100 * len(GOOD))
    file.write_bytes(gzip.compress(100 * GOOD.encode()))
    assert len(Tape.read(file).moments) == 100
    file.write_bytes(gzip.compress(100 * GOOD.encode() + b" \n"))
    with pytest.raises(FileError, match=f"and {100 * len(GOOD)} bytes") as caught:
        Tape.read(file)
    assert caught.value.line == 101


@pytest.mark.parametrize("name", ["cut", "wrong", "more"])
def test_a_broken_compression_is_an_error_of_the_file(file, name):
    data = gzip.compress(100 * GOOD.encode())
    broken = {"cut": data[:-9], "wrong": data[:12] + b"\xff" * 20 + data[32:], "more": data + b"a"}
    file.write_bytes(broken[name])
    with pytest.raises(FileError, match="the compression is broken"):
        Tape.read(file)


def test_no_such_file(file):
    with pytest.raises(FileNotFoundError):
        Tape.read(file)


def test_an_empty_file_is_an_empty_tape(file):
    file.write_bytes(b"")
    assert Tape.read(file) == Tape()
