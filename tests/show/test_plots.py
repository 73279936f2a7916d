"""A plot says in words what it shows; what was measured here is not compared."""

import base64

import matplotlib as mpl
import pytest

mpl.use("agg")

from matplotlib import pyplot

from virtlab import show


@pytest.fixture
def figure():
    """A line that rises."""
    made, axes = pyplot.subplots(figsize=(2, 1))
    axes.plot([1, 2], [1, 2])
    yield made
    pyplot.close(made)


def test_a_plot_is_a_png_with_an_alternative(figure):
    data, metadata = show.plot(figure, "The line rises.")._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG\r\n")
    assert metadata == {"image/png": {"alt": "The line rises."}}


def test_what_is_compared_does_not_have_what_was_measured(figure):
    made = show.plot(figure, "The line rises.", "Here by 1 to 2.")
    data, metadata = made._repr_mimebundle_()
    assert data["text/plain"] == repr(made) == "The line rises."
    assert metadata["image/png"]["alt"] == "The line rises. Here by 1 to 2."


def test_the_figure_is_closed_so_that_it_is_shown_once(figure):
    show.plot(figure, "The line rises.")
    assert not pyplot.fignum_exists(figure.number)


def test_a_plot_without_words_is_refused(figure):
    with pytest.raises(ValueError, match="a plot needs words"):
        show.plot(figure, " ")
