"""What the tests of the checker share."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture
def imports_forgotten() -> Iterator[None]:
    """Take back what a test imports, since it does so in this process and not in a child."""
    modules, paths = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = paths
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if "site-packages" not in file and "lossmith" not in file:
            del sys.modules[name]
