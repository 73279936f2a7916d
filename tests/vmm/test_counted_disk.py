"""A disk whose moves are counted is a disk, and counts."""

from virtlab.backends import SECTOR, Disk
from virtlab.guest.kernel import BYTES_COPIED
from virtlab.trace import Trace
from virtlab.vmm.counted_disk import CountedDisk


def test_it_is_the_disk_and_each_move_is_a_copy():
    disk, trace = Disk(8 * SECTOR), Trace()
    counted = CountedDisk(disk, trace)
    with trace.recording() as events:
        counted.write(2, b"x" * 2 * SECTOR)
        assert counted.read(3, 1) == b"x" * SECTOR
        counted.flush()
    assert disk.read(2, 2) == b"x" * 2 * SECTOR
    assert (counted.sectors, counted.read_only) == (8, False)
    assert [(event.kind, event.who, event.size, event.note) for event in events] == [
        ("copy", "disk", 2 * SECTOR, "takes 1024 bytes"),
        ("copy", "disk", SECTOR, "gives 512 bytes"),
    ]
    assert trace.counts[BYTES_COPIED] == 3 * SECTOR


def test_it_can_be_read_only_and_flushes_the_disk_below(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(SECTOR))
    with Disk.open(path) as disk:
        counted = CountedDisk(disk, Trace())
        counted.write(0, b"y" * SECTOR)
        counted.flush()
        assert path.read_bytes() == b"y" * SECTOR
    with Disk.open(path, read_only=True) as disk:
        assert CountedDisk(disk, Trace()).read_only
