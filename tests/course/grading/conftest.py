"""What the tests of nbgrader's gradebook share."""

import shutil

import pytest


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A gradebook of three students; it is not changed by any test."""
    from tests.course.grading import gradebooks  # imports nbgrader, which takes seconds

    return gradebooks.write(tmp_path_factory.mktemp("gradebook") / "gradebook.db")


@pytest.fixture
def book(written, tmp_path):
    """A copy of it."""
    return shutil.copy(written, tmp_path / "gradebook.db")
