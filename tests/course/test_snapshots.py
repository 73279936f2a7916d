"""Snapshots: what they hold, and files that are none, or mean harm."""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.course.saved import QUEUE, Saved, outcome, refusal
from virtlab.course import snapshot_file
from virtlab.course.saved_iommu import GSTS, RTADDR, SavedIommu
from virtlab.course.snapshots import feature_bit, load_snapshot, read_snapshot
from virtlab.errors import DmaFault
from virtlab.virtio.features import Feature

DATA = Path(__file__).parent.parent / "data" / "virtio"


def refused(data):
    return refusal(io.BytesIO(data))


# -- memory


def test_pages_are_where_they_were_and_neighbours_are_one_piece():
    saved = Saved()
    saved.page(0x5000)[:] = b"\x55" * 4096
    saved.page(0x2000)[0] = 0x22
    saved.zero_pages = [0x6000]
    memory = saved.snapshot().memory
    assert memory.read(0x1FFF, 2).hex() == "0022"
    assert memory.read(0x5FFF, 2).hex() == "5500"
    assert [(region.start, region.size) for region in memory.regions] == [
        (0x1000, 0x2000),
        (0x5000, 0x2000),
    ]


@pytest.mark.parametrize(
    ("gpa", "length", "page"),
    [(0x0, 1, 0x0), (0x1FFF, 2, 0x2000), (0x3123, 1, 0x3000), (0x1000, 0x5000, 0x2000)],
)
def test_a_page_that_was_not_saved_is_named(gpa, length, page):
    with pytest.raises(DmaFault, match=f"page {page:#x} is not in the snapshot: {length} bytes"):
        Saved().snapshot().memory.read(gpa, length)


def test_the_memory_is_a_copy_that_may_be_written():
    memory = Saved().snapshot().memory
    memory.write(0x1FF0, b"1234")
    assert bytes(memory.view(0x1FF0, 4)) == b"1234"


def test_a_snapshot_has_a_page():
    saved = Saved()
    saved.pages.clear()
    assert refused(saved.data()).endswith("saved.npz: byte 0: no page in it")


# -- queues


def test_a_queue_is_what_the_manifest_says():
    queue = load_snapshot(DATA / "vq_packed.npz").queues[5]
    assert queue[:5] == ("virtio-blk", 0x100, 0, "packed", 256)
    assert (queue.desc, queue.avail, queue.used) == (0x2BCA000, 0x2B3B000, 0x2B59000)
    assert (queue.last_avail_idx, queue.used_idx) == (8, 2)
    assert queue.bits == {28, 29, 32, 34}


@pytest.mark.parametrize("bit", Feature)
def test_features_of_queue_and_transport_are_known(bit):
    name = bit.name.removeprefix("RING_") if bit in (28, 29) else bit.name
    assert feature_bit(f"VIRTIO_{'RING_' if bit in (28, 29) else ''}F_{name}") == bit


def test_the_old_name_is_known_and_a_device_types_own_are_not():
    assert feature_bit("VIRTIO_F_IOMMU_PLATFORM") == Feature.ACCESS_PLATFORM
    assert feature_bit("VIRTIO_NET_F_MAC") is None
    assert feature_bit("VIRTIO_RING_F_NONSENSE") is None


# -- behind the IOMMU

ROOT, CONTEXTS, TABLES = 0x1000, 0x2000, 0x3000


def translated(kind=0, levels=4, platform=True, on=True, large=False):
    """A snapshot in which source 00:03.0 has iova 0x12345678xxx mapped to 0x9000."""
    saved = Saved()
    saved.manifest["vtd"] = {
        "base": 0xFED90000,
        "registers": {hex(GSTS.offset): int(on) << 31, f"0x{RTADDR.offset:03x}": ROOT},
    }
    if platform:
        saved.manifest["queues"][0]["features"] = ["VIRTIO_F_ACCESS_PLATFORM"]
    saved.store(ROOT, CONTEXTS | 1)
    saved.store(CONTEXTS + 16 * 0x18, TABLES | kind << 2 | 1)
    saved.store(CONTEXTS + 16 * 0x18 + 8, levels - 2)
    for level in range(levels, 0, -1):
        table = TABLES + 0x1000 * (levels - level)
        index = IOVA >> 12 + 9 * (level - 1) & 511
        if large and level == 2:
            saved.store(table + 8 * index, 0x40000000 | 0x83)
            break
        saved.store(table + 8 * index, (table + 0x1000 if level > 1 else 0x9000) | 3)
    saved.page(0x9000)[0x678:0x67C] = b"here"
    return saved


IOVA = 0x1234567678


@pytest.mark.parametrize("levels", [4, 5])
def test_an_iova_goes_through_root_context_and_tables(levels):
    snapshot = translated(levels=levels).snapshot()
    dma = snapshot.dma(snapshot.queues[0])
    assert dma.read(IOVA, 4) == b"here"
    assert bytes(dma.view(IOVA, 4)) == b"here"
    assert dma.translate(IOVA) == 0x9678


def test_three_levels_have_39_bits():
    saved = translated(levels=3)
    snapshot = saved.snapshot()
    dma = snapshot.dma(snapshot.queues[0])
    assert dma.translate(IOVA) == 0x9678
    with pytest.raises(DmaFault, match="the address has more bits than the tables"):
        dma.translate(1 << 39)


def test_a_large_page_ends_the_walk():
    snapshot = translated(large=True).snapshot()
    dma = snapshot.dma(snapshot.queues[0])
    assert dma.translate(IOVA) == 0x40000000 | IOVA % (1 << 21)


def test_passing_through_changes_no_address():
    snapshot = translated(kind=2).snapshot()
    assert snapshot.dma(snapshot.queues[0]).read(0x9678, 4) == b"here"


@pytest.mark.parametrize("off", [{"platform": False}, {"on": False}])
def test_a_device_that_is_not_translated_uses_guest_physical_addresses(off):
    snapshot = translated(**off).snapshot()
    assert snapshot.dma(snapshot.queues[0]) is snapshot.memory


def test_what_is_not_mapped_is_a_fault():
    snapshot = translated().snapshot()
    dma = snapshot.dma(snapshot.queues[0])
    with pytest.raises(DmaFault, match="a read, and no permission to read"):
        dma.read(IOVA + 0x1000, 1)
    with pytest.raises(DmaFault, match="a read, and no permission to read"):
        dma.read(IOVA | 0xFFF, 2)
    with pytest.raises(DmaFault, match="the context entry is not present"):
        SavedIommu(snapshot.memory, ROOT, 0x19).read(IOVA, 1)
    with pytest.raises(DmaFault, match="the root entry is not present"):
        SavedIommu(snapshot.memory, ROOT, 0x118).read(IOVA, 1)
    with pytest.raises(DmaFault, match="scalable mode"):
        SavedIommu(snapshot.memory, ROOT | 1 << 10, 0x18).read(IOVA, 1)
    with pytest.raises(DmaFault, match="for reading only"):
        dma.write(IOVA, b"x")


@pytest.mark.parametrize("rights", [0, 1, 2, 3])
def test_a_view_needs_its_right_and_an_inspector_any(rights):
    saved = translated()
    leaf = TABLES + 0x3000 + 8 * (IOVA >> 12 & 511)
    saved.store(leaf, 0x9000 | rights)
    snapshot = saved.snapshot()
    dma = snapshot.dma(snapshot.queues[0])
    for asked, right in ((lambda: dma.view(IOVA, 4), 1), (lambda: dma.view(IOVA, 4, True), 2)):
        if rights & right:
            assert bytes(asked()) == b"here"
            assert not asked().flags.writeable
            continue
        with pytest.raises(DmaFault, match="no permission"):
            asked()
    if rights:
        assert dma.read(IOVA, 4) == b"here"


# -- manifests that are wrong


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("format", "virtlab-snapshot/2", "manifest: format: it must be 'virtlab-snapshot/1'"),
        ("name", 7, "manifest: name: it must be text"),
        ("source", ["x"], "manifest: source: it must be text"),
        ("queues", {}, "manifest: queues: it must be a list of at most 4096"),
        ("queues", [dict(QUEUE)] * 4097, "manifest: queues: it must be a list of at most 4096"),
        ("queues", [1], "manifest: queues[0]: it must be an object"),
        ("vtd", [], "manifest: vtd: it must be an object"),
        ("vtd", {}, "manifest: vtd.registers: it must be an object"),
        ("vtd", {"registers": {"x": 1}}, "manifest: vtd.registers: no offset: 'x'"),
        ("vtd", {"registers": {"0x20": -1}}, "manifest: vtd.registers.0x20: it must be a whole"),
    ],
)
def test_a_value_of_the_manifest_is_checked(path, value, why):
    saved = Saved()
    saved.manifest[path] = value
    assert why in refused(saved.data())


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("device", None, "it must be text"),
        ("source_id", 0x10000, "it must be a whole number from 0 to 65535"),
        ("index", True, "it must be a whole number from 0 to 65535"),
        ("layout", "braided", "it must be 'split' or 'packed'"),
        ("size", 32769, "it must be a whole number from 0 to 32768"),
        ("size", 8.0, "it must be a whole number from 0 to 32768"),
        ("desc", 1 << 64, "it must be a whole number from 0 to 18446744073709551615"),
        ("avail", -1, "it must be a whole number from 0 to 18446744073709551615"),
        ("used", "0x1000", "it must be a whole number from 0 to 18446744073709551615"),
        ("features", "VIRTIO_F_VERSION_1", "it must be a list of at most 128"),
        ("features", ["x"] * 129, "it must be a list of at most 128"),
        ("features", [1], "it must be text"),
        ("last_avail_idx", 65536, "it must be a whole number from 0 to 65535"),
        ("used_idx", -1, "it must be a whole number from 0 to 65535"),
    ],
)
def test_a_value_of_a_queue_is_checked(key, value, why):
    saved = Saved()
    saved.manifest["queues"].append(QUEUE | {key: value})
    assert refused(saved.data()).endswith(f"manifest: queues[1].{key}: {why}")


@pytest.mark.parametrize("key", QUEUE)
def test_a_queue_needs_every_value(key):
    saved = Saved()
    del saved.manifest["queues"][0][key]
    assert f"manifest: queues[0]: it has no {key!r}" in refused(saved.data())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "manifest: not JSON: Expecting value"),
        (b"{", "manifest: not JSON: Expecting property name"),
        (b"\xff\xff", "manifest: not JSON: 'utf-"),
        (b"[1]", "manifest: all of it: it must be an object"),
        (b"[" * 100_000, "manifest: not JSON: "),
        (b'{"format": ' + b"9" * 5000 + b"}", "manifest: not JSON: Exceeds the limit"),
    ],
)
def test_a_manifest_that_is_no_json_object(text, why):
    assert why in refused(Saved().data(manifest=np.frombuffer(text, "u1")))


# -- arrays that are wrong


@pytest.mark.parametrize(
    ("pages", "zero", "why"),
    [
        ([0x1001], [], "page 0x1001 does not begin at a multiple of 4096"),
        ([0x1000, 0x1000], [], "page 0x1000 is there twice"),
        ([0x1000], [0x1000], "page 0x1000 is there twice"),
        ([0x1000, 0x2000, 0x3000], [], "3 page addresses for 2 pages"),
    ],
)
def test_pages_that_cannot_be(pages, zero, why):
    data = Saved().data(
        page_addr=np.array(pages, "<u8"),
        pages=np.zeros((min(len(pages), 2), 4096), "u1"),
        zero_pages=np.array(zero, "<u8"),
    )
    assert refused(data).endswith(why)


@pytest.mark.parametrize(
    ("name", "array", "why"),
    [
        ("page_addr", None, "no array 'page_addr'"),
        ("page_addr", np.zeros(1, "<i8"), "'<i8' of shape (1,); it must be '<u8' of shape (n)"),
        ("page_addr", np.zeros((1, 1), "<u8"), "'<u8' of shape (1, 1); it must be '<u8'"),
        ("page_addr", np.array(5, "<u8"), "'<u8' of shape (); it must be"),
        ("pages", np.zeros((1, 4095), "u1"), "(1, 4095); it must be '|u1' of shape (n, 4096)"),
        ("pages", np.zeros((2, 4096), "u1", order="F"), "columns first; it must be rows first"),
        ("manifest", np.zeros(1, "u1,u1"), "it must be '|u1' of shape (n)"),
        ("manifest", np.array([{}]), "it must be '|u1' of shape (n)"),
        ("zero_pages", np.zeros(66_000, "<u8"), "zero_pages: shape (66000,), and 528000 bytes"),
        ("zero_pages", np.zeros(66_100, "<u8"), "528928 bytes unpacked; it may have"),
    ],
)
def test_an_array_of_another_kind_is_refused(name, array, why):
    assert why in refused(Saved().data(**{name: array}))


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle ran')",)


def test_a_pickle_is_never_run():
    data = Saved().data(manifest=np.array([Bomb()], dtype=object))
    assert "manifest: '|O' of shape (1,)" in refused(data)


def with_member(name, raw):
    """A snapshot in which one member has other bytes."""
    source, file = io.BytesIO(Saved().data()), io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, raw if info.filename == f"{name}.npy" else old.read(info))
    return file.getvalue()


def npy(header, data=b"", version=b"\1\0"):
    size = "<H" if version[0] == 1 else "<I"
    return b"\x93NUMPY" + version + struct.pack(size, len(header)) + header + data


def header(shape, dtype="|u1", order=False):
    return f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no .npy file of version 1.0 or 2.0"),
        (b"\x93NUMPY\1", "no .npy file of version 1.0 or 2.0"),
        (b"\x93NUMPY\1\0\x10", "an .npy header of 8208 bytes"),
        (npy(b"{'descr': "), "a damaged .npy header"),
        (npy(b"__import__('os').getpid()"), "a damaged .npy header"),
        (npy(b"(" * 3000), "a damaged .npy header"),
        (npy(b"[1]"), "a damaged .npy header"),
        (npy(b"{'descr': '|u1'}"), "an .npy header without a shape"),
        (npy(header("(True,)"), b"{"), "an .npy header without a shape"),
        (npy(header("(2,)") + b" " * 5000), "an .npy header of 50"),
        (npy(header("(2,)"), b"{}", b"\3\0"), "no .npy file of version 1.0 or 2.0"),
        (npy(header("(3,)"), b"{}"), "shape (3,), and 2 bytes"),
        (npy(header("(1,)"), b"{}"), "shape (1,), and 2 bytes"),
        (npy(header(f"({1 << 60},)"), b"{}"), "and 2 bytes"),
        (npy(header("(-2,)"), b"{}"), "shape (-2,), and 2 bytes"),
    ],
)
def test_a_header_that_lies_is_refused(raw, why):
    assert why in refused(with_member("manifest", raw))


def test_version_2_of_the_header_is_read():
    text = json.dumps(Saved().manifest).encode()
    raw = npy(header(f"({len(text)},)"), text, b"\2\0")
    snapshot = read_snapshot(io.BytesIO(with_member("manifest", raw)), "saved.npz")
    assert snapshot.name == "made up"


def test_rows_that_could_be_counted_down_are_refused():
    raw = npy(header("(-1, 4096)"), b"")
    assert "shape (-1, 4096)" in refused(with_member("pages", raw))


# -- archives that are wrong


def test_a_bomb_is_refused_before_it_is_unpacked():
    """A member of 40 MiB of zeros packs to 40 KB."""
    packed = with_member("zero_pages", bytes(40 << 20))
    assert len(packed) < 1 << 17
    assert "zero_pages: 41943040 bytes unpacked; it may have 528384" in refused(packed)


def test_a_member_that_is_larger_than_it_says_is_damaged():
    data = bytearray(with_member("zero_pages", npy(header("(0,)", "<u8")) + bytes(1 << 20)))
    for signature, at in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        place = data.find(signature)
        while data[place + (46 if at == 24 else 30) :][:14] != b"zero_pages.npy":
            place = data.find(signature, place + 1)
        data[place + at : place + at + 4] = struct.pack("<I", 200)
    assert "the archive is damaged" in refused(bytes(data))


def test_a_long_list_of_members_is_refused_before_it_is_read():
    file = io.BytesIO(Saved().data())
    with zipfile.ZipFile(file, "a") as archive:
        for number in range(200):
            archive.writestr(f"{number}.npy", b"")
    assert refused(file.getvalue()).endswith("a snapshot's archive lists 4 arrays, no more")


def test_the_long_form_of_an_archive_is_refused():
    data = Saved().data()
    at = data.rfind(b"PK\5\6")
    assert "lists 4 arrays" in refused(data[:at] + b"PK\6\7" + bytes(16) + data[at:])


def test_a_file_that_is_too_large_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(snapshot_file, "MAX_FILE", 1 << 20)
    assert refused(bytes((1 << 20) + 1)).endswith("a snapshot has at most 1 MiB")


def test_damaged_data_is_found_by_its_checksum():
    data = bytearray(Saved().data())
    place = data.find(b"page_addr.npy") + len(b"page_addr.npy") + 40
    data[place] ^= 0xFF
    assert "the archive is damaged" in refused(bytes(data))


@pytest.mark.parametrize("packing", [99, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_that_np_savez_does_not_use_is_refused(packing):
    """What it would ask for of memory is the file's own choice."""
    data = bytearray(Saved().data())
    data[data.find(b"PK\1\2") + 10] = packing
    assert f"packed in way {packing}" in refused(bytes(data))


def test_a_password_is_refused():
    data = bytearray(Saved().data())
    data[data.find(b"PK\1\2") + 8] = 1
    assert "the archive is damaged" in refused(bytes(data))


def test_a_name_that_is_no_text_is_refused():
    """Flag 11 says that a name is UTF-8."""
    data = bytearray(Saved().data())
    at = data.find(b"PK\1\2")
    data[at + 9], data[at + 46] = 8, 0x82
    assert "the archive is damaged" in refused(bytes(data))


@settings(max_examples=300, deadline=None)
@given(
    at=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.one_of(st.none(), st.integers(0, 3000)),
)
def test_whatever_is_changed_the_file_is_read_or_refused(at, cut):
    data = bytearray(FILE)
    for place, value in at:
        data[place % len(data)] = value
    outcome(io.BytesIO(bytes(data[:cut])))


FILE = Saved().data()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_a_manifest_says_it_is_read_or_refused(data):
    saved = Saved()
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=4,
    )
    place = data.draw(st.sampled_from([saved.manifest, saved.manifest["queues"][0]]))
    key = data.draw(st.sampled_from([*place, "vtd", "source"]))
    place[key] = data.draw(anything)
    outcome(io.BytesIO(saved.data()))


def test_zlib_and_zip_are_what_np_savez_uses():
    """If NumPy changed its packing, the tests above would test something else."""
    with zipfile.ZipFile(io.BytesIO(FILE)) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}
    assert zlib.crc32(b"") == 0
