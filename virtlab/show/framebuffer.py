"""What hangs on a display adapter, as a picture: the pixels that the guest stored.

The idea: a frame buffer is a picture already. So this one is no drawing. It is the bytes
themselves, wrapped as a PNG file: three chunks, each with its length and its check sum.

The rule that keeps it simple: `text` says what is seen, colour by colour, with where it is. It is
what a test compares and a screen reader speaks. The bytes of a PNG depend on how well it was
packed, and nobody compares them.

Source: PNG (ISO/IEC 15948), 5.2, 5.3, 11.2; a line's filter type 0, 9.2.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from virtlab.backends.screen import Pixels, Screen
from virtlab.show.raster import Raster

WIDE = 640
"""Pixels across, up to which a small picture is enlarged by a whole number."""

MAX_ZOOM = 16
COLOURS = 6
"""Colours that the text lists."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NO_SIGNAL = "(no signal)"
_DARK: Pixels = np.zeros((200, 320, 3), np.uint8)


def frame_buffer(screen: Screen, zoom: int = 0) -> Raster:
    """What `screen` shows, each pixel `zoom` by `zoom`; 0 chooses what fits."""
    if not 0 <= zoom <= MAX_ZOOM:
        raise ValueError(f"zoom is 0 to {MAX_ZOOM}, not {zoom}")
    pixels, mode = screen.pixels(), screen.mode
    if pixels is None or mode is None:
        return Raster(png(_DARK), NO_SIGNAL)
    times = zoom or max(1, min(MAX_ZOOM, WIDE // mode.width))
    title = f"{mode.width} by {mode.height} pixels of {mode.bits} bits"
    return Raster(
        png(pixels.repeat(times, 0).repeat(times, 1)), "\n".join([title, *colours(pixels)])
    )


def colours(pixels: Pixels) -> list[str]:
    """A line for each of the colours seen most: its share, and the box around all its pixels."""
    words = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, counts = np.unique(words, return_counts=True)
    order = np.lexsort((found, -counts))
    lines = [_colour(words, int(found[n]), int(counts[n])) for n in order[:COLOURS]]
    more = len(found) - len(lines)
    return lines + ([f"and {more} more colour{'s' if more > 1 else ''}"] if more else [])


def _colour(words: np.ndarray[Any, np.dtype[np.uint32]], colour: int, count: int) -> str:
    rows, columns = np.nonzero(words == colour)
    box = f"x {columns.min()} to {columns.max()}, y {rows.min()} to {rows.max()}"
    return f"#{colour:06X}  {100 * count / words.size:5.1f} %  {box}"


def png(pixels: Pixels) -> bytes:
    """`pixels`, (height, width, 3) uint8, as a PNG file of 8 bits a colour."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    data = zlib.compress(lines.tobytes(), 9)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return len(data).to_bytes(4, "big") + kind + data + check.to_bytes(4, "big")
