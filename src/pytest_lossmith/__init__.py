"""pytest plugin: losses checked as tests.

It is a package of its own because pytest imports plugins before anything else: importing lossmith
here would import Keras, and choose its backend, before a project's conftest can.

- `pytest --check-losses 'losses/*.py'`, or `check_losses = losses/*.py` in the ini file, collects
  every loss of the files that match as a test.
- `@pytest.mark.loss_check(huber, target="regression")` checks a loss before the test runs.
- The fixture `check_loss` is `lossmith.check` with errors raised as failures.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

_MARK = "loss_check"
_CHILDREN = pytest.StashKey[ExitStack]()
_COLLECTED = pytest.StashKey[set[Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and its ini setting."""
    description = "pattern of files whose losses are all checked; repeatable"
    parser.getgroup("lossmith").addoption(
        "--check-losses", action="append", default=[], metavar="PATTERN", help=description
    )
    parser.addini("check_losses", f"{description}, one a line", type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and collect the files of the option beside the paths that are given."""
    config.addinivalue_line(
        "markers", f"{_MARK}(*losses, **options): lossmith.check(loss, **options) has no errors"
    )

    if config.args_source is pytest.Config.ArgsSource.ARGS:
        config.args += [name for name in _named(config) if name not in config.args]


def _named(config: pytest.Config) -> Iterator[str]:
    """The files that the option names, seen from where pytest was called."""
    here = config.invocation_params.dir
    for pattern in config.getoption("--check-losses"):
        anchor = Path(pattern).anchor
        found = (Path(anchor) if anchor else here).glob(pattern[len(anchor) :])
        yield from (str(file) for file in sorted(found) if file.suffix == ".py")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the children that the checks shared."""
    if _CHILDREN in config.stash:
        config.stash[_CHILDREN].close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "LossFile | None":
    """Collect a file that matches a pattern."""
    patterns = [*parent.config.getoption("--check-losses"), *parent.config.getini("check_losses")]
    if file_path.suffix == ".py" and any(file_path.match(pattern) for pattern in patterns):
        parent.config.stash.setdefault(_COLLECTED, set()).add(file_path)
        return LossFile.from_parent(parent, path=file_path)
    return None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail if a pattern of the option matches no file."""
    collected = session.config.stash.get(_COLLECTED, set())
    for pattern in session.config.getoption("--check-losses"):
        if not any(file.match(pattern) for file in collected):
            raise pytest.UsageError(
                f"--check-losses {pattern} matches no Python file that is collected: give the "
                "pattern as seen from here, or the folder of the losses as a path as well."
            )


class LossFile(pytest.File):
    """A file whose losses are tests."""

    def collect(self) -> Iterator["LossItem"]:
        """One test for each loss that the checker finds in the file."""
        _share_children(self.config)
        from lossmith.checker.processes import find_losses
        from lossmith.checker.settings import Settings
        from lossmith.checker.subject import SubjectError, parse

        try:
            found = find_losses(parse(str(self.path)), Settings())
        except SubjectError as error:
            raise self.CollectError(str(error)) from error
        for entry in found:
            if not entry["left_out"]:
                yield LossItem.from_parent(self, name=entry["expression"], line=int(entry["line"]))


class LossItem(pytest.Item):
    """The test that one loss has no errors."""

    def __init__(self, *, line: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._line = line

    def runtest(self) -> None:
        """Check the loss; its errors are the failure."""
        _check(self.config, f"{self.path}:{self.name}", {})

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line (from 0) and name."""
        return self.path, self._line - 1, f"loss {self.name}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Check the losses of the marker before the test itself runs."""
    for mark in item.iter_markers(_MARK):
        if not mark.args:
            pytest.fail(f"@pytest.mark.{_MARK}(loss, ...) needs a loss.", pytrace=False)
        _refuse_unknown(mark.kwargs)
        for loss in mark.args:
            _check(item.config, loss, mark.kwargs)


def _refuse_unknown(options: Mapping[str, Any]) -> None:
    """Fail with the options that there are, if one of these is none."""
    from lossmith.checker.api import check

    known = [p.name for p in signature(check).parameters.values() if p.kind is p.KEYWORD_ONLY]
    unknown = [name for name in options if name not in (*known, "y_true", "y_pred")]
    if unknown:
        pytest.fail(
            f"@pytest.mark.{_MARK} has no option {', '.join(unknown)}; the options are those of "
            f"lossmith.check: {', '.join(known)}.",
            pytrace=False,
        )


def _check(config: pytest.Config, loss: Any, options: Mapping[str, Any]) -> None:
    """Check a loss; what is wrong is told once, without a traceback of the checker."""
    from lossmith.checker.report import LossCheckError

    failure = ""
    try:
        _checker(config)(loss, **options)
    except (LossCheckError, ValueError) as error:
        failure = str(error)
    if failure:  # outside the handler: pytest would show the error that it handles as well
        pytest.fail(failure, pytrace=False)


@pytest.fixture(scope="session")
def check_loss(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`lossmith.check`, which raises if there are errors and else returns the report."""
    return _checker(request.config)


def _checker(config: pytest.Config) -> Callable[..., Any]:
    _share_children(config)
    from lossmith.checker.api import check

    def run(loss: Any, **options: Any) -> Any:
        return check(loss, **options).raise_if_failed()

    return run


def _share_children(config: pytest.Config) -> None:
    """Keep the children from one check to the next: each would import Keras anew."""
    if _CHILDREN not in config.stash:
        from lossmith.checker.children import children_kept

        config.stash[_CHILDREN] = ExitStack()
        config.stash[_CHILDREN].enter_context(children_kept())
