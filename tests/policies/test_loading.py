"""Only a bundle that lint finds clean, and whose own cases hold, is used; a profile is written whole or not at all."""

from pathlib import Path

import pytest

from policies.bundle import ACCESS_RULES, KNOWN_FILES, SHIPPED, Bundle
from policies.errors import PolicyInvalidError
from policies.loading import READY, load_folder, profiles, ready, write_profile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in KNOWN_FILES:
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_bytes((SHIPPED / name).read_bytes())
    return tmp_path / "mine"


def change(folder: Path, name: str, was: str, now: str) -> None:
    text = (folder / name).read_text("utf-8")
    assert was in text
    (folder / name).write_text(text.replace(was, now, 1), "utf-8")


def test_a_clean_bundle_is_loaded_as_it_is(folder: Path) -> None:
    assert load_folder(folder) == Bundle.read(SHIPPED)


@pytest.mark.parametrize(
    ("name", "was", "now", "reason"),
    [
        (ACCESS_RULES, "p, clinician-treats, clinician,", "p, clinician-treats, doctor,", r"rules/policy\.csv, line \d+, column 22"),
        (ACCESS_RULES, "read|search|reveal, treatment", "read|search|reveal, treatment|research", r"rules/tests\.yaml, line \d+: .* expects deny"),
    ],
)  # fmt: skip
def test_what_lint_or_a_case_refuses_is_not_used(
    folder: Path, name: str, was: str, now: str, reason: str
) -> None:
    change(folder, name, was, now)
    with pytest.raises(PolicyInvalidError, match=reason):
        load_folder(folder)


def test_a_smell_refuses_too_and_a_note_does_not(folder: Path) -> None:
    again = "p, again, clinician, private, owner, mfa, none, read, treatment, allow\n# Who may do what."
    change(folder, ACCESS_RULES, "# Who may do what.", again)
    with pytest.raises(PolicyInvalidError, match="changes no answer"):
        load_folder(folder)
    assert load_folder(READY / "hipaa").digest == ready("hipaa").digest, "it has notes"


def test_a_profile_is_written_whole_once(tmp_path: Path) -> None:
    assert profiles() == ("finance", "gdpr-default", "hipaa")
    for name in profiles():
        assert write_profile(name, tmp_path / name) == load_folder(tmp_path / name) == ready(name)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
    with pytest.raises(PolicyInvalidError, match="cannot be written"):
        write_profile("hipaa", tmp_path / "hipaa")
    with pytest.raises(PolicyInvalidError, match="one of finance, gdpr-default, hipaa"):
        write_profile("../hipaa", tmp_path / "more")
    assert not (tmp_path / "more").exists()
