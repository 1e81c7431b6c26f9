"""What is checked: a loss by its place in a file or module, by its name, or as an object.

The place of a loss is written `my_losses.py:huber`, `package.module:name` or `keras:Huber`; the
name may be a call with plain values, `my_losses.py:make_huber(threshold=2.0)`. Only the process
that runs the probes imports the file.
"""

import ast
import base64
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Self

from lossmith.checker import transport
from lossmith.checker.source import Source, source_of
from lossmith.core.backend import keras

Kind = Literal["file", "module", "keras", "identifier", "object"]


class SubjectError(ValueError):
    """What was named cannot be checked; the text says why and what to give instead."""


@dataclass(frozen=True)
class Subject:
    """A loss that another process can load.

    Attributes:
        kind: how it is found.
        name: what the report calls it.
        place: the file or module, the identifier, or the bytes of an object in base 64.
        expression: a dotted name in that place, or a call of one; empty for the whole place.
        paths: folders that the loss' modules are imported from.
        source: the text of an object whose source only its own process can read.
    """

    kind: Kind
    name: str
    place: str
    expression: str = ""
    paths: tuple[str, ...] = ()
    source: Source | None = None

    def to_dict(self) -> dict[str, Any]:
        """The subject as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make the subject that `to_dict` described."""
        source = Source.from_dict(data["source"])
        return cls(**{**data, "paths": tuple(data["paths"]), "source": source})

    def at(self, expression: str) -> Self:
        """The subject of another name in the same place."""
        where = Path(self.place).name if self.kind == "file" else self.place
        return replace(self, expression=expression, name=f"{where}:{expression}")


def describe(loss: Any) -> Subject:
    """The subject of anything that Keras would accept as a loss.

    Args:
        loss: a function, a `Loss` instance or class, any callable, a name that `compile` knows, or
            a place such as `"my_losses.py:huber"`.

    Raises:
        SubjectError: if it names no loss, or is nothing that could be one.
        lossmith.checker.transport.NotTransportableError: if it cannot be sent to another process.

    Example:
    >>> describe("keras:Huber").kind
    'keras'
    """
    if isinstance(loss, str):
        return parse(loss)
    if isinstance(loss, Subject):
        return loss
    if not callable(loss):
        raise SubjectError(
            f"Expected a loss (a function, a keras.losses.Loss or its name); "
            f"got {loss!r} ({type(loss).__name__})."
        )
    payload = base64.b64encode(transport.pack(loss)).decode("ascii")
    paths = tuple(os.path.abspath(path) for path in sys.path)  # noqa: PTH100 - "" is the cwd
    return Subject("object", name_of(loss), payload, "", paths, source_of(loss))


def parse(text: str) -> Subject:
    """The subject that `text` names: a place, or an identifier that `compile` knows.

    Raises:
        SubjectError: if the file or the identifier does not exist.
    """
    if text.endswith(".py"):
        return _file_subject(text, "")
    if ".py:" in text:
        file, _, expression = text.rpartition(".py:")
        return _file_subject(f"{file}.py", expression)
    place, colon, expression = text.partition(":")
    here = (str(Path.cwd()),)
    if place == "keras" and colon:
        return Subject("keras", text, "keras.losses", expression, here)
    if colon or "." in text:
        return Subject("module", text, place, expression, here)
    try:
        keras.losses.get(text)
    except ValueError:
        raise SubjectError(
            f"No loss of Keras is called {text!r}. A loss of your own is named by its place: "
            f"my_losses.py:{text} or package.module:{text}."
        ) from None
    return Subject("identifier", text, text)


def _file_subject(file: str, expression: str) -> Subject:
    path = Path(file)
    if not path.is_file():
        raise SubjectError(f"There is no file {file}.")
    name = f"{path.name}:{expression}" if expression else path.name
    return Subject("file", name, str(path.resolve()), expression, (str(Path.cwd()),))


def name_of(loss: Any) -> str:
    """What a report calls an object."""
    if inspect.isclass(loss) or inspect.isfunction(loss):
        return loss.__qualname__.replace("<locals>.", "")
    if isinstance(loss, keras.losses.Loss):
        return repr(loss) if type(loss).__module__.startswith("lossmith.") else type(loss).__name__
    return str(getattr(loss, "__name__", type(loss).__name__))


def load(subject: Subject) -> Any:
    """Import, unpack or look up what `subject` names, ready for `compile`.

    Raises:
        SubjectError: if it cannot be imported or is not a loss, saying what to give instead.
    """
    for path in reversed(subject.paths):
        if path not in sys.path:
            sys.path.insert(0, path)
    if subject.kind == "identifier":
        return keras.losses.get(subject.place)
    if subject.kind == "object":
        return as_loss(transport.unpack(base64.b64decode(subject.place)), subject.name)
    return as_loss(_evaluate(import_place(subject), subject), subject.name)


def import_place(subject: Subject) -> ModuleType:
    """The module that a subject of the kinds file, module and keras lives in.

    Raises:
        SubjectError: if the import fails in any way.
    """
    try:
        if subject.kind == "file":
            return _import_file(Path(subject.place))
        return importlib.import_module(subject.place)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may end the program where it is imported
        raise SubjectError(f"{subject.place} does not import: {_cause(error, subject)}") from error


def _cause(error: BaseException, subject: Subject) -> str:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == subject.place:
            line = trace.tb_lineno
        trace = trace.tb_next
    return text if line is None else f"{text} (line {line})"


def _import_file(path: Path) -> ModuleType:
    """Import a file under the name it would have in its package."""
    name, root = path.stem, path.parent
    while (root / "__init__.py").exists():
        name, root = f"{root.name}.{name}", root.parent
    sys.path.insert(0, str(root))
    if name != path.stem:
        return importlib.import_module(name)
    known = sys.modules.get(name)
    if known is not None:
        if getattr(known, "__file__", None) == str(path):
            return known
        name = f"{name}_file"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _evaluate(module: ModuleType, subject: Subject) -> Any:
    """The value of a dotted name or of a call with plain values."""
    if not subject.expression:
        raise SubjectError(f"{subject.name}: name a loss in it, {subject.name}:NAME.")
    try:
        node = ast.parse(subject.expression, mode="eval").body
        arguments: list[Any] = []
        keywords: dict[str, Any] = {}
        if isinstance(node, ast.Call):
            arguments = [ast.literal_eval(argument) for argument in node.args]
            keywords = {str(word.arg): ast.literal_eval(word.value) for word in node.keywords}
        called = isinstance(node, ast.Call)
        names = ast.unparse(node.func if isinstance(node, ast.Call) else node).split(".")
    except (SyntaxError, ValueError):
        raise SubjectError(
            f"{subject.expression!r} is neither a name nor a call with plain values, such as "
            "make_huber(threshold=2.0)."
        ) from None
    found: Any = module
    for name in names:
        if not hasattr(found, name):
            raise SubjectError(_unknown(name, found, subject))
        found = getattr(found, name)
    if not called:
        return found
    try:
        return found(*arguments, **keywords)
    except Exception as error:  # a factory is anybody's code
        raise SubjectError(f"{subject.name} raises {type(error).__name__}: {error}") from error


def _unknown(name: str, holder: Any, subject: Subject) -> str:
    import difflib

    close = difflib.get_close_matches(name, dir(holder), n=1)
    advice = f" Did you mean {close[0]}?" if close else ""
    return f"There is no {name!r} in {subject.place}.{advice}"


def as_loss(value: Any, name: str) -> Any:
    """`value` as `compile` takes it; a class becomes its instance with defaults, as Keras does.

    Raises:
        SubjectError: if it is no loss, saying what to write instead.
    """
    if isinstance(value, keras.metrics.Metric) or (
        inspect.isclass(value) and issubclass(value, keras.metrics.Metric)
    ):
        raise SubjectError(
            f"{name} is a metric, which has no gradient and keeps a state: give the loss."
        )
    if inspect.isclass(value):
        return _instance(value, name)
    if isinstance(value, keras.losses.Loss):
        return value
    if not callable(value):
        raise SubjectError(f"{name} is no loss: {value!r} ({type(value).__name__}).")
    required = required_arguments(value)
    if required is not None and len(required) < 2:
        raise SubjectError(
            f"{name} takes {len(required)} required argument(s) and a loss takes two, "
            "(y_true, y_pred). If it is a factory that returns a loss, check what it returns: "
            f"{_call_example(name, value)}."
        )
    if required is not None and len(required) > 2:
        raise SubjectError(
            f"{name} takes {len(required)} required arguments ({', '.join(required)}) and Keras "
            "passes two, (y_true, y_pred): give the others a default."
        )
    return value


def required_arguments(value: Any) -> list[str] | None:
    """The arguments that a call by position must give; `None` if the signature is unknown."""
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]


def _call_example(name: str, value: Any) -> str:
    parameters = inspect.signature(value).parameters.values()
    words = [f"{p.name}=..." for p in parameters if p.default is p.empty]
    return f"{name}({', '.join(words)})"


def _instance(cls: type, name: str) -> Any:
    if not any("__call__" in vars(each) for each in cls.__mro__):
        raise SubjectError(f"{name} is a class that is no loss: derive it from keras.losses.Loss.")
    required = required_arguments(cls) or []
    if required:
        raise SubjectError(
            f"{name} is a class whose {', '.join(required)} has no default: check an instance, "
            f"{_call_example(name, cls)}."
        )
    try:
        return cls()
    except Exception as error:  # a class is anybody's code
        raise SubjectError(f"{name}() raises {type(error).__name__}: {error}") from error
