"""The version on every record is that of the code and the files that decide what is found and masked."""

import ast
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vault.privacy.detect import DETECTOR_VERSION, PresidioDetector
from vault.privacy.tagger import Tagger

PRIVACY = Path(__file__).parents[3] / "vault" / "privacy"
MADE_OF = {"2": "6a38b8fd55c9547b"}
"""By version, the digest of what it was made of. Where it differs: does the gate find or mask anything
otherwise? Then raise `DETECTOR_VERSION` and add a line here. If it does not (a name, a type), record the
new digest under the same version."""


def test_code_and_files_of_the_gate_are_those_of_its_version() -> None:
    assert MADE_OF[DETECTOR_VERSION] == _digest(PRIVACY), "see MADE_OF"


def test_the_stamp_carries_version_and_digest(detector: PresidioDetector) -> None:
    assert detector.name == f"memvault-gate/{DETECTOR_VERSION} model:{Tagger().digest}"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("assets/tagger.crfsuite", lambda old: old + b"x"),
        ("assets/lexicon.txt.gz", lambda old: old + b"x"),
        ("recognizers/money.py", lambda old: old + b"\nMORE = 1\n"),
        ("ordinary.py", lambda old: old.replace(b"aspirin", b"aspirim")),
        ("gate.py", lambda old: old.replace(b"_MAX_ROUNDS: Final = 8", b"_MAX_ROUNDS: Final = 7")),
    ],
)
def test_a_change_of_code_or_files_shows(tmp_path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    for path in _decisive(PRIVACY):
        copy = tmp_path / path.relative_to(PRIVACY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    before = _digest(tmp_path)
    assert before == _digest(PRIVACY)
    changed = tmp_path / name
    changed.write_bytes(changed.read_bytes() + (b"" if name.startswith("assets") else b"\n# a remark\n"))
    if not name.startswith("assets"):
        assert _digest(tmp_path) == before, "a remark changes nothing"
    changed.write_bytes(change(changed.read_bytes()))
    assert _digest(tmp_path) != before


def _decisive(folder: Path) -> Iterator[Path]:
    """Code and files, training apart: what it makes lies in the files."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and inside[0] != "training" and (path.suffix == ".py" or inside[0] == "assets"):
            yield path


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in _decisive(folder):
        content = path.read_bytes()
        text = repr(_shape(ast.parse(content))).encode() if path.suffix == ".py" else content
        found.update(f"{path.relative_to(folder).as_posix()} {len(text)}\n".encode() + text)
    return found.hexdigest()[:16]


def _shape(node: object) -> object:
    """Return syntax as nested tuples without remarks, docstrings and places; of the same form in every Python."""
    if isinstance(node, list):
        return [shape for item in node if (shape := _shape(item)) is not None]
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return None
    fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
    return (type(node).__name__, *((name, _shape(value)) for name, value in fields))
