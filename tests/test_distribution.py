"""The wheel: six rooms, everything they read at run time, and no name that belongs to somebody else."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ROOMS = {"api", "audit", "compliance", "lifecycle", "policies", "vault"}
READ_AT_RUN_TIME = {
    "policies/privacy.yaml",
    "policies/rules/policy.csv",
    "policies/rules/model.conf",
    "policies/rules/tests.yaml",
    "vault/storage/migrations/env.py",
    "vault/storage/migrations/rows/rows_0001_first_format.py",
    "vault/storage/migrations/keys/keys_0001_first_format.py",
    "vault/search/bert_uncased_vocabulary.txt.gz",
    "api/demo/conversation.json",
    "api/demo/planted.json",
    "api/demo/templates/report.html",
    "audit/verify_html/page.html",
    "audit/verify_html/page.css",
    "audit/verify_html/bundle.js",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel built from a copy of the tracked files."""
    copy = tmp_path_factory.mktemp("tree")
    for name in (*sorted(ROOMS), "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(out),
        str(copy),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    (built,) = out.glob("memos_vault-*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_six_rooms_and_nothing_else(wheel: set[str]) -> None:
    top = {name.partition("/")[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == ROOMS


def test_the_wheel_holds_what_is_read_at_run_time(wheel: set[str]) -> None:
    assert wheel >= READ_AT_RUN_TIME
    for room in ("policies", "vault", "api"):
        for file in (REPOSITORY / room).rglob("*"):
            name = file.relative_to(REPOSITORY).as_posix()
            if file.is_file() and "__pycache__" not in name:
                assert name in wheel, f"{name} is in the tree and not in the wheel"


def test_no_other_distribution_here_has_a_room_of_ours() -> None:
    owners = packages_distributions()
    for room in ROOMS:
        assert set(owners.get(room, ["memos-vault"])) == {"memos-vault"}


def test_locks_pin_every_package_with_a_hash_and_name_no_host() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert not re.search(r"^\s*--(?:index|extra-index|find-links|trusted)", text, re.MULTILINE)
        pinned = re.findall(r"^([a-z0-9._-]+)==[^ ]+.*\\$", text, re.MULTILINE | re.IGNORECASE)
        assert len(pinned) > 30
        assert text.count("--hash=sha256:") >= len(pinned)


def test_the_lock_holds_every_declared_dependency() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "dependencies"
    ]
    locked = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    for requirement in declared:
        name = re.split(r"[<>=\[; ]", requirement, maxsplit=1)[0]
        assert re.search(rf"^{re.escape(name)}==", locked, re.MULTILINE), f"{name} is not locked"


def test_nothing_committed_names_this_machine_or_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False, timeout=60
    )
    if listed.returncode:
        pytest.skip("not a git checkout: the list of committed files is not known")
    banned = re.compile(
        r"/" + r"work/|/" + r"farm/|/" + r"opt/wheels|python" + r"hosted|py" + r"pi\.org|npm" + r"js\."
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        file = Path(REPOSITORY / name)
        if file.suffix in {".gz", ".crfsuite", ".zip", ".db"} or not file.is_file():
            continue
        found = banned.search(file.read_text(encoding="utf-8", errors="replace"))
        assert found is None, f"{name} names a machine or a registry"
