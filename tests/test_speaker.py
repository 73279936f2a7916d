"""The speaker keeps what was played, up to a limit, and gives it as samples and as a WAV file."""

import io
import wave

import numpy as np
import pytest

from virtlab.backends.speaker import PIECE, Format, Played, Speaker

MONO8, STEREO16 = Format(8, 1), Format(16, 2)


def played(data, format=STEREO16, voice="DAC1", rate=44100, time=0):
    return Played(time, voice, rate, format, data)


@pytest.mark.parametrize(
    ("format", "width", "silence"),
    [
        (Format(8, 1), 1, b"\x80"),
        (Format(8, 2), 2, b"\x80"),
        (Format(16, 1), 2, b"\x00"),
        (Format(16, 2), 4, b"\x00"),
    ],
)
def test_a_format_says_its_width_and_its_silence(format, width, silence):
    assert (format.width, format.silence) == (width, silence)


def test_16_bits_are_signed_and_interleaved():
    speaker = Speaker()
    speaker.play(played(b"\x01\x00\xff\xff"))
    speaker.play(played(b"\x00\x80\xff\x7f"))
    assert speaker.samples().tolist() == [[1, -1], [-32768, 32767]]
    assert speaker.samples().dtype == np.int16


def test_8_bits_are_unsigned_and_become_16():
    speaker = Speaker()
    speaker.play(played(b"\x00\x80\xff", MONO8))
    assert speaker.samples().tolist() == [[-32768], [0], [32512]]


@pytest.mark.parametrize("format", [MONO8, STEREO16, Format(16, 1)])
def test_another_program_reads_the_wav(format):
    speaker, data = Speaker(), bytes(range(200))
    speaker.play(played(data, format, rate=22050))
    with wave.open(io.BytesIO(speaker.wav())) as file:
        assert file.getframerate() == 22050
        assert (file.getnchannels(), file.getsampwidth()) == (format.channels, format.bits // 8)
        assert file.readframes(1000) == data


def test_the_wav_says_how_many_bytes_a_second_has():
    """Bytes 28 to 31 are the rate in bytes, 4 to 7 the bytes that follow (RIFF WAVE)."""
    speaker = Speaker()
    speaker.play(played(bytes(40), STEREO16, rate=8000))
    file = speaker.wav()
    assert int.from_bytes(file[28:32], "little") == 32000
    assert int.from_bytes(file[4:8], "little") == len(file) - 8 == 36 + 40


def test_two_voices_are_told_apart_by_name():
    speaker = Speaker()
    speaker.play(played(b"\x01\x00\x01\x00", voice="DAC2"))
    speaker.play(played(b"\x02\x00\x02\x00", voice="DAC1"))
    assert speaker.voices() == ["DAC2", "DAC1"]
    assert speaker.samples("DAC1").tolist() == [[2, 2]]
    assert speaker.wav("DAC2").endswith(b"\x01\x00\x01\x00")
    with pytest.raises(ValueError, match=r"these have played: .'DAC2', 'DAC1'"):
        speaker.samples()
    with pytest.raises(ValueError, match="'ADC': these have played"):
        speaker.wav("ADC")


def test_nothing_played_is_an_error_that_says_so():
    with pytest.raises(ValueError, match=r"these have played: \[\]"):
        Speaker().samples()


@pytest.mark.parametrize(
    "other", [played(b"\0" * 4, rate=22050), played(b"\0" * 4, format=Format(16, 1))]
)
def test_one_array_has_one_rate_and_one_format(other):
    speaker = Speaker()
    speaker.play(played(b"\0" * 4))
    speaker.play(other)
    with pytest.raises(ValueError, match="more than one format or rate"):
        speaker.samples()


def test_a_guest_that_never_stops_playing_does_not_fill_the_host():
    speaker = Speaker(limit=3 * (PIECE + 100))
    for _ in range(5):
        speaker.play(played(bytes(100)))
    assert (len(speaker.pieces), speaker.dropped) == (3, 200)
    speaker.clear()
    assert (speaker.pieces, speaker.dropped) == ([], 0)
    speaker.play(played(bytes(100)))
    assert repr(speaker) == "Speaker(100 bytes played)"


def test_many_small_pieces_are_bounded_too():
    speaker = Speaker(limit=10 * PIECE)
    for _ in range(1000):
        speaker.play(played(b"", MONO8))
    assert len(speaker.pieces) == 10
