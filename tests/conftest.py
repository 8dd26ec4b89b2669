"""Settings of all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A run tests the same examples each time; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the flows last: from then on, Prefect's threads draw random numbers, and Hypothesis objects to that."""
    items.sort(key=lambda item: "flows" in item.path.parts)
