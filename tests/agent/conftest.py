"""How many random scripts are tried: at least 2,000 in CI, fewer while one works."""

import os

from hypothesis import HealthCheck, settings

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", max_examples=2000, derandomize=True, **_COMMON)
settings.register_profile("local", max_examples=100, **_COMMON)
settings.load_profile("ci" if os.environ.get("CI") else "local")
