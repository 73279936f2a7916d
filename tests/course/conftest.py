"""What the tests of ``virtlab serve`` share: an image, one that is a hole, and a socket."""

from __future__ import annotations

import pytest

from tests.course.serve_command import IMAGE, thin_image


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(IMAGE)
    return path


@pytest.fixture
def thin(tmp_path):
    return thin_image(tmp_path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "disk.sock"
