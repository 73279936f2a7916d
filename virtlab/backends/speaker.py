"""A speaker: it keeps the samples that a sound card plays.

The idea: nothing sounds, and nothing waits. Each piece is kept with the virtual time at which it
was played. A test compares it, a lesson draws it, and a notebook plays it as a WAV file.

The rule that keeps it simple: samples are kept as the card sent them. `samples` and `wav` make of
them what the reader needs. What a guest can fill is bounded by `limit`.

Source of the file format: Microsoft, Multimedia Programming Interface 1.0 (1991), "RIFF WAVE".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.wire import u16, u32

MAX_SOUND = 16 << 20
"""Bytes that a speaker keeps; samples that come after them are counted in `dropped`."""

PIECE = 128
"""Bytes that a piece counts for beside its samples, so that small ones are bounded too."""


class Format(NamedTuple):
    """What one moment of sound is: `bits` 8 (unsigned) or 16 (signed), 1 or 2 `channels`."""

    bits: int
    channels: int

    @property
    def width(self) -> int:
        """Bytes of one moment, all channels together."""
        return self.bits // 8 * self.channels

    @property
    def silence(self) -> bytes:
        """One byte of silence: the middle of the range."""
        return b"\x80" if self.bits == 8 else b"\x00"


class Played(NamedTuple):
    """A piece of sound: `data` of `format`, from virtual `time` (ns), at `rate` samples a second.

    `voice` is the converter that it came from.
    """

    time: int
    voice: str
    rate: int
    format: Format
    data: bytes


WAV_HEADER = np.dtype(
    [
        ("riff", "S4"),
        ("length", u32),  # bytes after this field
        ("wave", "S4"),
        ("fmt", "S4"),
        ("fmt_length", u32),
        ("tag", u16),  # 1: PCM
        ("channels", u16),
        ("rate", u32),  # samples a second
        ("byte_rate", u32),
        ("width", u16),  # bytes of one sample of all channels
        ("bits", u16),
        ("data", "S4"),
        ("data_length", u32),
    ]
)
"""What stands before the samples in a WAV file. All numbers are little-endian."""

_WAV_MARKS = (b"RIFF", b"WAVE", b"fmt ", b"data")


class Speaker:
    """What a sound card plays into. `pieces` has what was played, in order."""

    def __init__(self, limit: int = MAX_SOUND) -> None:
        self.limit = limit
        self.pieces: list[Played] = []
        self.dropped = 0
        self._kept = 0

    def play(self, piece: Played) -> None:
        """A card plays a piece."""
        cost = PIECE + len(piece.data)
        if self._kept + cost > self.limit:
            self.dropped += len(piece.data)
            return
        self._kept += cost
        self.pieces.append(piece)

    def clear(self) -> None:
        """Forget everything."""
        self.pieces.clear()
        self.dropped = self._kept = 0

    def voices(self) -> list[str]:
        """The converters that have played, in the order of their first piece."""
        return list(dict.fromkeys(piece.voice for piece in self.pieces))

    def samples(self, voice: str = "") -> npt.NDArray[np.int16]:
        """What `voice` played, (samples, channels) int16, with no gaps. 8 bits become 16.

        Without a name, the only voice there is. `ValueError` if there are more, if it has not
        played, or if it played in more than one format or rate.
        """
        _, format, data = self._stream(voice)
        if format.bits == 8:
            wide = (np.frombuffer(data, np.uint8).astype(np.int16) - 128) * 256
        else:
            wide = np.frombuffer(data, "<i2").astype(np.int16)
        return wide.reshape(-1, format.channels)

    def wav(self, voice: str = "") -> bytes:
        """The same as a WAV file, for `IPython.display.Audio(data=...)`."""
        rate, format, data = self._stream(voice)
        header = np.zeros(1, WAV_HEADER)
        header["riff"], header["wave"], header["fmt"], header["data"] = _WAV_MARKS
        header["length"] = WAV_HEADER.itemsize - 8 + len(data)
        header["fmt_length"], header["tag"] = 16, 1
        header["channels"], header["bits"] = format.channels, format.bits
        header["rate"], header["byte_rate"] = rate, rate * format.width
        header["width"], header["data_length"] = format.width, len(data)
        return header.tobytes() + data

    def _stream(self, voice: str) -> tuple[int, Format, bytes]:
        """Rate, format and all the bytes of one voice, whole samples only."""
        known = self.voices()
        name = voice or (known[0] if len(known) == 1 else "")
        if name not in known:
            raise ValueError(f"{voice or 'no one voice'!r}: these have played: {known}")
        pieces = [piece for piece in self.pieces if piece.voice == name]
        if len({(piece.rate, piece.format) for piece in pieces}) > 1:
            raise ValueError(f"{name} played in more than one format or rate: look at `pieces`")
        data = b"".join(piece.data for piece in pieces)
        return pieces[0].rate, pieces[0].format, data

    def __repr__(self) -> str:
        return f"Speaker({sum(len(piece.data) for piece in self.pieces)} bytes played)"
