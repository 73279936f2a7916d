"""What tests of grading share: a gradebook, two sides of a mirror, and kinds of sandbox."""

import shutil

import pytest

from tests.course.grading.sandboxed import KINDS
from tests.course.grading.side import Side
from tests.needs import require
from virtlab.course.grading import sandbox


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A gradebook of three students; it is not changed by any test."""
    from tests.course.grading import gradebooks  # imports nbgrader, which takes seconds

    return gradebooks.write(tmp_path_factory.mktemp("gradebook") / "gradebook.db")


@pytest.fixture
def book(written, tmp_path):
    """A copy of it."""
    return shutil.copy(written, tmp_path / "gradebook.db")


@pytest.fixture
def judge():
    """The judge's side of a mirror."""
    return Side(2)


@pytest.fixture
def child():
    """The child's."""
    return Side(1)


@pytest.fixture(params=KINDS)
def kind(request):
    """Each kind of sandbox that this machine has."""
    if request.param == "bubblewrap":
        require("sandbox")
    return request.param


@pytest.fixture
def anew():
    """Nothing has been tried yet, nor will it have been for those who come after."""
    sandbox.by_plain.cache_clear()
    yield
    sandbox.by_plain.cache_clear()
