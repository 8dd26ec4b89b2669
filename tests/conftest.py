"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# A run tests the same examples each time; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
