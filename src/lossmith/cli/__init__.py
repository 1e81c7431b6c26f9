"""The command line: `lossmith train`, `evaluate`, `verify`, `list` and `check`."""

import sys
from importlib.util import find_spec


def main() -> None:
    """Runs the command line; needs the `cli` extra."""
    missing = [name for name in ("typer", "rich") if find_spec(name) is None]
    if missing:
        sys.exit(
            f"The command line needs {' and '.join(missing)}: pip install 'lossmith[cli]' and try "
            "again."
        )
    from lossmith.cli.app import app

    app(prog_name="lossmith")
