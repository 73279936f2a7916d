"""A fresh bench for each test."""

import pytest

from tests.devices.es1370.bench import Bench


@pytest.fixture
def bench():
    return Bench()
