"""What the tests of all pairs share: small batches in several blocks, compiled fast."""

from collections.abc import Iterator

import pytest
from gradients import forget_compiled

from lossmith.allpairs import engine
from lossmith.checker.evaluate import fast_start


@pytest.fixture(autouse=True, scope="module")
def fast_compilation() -> Iterator[None]:
    """Most of the time goes into compiling programs that run once."""
    with fast_start():
        yield


@pytest.fixture(scope="module")
def small_blocks() -> Iterator[None]:
    """Blocks and tiles of three rows: several, the last one not full; eight items are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_ENTRIES", 1)
        patch.setattr(engine, "_FEWEST_ROWS", 3)
        patch.setattr(engine, "_FEWEST_ITEMS", 6)
        patch.setattr(engine, "_LARGE", 8)
        patch.setattr(engine.driver, "edge", lambda count: 3)
        patch.setattr(engine.driver, "EDGES_OF_POSITIVES", (1, 1))
        forget_compiled()
        yield
    forget_compiled()
