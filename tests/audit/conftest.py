"""Fixtures of the audit room's tests."""

from collections.abc import Iterator

import pytest

from tests.simulators.small_deployment import SmallDeployment


@pytest.fixture
def deployment() -> Iterator[SmallDeployment]:
    """An empty deployment."""
    small = SmallDeployment()
    yield small
    small.close()


@pytest.fixture
def lived(deployment: SmallDeployment) -> SmallDeployment:
    """A deployment after a day of honest use, all of it under signed checkpoints."""
    deployment.live_a_day()
    return deployment
