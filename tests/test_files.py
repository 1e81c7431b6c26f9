"""Files that appear whole or not at all."""

from pathlib import Path

import pytest

from lossmith.files import moved_into_place, read_json

pytestmark = pytest.mark.backend_free


def write_half(target: Path) -> None:
    with moved_into_place(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "notes.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError):
        write_half(target)
    assert target.read_text() == "old"
    with moved_into_place(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_a_damaged_json_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        read_json(tmp_path / "config.json")
