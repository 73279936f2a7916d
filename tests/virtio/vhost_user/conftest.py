"""What the tests of the back-end share."""

from __future__ import annotations

import pytest

from tests.virtio.vhost_user.world import World


@pytest.fixture
def make():
    worlds = []

    def build(*arguments, **options):
        worlds.append(World(*arguments, **options))
        return worlds[-1]

    yield build
    for world in worlds:
        world.front.close()
