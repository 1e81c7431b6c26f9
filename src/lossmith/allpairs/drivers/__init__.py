"""What each backend does best: loops over blocks, slopes of a block, a gradient handed on.

The modules define the same functions; `core.backend` chooses one.
"""

NO_SECOND_DERIVATIVES = (
    "A loss over all pairs has no second derivatives: its gradient is computed along with its "
    "value, not differentiated. Take the first derivatives only, or write the loss of a small "
    "batch with plain operations."
)
EDGES_OF_POSITIVES = (512, 128)
"""Of tiles of which only those near the diagonal are looked into; they divide the others."""


def edge(count: int) -> int:
    """Of the square tiles of a batch."""
    return 512
