"""Losses do not change once they are made, so that they can be shared, compared and hashed."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from lossmith.core.settings import SETTINGS

_KERAS_SEARCH = "_walk_saveable"


class Immutable:
    """Refuses to set or delete attributes once `_sealed` is among them; is its own copy."""

    declared: ClassVar[Mapping[str, Any]]

    def __setattr__(self, attribute: str, value: Any) -> None:
        if "_sealed" in self.__dict__:
            raise AttributeError(
                f"A loss is immutable: `{attribute}` cannot be set. "
                f"Make another one: loss({attribute}=...)."
                if attribute in (*self.declared, *SETTINGS)
                else f"A loss is immutable and keeps no state: `{attribute}` cannot be set."
            )
        super().__setattr__(attribute, value)

    def __delattr__(self, attribute: str) -> None:
        raise AttributeError(f"A loss is immutable: `{attribute}` cannot be deleted.")

    def __dir__(self) -> Iterable[str]:
        """All attributes, and none for Keras, which looks through them for variables to save.

        There are none, and `state` would give it a new layer with this very loss in it to look
        through, and so on.
        """
        return () if sys._getframe(1).f_code.co_name == _KERAS_SEARCH else super().__dir__()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self
