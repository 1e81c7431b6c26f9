"""The Python blocks of README.md and of a page run as they stand, and print what they say.

A block that begins with `# name.py` is a file of that name, for the later ones to import. A
`text` block right after a `python` block is the output; `...` in it stands for anything.
"""

import doctest
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"^```python\n(.*?)^```\n(?:\s*^```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE
)

FILE = re.compile(r"# (\w+)\.py\n")

RUN_BLOCKS = """
    import contextlib, io, json, pathlib, re, sys

    def run(code, namespace={"__name__": "__main__"}):
        file = re.match(r"# (\\w+\\.py)\\n", code)
        if file:
            pathlib.Path(file[1]).write_text(code)
            return ""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "page", "exec"), namespace)
        return printed.getvalue()

    blocks = json.loads(pathlib.Path(sys.argv[1]).read_text())
    print(json.dumps([run(code) for code in blocks]))
"""


PAGES = ["README.md", "docs/allpairs.md", "docs/hyperparameters.md", "docs/sweeping.md"]


@pytest.mark.backend_free
@pytest.mark.parametrize("page", PAGES)
def test_a_page_imports_lossmith_before_keras(page: str) -> None:
    """Keras by itself looks for TensorFlow, which need not be there."""
    blocks = [code for code, _ in BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))]
    files = [code for code in blocks if FILE.match(code)]
    script = "".join(code for code in blocks if not FILE.match(code))
    own = "|".join(["lossmith", *(FILE.match(code)[1] for code in files)])
    for code in (script, *(each for each in files if "lossmith" in each)):
        first = re.search(rf"^(?:import|from) ({own}|keras)\b", code, re.MULTILINE)
        assert first
        assert first[1] != "keras", code


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_and_prints_what_it_says(
    page: str, fresh_process: Callable[..., Any], tmp_path: Path
) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    codes = tmp_path / "blocks.json"
    codes.write_text(json.dumps([code for code, _ in blocks]), encoding="utf-8")

    printed = fresh_process(RUN_BLOCKS, codes)

    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    same = doctest.OutputChecker().check_output
    wrong = [
        f"\n{code}printed\n{got}instead of\n{expected}"
        for (code, expected), got in zip(blocks, printed, strict=True)
        if expected and not same(expected, got, options)
    ]
    assert not wrong, "".join(wrong)
