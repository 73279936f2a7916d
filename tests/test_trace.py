"""Counters always count; events are kept while somebody looks; recordings are read or refused."""

import gzip

import pytest

from virtlab import trace as trace_module
from virtlab.clock import Clock
from virtlab.errors import FileError
from virtlab.trace import Access, Trace, load_accesses


def test_counting_is_always_on_and_keeping_is_not():
    trace = Trace()
    trace.emit("in")
    trace.emit("in")
    assert trace.counts["in"] == 2
    assert not trace.events


def test_recording_gives_exactly_the_events_inside():
    clock = Clock()
    trace = Trace(clock)
    trace.on = True
    trace.emit("before")
    clock.advance(7)
    with trace.recording() as events:
        trace.emit("in", "uart", "port", 0x3F8, 1, 0x41, "a note")
    trace.emit("after")
    (event,) = events
    assert event.time == 7
    assert str(event) == "in  port 0x3f8/1  0x41  uart  a note"
    assert trace.on
    trace.clear()
    assert not trace.counts
    assert not trace.events


def test_a_trace_forgets_the_oldest_and_counts_what_it_forgot():
    trace = Trace(limit=3)
    trace.on = True
    for kind in "abcde":
        trace.emit(kind)
    assert [event.kind for event in trace.events] == ["c", "d", "e"]
    assert trace.dropped == 2
    assert trace.counts.total() == 5


GOOD = b"3\tr\tport92\t0x92\t1\t0x100\n\n4\tw\tserial\t0x3f8\t1\t0x41\r\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_recording_is_read_plain_or_packed(tmp_path, pack):
    path = tmp_path / "trace"
    path.write_bytes(pack(GOOD))
    read, write = load_accesses(path)
    assert read == Access(3, False, "port92", 0x92, 1, 0x00)  # the value is masked to its size
    assert write == Access(4, True, "serial", 0x3F8, 1, 0x41)
    assert str(read) == "in 0x92/1 -> 0x0"
    assert str(write) == "out 0x3f8/1 <- 0x41"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"3\tr\tport92\t0x92\t1", "6 fields"),
        (b"3\tx\tport92\t0x92\t1\t0x0", "r or w"),
        (b"3\tr\tport92\t0x92\t3\t0x0", "1, 2, 4 or 8"),
        (b"3\tr\tport92\tport\t1\t0x0", "invalid literal"),
        (b"3\tr\tport92\t-1\t1\t0x0", "not negative"),
        (b"\xff\tr\tport92\t0x92\t1\t0x0", "ascii"),
    ],
)
def test_a_bad_line_is_named_with_its_byte(tmp_path, line, why):
    path = tmp_path / "bad.tsv"
    path.write_bytes(b"3\tr\tport92\t0x92\t1\t0x0\n" + line + b"\n")
    with pytest.raises(FileError, match=why) as caught:
        load_accesses(path)
    assert (caught.value.line, caught.value.byte) == (2, 22)
    assert str(caught.value).startswith(f"{path}: line 2, byte 22: ")


def test_a_cut_gzip_file_is_refused(tmp_path):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(GOOD)[:-6])
    with pytest.raises(FileError, match="not a whole gzip file"):
        load_accesses(path)


def test_a_gzip_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trace_module, "MAX_TRACE_BYTES", 1000)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"\n" * 5000))
    with pytest.raises(FileError, match="longer than 1000 bytes"):
        load_accesses(path)
