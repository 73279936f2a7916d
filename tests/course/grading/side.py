"""One side of a mirror: a book, and the frames that it writes and reads, as data."""

import json

from virtlab.course.grading.mirror import Book
from virtlab.course.grading.values import Codec


class Side:
    """One side: a book, and the frames it writes, as data."""

    def __init__(self, first):
        self.book = Book(first)
        self.codec = Codec(self.book)

    def say(self, *values):
        """A frame: what changed, and these values."""
        self.codec.blobs = []
        updates, dropped = self.book.changes()
        body = self.codec.encode_all(values)
        return json.dumps([updates, dropped, body]), b"".join(self.codec.blobs)

    def hear(self, frame):
        """The values of a frame of the other side."""
        text, raw = frame
        updates, dropped, body = json.loads(text)
        self.codec.raw, self.codec.at = memoryview(raw), 0
        self.book.apply(updates, dropped)
        return self.codec.decode_all(body)
