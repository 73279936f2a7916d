"""The player's state: it never leaves the sequence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.show.frames import ACTIONS, PlayerState, back, first, jump, last, step


@given(st.integers(1, 50), st.lists(st.sampled_from(sorted(ACTIONS)), max_size=200))
def test_no_sequence_of_presses_leaves_the_frames(length, presses):
    state = PlayerState(0, length)
    for words in presses:
        state = ACTIONS[words](state)
        assert 0 <= state.index < length


def test_each_action():
    state = PlayerState(2, 5)
    moved = [do(state).index for do in (step, back, first, last)]
    assert moved == [3, 1, 0, 4]
    assert [jump(state, index).index for index in (-9, 3, 99)] == [0, 3, 4]
    assert last(state).at_end
    assert not state.at_end


@pytest.mark.parametrize(("index", "length"), [(0, 0), (5, 5), (-1, 5)])
def test_there_is_no_frame_outside(index, length):
    with pytest.raises(ValueError, match=f"no frame {index} among {length}"):
        PlayerState(index, length)
