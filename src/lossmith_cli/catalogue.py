"""`lossmith list`."""

import inspect
from typing import Any

from rich.table import Table

from lossmith.allpairs import TwoEncoderLoss
from lossmith.core import registry
from lossmith.core.hyperparameters import REQUIRED, Hyperparameter, to_config
from lossmith_cli.messages import out

_TARGETS = {"value": "values", "class": "class ids", "pair": "pairs"}


def show_losses(as_json: bool) -> None:
    """Prints the catalogue of losses."""
    catalogue: dict[str, Any] = {_name(cls): cls for cls in registry.catalogue().values()}
    if as_json:
        out.print_json(data={name: _described(cls) for name, cls in catalogue.items()})
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Loss, hyperparameter = default", no_wrap=True)
    table.add_column("compares, range", overflow="fold")
    for name, cls in catalogue.items():
        table.add_row(name, _compared(cls))
        declared: list[Hyperparameter] = list(cls.declared.values())
        for hyperparameter in declared:
            table.add_row(*_cells(hyperparameter))
    out.print(table, soft_wrap=False)
    out.print("\nhelp(lossmith.losses.Huber) shows the formula of a loss and when to use it.")


def _name(cls: Any) -> str:
    """Its name in `lossmith.losses`: a loss that needs an argument has no object, only a class."""
    needs_argument = any(each.default is REQUIRED for each in cls.declared.values())
    return str(cls.__name__ if needs_argument else cls.default_name)


def _compared(cls: Any) -> str:
    return "two views" if issubclass(cls, TwoEncoderLoss) else _TARGETS[cls.targets]


def _cells(hyperparameter: Hyperparameter) -> tuple[str, str]:
    default = "" if hyperparameter.default is REQUIRED else f" = {hyperparameter.default}"
    return f"  {hyperparameter.name}{default}", hyperparameter.describe()


def _described(cls: Any) -> dict[str, Any]:
    return {
        "summary": inspect.getdoc(cls).partition("\n")[0],  # type: ignore[union-attr]
        "targets": cls.targets,
        "compares": _compared(cls),
        "batchwise": cls.batchwise,
        "hyperparameters": {name: _entry(each) for name, each in cls.declared.items()},
    }


def _entry(hyperparameter: Hyperparameter) -> dict[str, Any]:
    entry: dict[str, Any] = {"range": hyperparameter.describe()}
    if hyperparameter.default is not REQUIRED:
        entry["default"] = to_config(hyperparameter.default)
    return entry
