"""Snapshots made up for a test: one page, one split queue of eight entries, at 0x1000."""

import io
import json

import numpy as np

from virtlab.course.snapshots import read_snapshot
from virtlab.errors import FileError

QUEUE = {
    "device": "virtio-test",
    "source_id": 0x18,
    "index": 0,
    "layout": "split",
    "size": 8,
    "desc": 0x1000,
    "avail": 0x1080,
    "used": 0x10A0,
    "features": ["VIRTIO_F_VERSION_1"],
    "last_avail_idx": 0,
    "used_idx": 0,
}


class Saved:
    """A snapshot to be changed, and then written: `pages` by address, and the `manifest`."""

    def __init__(self):
        self.pages = {}
        self.zero_pages = []
        self.manifest = {"format": "virtlab-snapshot/1", "name": "made up", "queues": [dict(QUEUE)]}
        self.page(0x1000)

    def page(self, gpa):
        """The bytes of the page at `gpa`, to be written to."""
        return self.pages.setdefault(gpa, bytearray(4096))

    def store(self, gpa, value):
        """A number of eight bytes."""
        self.page(gpa & ~0xFFF)[gpa % 4096 : gpa % 4096 + 8] = value.to_bytes(8, "little")

    def arrays(self):
        return {
            "page_addr": np.array(list(self.pages), "<u8"),
            "pages": np.array([list(page) for page in self.pages.values()], "u1").reshape(-1, 4096),
            "zero_pages": np.array(self.zero_pages, "<u8"),
            "manifest": np.frombuffer(json.dumps(self.manifest).encode(), "u1"),
        }

    def data(self, **other):
        """The file; `other` arrays stand in for its own, or are left out where None."""
        file = io.BytesIO()
        arrays = self.arrays() | other
        np.savez_compressed(
            file, **{name: each for name, each in arrays.items() if each is not None}
        )
        return file.getvalue()

    def write(self, folder):
        """The path of the file, as text."""
        path = folder / "saved.npz"
        path.write_bytes(self.data())
        return str(path)

    def snapshot(self):
        return read_snapshot(io.BytesIO(self.data()), "saved.npz")


def outcome(file):
    """What `FileError` says of a file, in one line; empty if the file is read."""
    try:
        read_snapshot(file, "saved.npz")
    except FileError as error:
        text = str(error)
    else:
        return ""
    assert text.startswith("saved.npz: byte ")
    assert "\n" not in text
    return text


def refusal(file):
    """The same of a file that must be refused."""
    text = outcome(file)
    assert text, "it was not refused"
    return text
