"""The command line: `lossmith train`, `evaluate`, `verify`, `search`, `list` and `check`.

It is a package of its own because importing anything of lossmith imports Keras, which takes
seconds: help, the version and a mistyped option do not wait for it. `app`, `arguments`, `messages`
and `start_up` import nothing of lossmith, and a command is loaded when it is run.
"""

import sys
from importlib.util import find_spec

from lossmith_cli.start_up import start_up


def main() -> None:
    """Runs the command line; needs the `cli` extra."""
    missing = [name for name in ("typer", "rich") if find_spec(name) is None]
    if missing:
        sys.exit(
            f"The command line needs {' and '.join(missing)}: pip install 'lossmith[cli]' and try "
            "again."
        )
    with start_up():
        from lossmith_cli.app import app

    app(prog_name="lossmith")
