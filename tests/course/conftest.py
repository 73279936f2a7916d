"""What several files share: an image, one that is a hole, a socket; a reader's file."""

from __future__ import annotations

import sys
import types

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


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A reader's file that is not there yet, in a folder that is not there yet; in a notebook."""
    path = tmp_path / "reader" / "progress.json"
    monkeypatch.setenv("VIRTLAB_PROGRESS", str(path))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=object))
    return path
