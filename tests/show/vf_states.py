"""States of the VF lab, for the tests of its map and of its actions."""

from hypothesis import strategies as st

from virtlab.show.vf_state import MOST, PAGES, TOTAL, VfState

OFF = VfState(enabled=False)
states = st.builds(
    VfState,
    st.integers(0, MOST),
    st.booleans(),
    st.sampled_from(PAGES),
    st.booleans(),
    st.booleans(),
    st.integers(1, TOTAL),
)
