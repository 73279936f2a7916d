"""The player: buttons, jumps, playing, and the recorded boot."""

import time
from statistics import median

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.devices.uart import REGISTERS
from virtlab.show import Player, TracePlayer, bars
from virtlab.show.console import console_picture
from virtlab.trace import Access

BOOT = [
    Access(0, True, "serial", 0x3FB, 1, 0x83),
    Access(1, True, "serial", 0x3F8, 1, 0x41),
    Access(2, True, "serial", 0x3FB, 1, 0x03),
    *(Access(3 + i, True, "serial", 0x3F8, 1, byte) for i, byte in enumerate(b"one\r\n\ntwo")),
]


@pytest.fixture
def player():
    return Player(
        5,
        lambda index: bars(f"frame {index}", {"index": index}),
        lambda index: f"at {index}",
        chapters={"middle": 2},
        start=1,
    )


def press(player, words):
    next(each for each in player.controls if each.description == words).click()


def test_buttons_move_and_stop_at_the_ends(player):
    seen = []
    for words in ("Step", "Step", "Last", "Step", "Back", "First", "Back", "Reset"):
        press(player, words)
        seen.append(player.state.index)
    assert seen == [2, 3, 4, 4, 3, 0, 0, 1]


def test_picture_words_and_number_follow(player):
    player.go(3)
    assert "frame 3" in player._picture.value
    assert "at 3" in player._says.value
    assert (player._go.value, player._play.value) == (4, 3)


def test_jumping_by_number_and_by_chapter(player):
    player._go.value = 5
    assert player.state.index == 4
    player._chapters.value = 2
    assert player.state.index == 2
    player._chapters.value = -1
    assert player.state.index == 2


def test_playing_is_a_tick_of_the_browser(player):
    player._toggle.value = True
    assert player._play.playing
    assert player._toggle.description == "Pause"
    player._play.value = 2  # the browser ticks
    assert player.state.index == 2
    player._play.playing = False  # the browser came to the end
    assert player._toggle.description == "Play"


def test_playing_from_the_end_begins_again(player):
    player.go(4)
    player._toggle.value = True
    assert player.state.index == 0


def test_a_button_pauses(player):
    player._toggle.value = True
    press(player, "Step")
    assert not player._play.playing


def test_speed_sets_the_interval_and_reset_puts_it_back(player):
    player._speed.value = 100
    assert player._play.interval == 100
    player.reset()
    assert player._play.interval == 400


def test_a_player_without_words_counts(player):
    plain = Player(2, lambda index: bars("x", {"x": index}))
    assert "Frame 1 of 2." in plain._says.value
    assert "Jump to" not in [each.description for each in plain.controls]


def test_no_frames_is_refused():
    with pytest.raises(ValueError, match="no frame 0 among 0"):
        Player(0, lambda index: bars("x", {"x": index}))


def test_the_chapters_of_a_boot_are_the_lines_of_its_console():
    player = TracePlayer(BOOT, {0x3F8: REGISTERS})
    options = dict(player._chapters.options)
    assert list(options.values()) == [-1, 3, 9]
    assert list(options)[1:] == ["line 1: one", "line 2: two"]
    assert repr(player) == "A recorded boot: 12 frames"


def test_a_long_boot_has_few_chapters_and_own_ones_are_kept():
    text = b"".join(b"line %d\n" % i for i in range(100))
    boot = [Access(i, True, "serial", 0x3F8, 1, byte) for i, byte in enumerate(text)]
    assert len(TracePlayer(boot, {0x3F8: REGISTERS})._chapters.options) == 13
    own = TracePlayer(BOOT, {0x3F8: REGISTERS}, chapters={"first": 0})
    assert len(own._chapters.options) == 2


def test_a_step_takes_little_kernel_time_also_late_in_a_long_boot():
    text = (b"a line of the boot's console\r\n" * 200)[:4891]
    boot = [Access(i, True, "serial", 0x3F8, 1, byte) for i, byte in enumerate(text)]
    player = TracePlayer(boot, {0x3F8: REGISTERS})
    spent, sizes = [], []
    for index in (*range(0, 4891, 250), 4890):
        start = time.process_time()
        player.go(index)
        spent.append(time.process_time() - start)
        drawn = console_picture(player.recording, index)
        check_picture(drawn)
        sizes.append(len(words_of(drawn)))
    assert max(sizes) < 100, "a frame draws what is around it, not the whole boot"
    assert median(spent) < 0.05, f"a step took {1000 * median(spent):.1f} ms"
