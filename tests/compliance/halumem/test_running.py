"""Runs: the same when resumed, refused when mixed, told in text, JSON and one harmless page; the vault through its facade."""

import json
import shutil
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from compliance.halumem import runner as running
from compliance.halumem.__main__ import main
from compliance.halumem.errors import RunMismatchError
from compliance.halumem.generator import Size, generate
from compliance.halumem.judge import DeterministicJudge
from compliance.halumem.report import CAVEAT, CAVEAT_FILE, Report, as_html, as_text
from compliance.halumem.runner import Runner
from compliance.halumem.schema import Session, User
from compliance.halumem.scoring import Scorer
from compliance.halumem.slots import Split
from compliance.halumem.systems import StoreEverything, StoreNothing
from compliance.halumem.tally import full_recall, resistance
from compliance.halumem.vault_system import VaultSystem
from tests.simulators.fakes import fake_options
from vault.memos import LOCAL_PRINCIPAL, MemOS
from vault.opening import LocalRootWarning, Vault

TINY = Size(2, 3)
SCHEMA = Path(running.__file__).with_name("report.schema.json")


def users() -> list[User]:
    return list(generate(1, Split.DEV, TINY))


def make(folder: Path, source: str = "seed 1") -> Runner:
    return Runner(folder, source, DeterministicJudge(), CAVEAT)


class Once(StoreEverything):
    """Is interrupted at the second user, the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []

    def begin(self, user: User) -> None:
        super().begin(user)
        self.begun.append(user.uuid)
        if len(self.begun) == 2:
            raise KeyboardInterrupt


def test_a_run_that_was_interrupted_goes_on_with_the_next_user_and_ends_the_same(tmp_path: Path) -> None:
    system = Once()
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "one").run({"all": system}, users)
    assert not (tmp_path / "one" / "report.json").exists()
    resumed = make(tmp_path / "one").run({"all": system}, users)
    assert system.begun == ["generated-0000", "generated-0001", "generated-0001"]
    assert resumed == make(tmp_path / "two").run({"all": StoreEverything()}, users)


def test_a_folder_of_another_run_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    make(tmp_path).run({"all": StoreEverything()}, users)
    before = (tmp_path / "report.json").read_bytes()
    with pytest.raises(RunMismatchError, match="another source"):
        make(tmp_path, "seed 2")
    with pytest.raises(RunMismatchError, match="another system"):
        make(tmp_path).run({"all": StoreNothing()}, users)
    assert (tmp_path / "report.json").read_bytes() == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"system": "store everything"}', '{"system": "store everything", "counts": {"points": -1}}', " " * 70_000, "\xff"])  # fmt: skip
def test_damaged_counts_are_refused_not_recounted(tmp_path: Path, content: str) -> None:
    make(tmp_path).run({"all": StoreEverything()}, users)
    damaged = tmp_path / "all" / "generated-0001.json"
    damaged.write_text(content, encoding="latin-1")
    with pytest.raises(RunMismatchError, match=r"generated-0001\.json"):
        make(tmp_path).run({"all": StoreEverything()}, users)
    assert damaged.read_text(encoding="latin-1") == content
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunMismatchError, match="JSON"):
        make(tmp_path)


def test_the_json_report_is_of_its_schema_and_the_schema_is_the_types(tmp_path: Path) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema == Report.model_json_schema()
    make(tmp_path).run({"all": StoreEverything()}, users)
    jsonschema.validate(json.loads((tmp_path / "report.json").read_text(encoding="utf-8")), schema)


class Tags(HTMLParser):
    """Collects what could load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.bad += [tag] if tag in {"script", "img", "link", "iframe", "object", "a"} else []
        self.bad += [name for name, _ in attrs if name.startswith("on") or name in {"src", "href"}]


def test_the_page_says_whose_figures_these_are_escapes_everything_and_loads_nothing(tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    report = make(tmp_path, hostile).run({"none": StoreNothing(), "all": StoreEverything()}, users)
    page, tags = as_html(report), Tags()
    tags.feed(page)
    assert tags.bad == []
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    for text in (page, as_text(report)):
        assert CAVEAT in text
        assert "not HaluMem scores" in text
        assert "store nothing" in text
        assert "deterministic/1" in text
    for one in report.systems[0].measures:
        assert one.name.replace("_", " ") in page
    assert "User" not in page.replace("Users:", "")


def test_the_command_generates_runs_resumes_and_reads_what_it_generated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "users.jsonl"
    assert main(["generate", "--seed", "3", str(place)]) == 0
    assert main(["generate", "--seed", "3", str(place)]) == 1
    out = ["--systems", "nothing,everything", "--out"]
    assert main(["run", "--file", str(place), *out, str(tmp_path / "file")]) == 0
    assert CAVEAT_FILE in capsys.readouterr().out
    assert main(["run", "--seed", "3", *out, str(tmp_path / "made")]) == 0
    assert CAVEAT in capsys.readouterr().out
    counts = [
        json.loads((tmp_path / name / "report.json").read_text())["systems"] for name in ("file", "made")
    ]
    assert counts[0] == counts[1]
    assert (tmp_path / "made" / "report.html").exists()
    assert main(["run", "--seed", "4", *out, str(tmp_path / "made")]) == 1
    assert main(["run", "--file", str(tmp_path / "none"), *out, str(tmp_path / "x")]) == 1
    assert "error: expected a readable file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as refused:
        main(["run", "--systems", "magic", "--out", str(tmp_path / "x")])
    assert refused.value.code == 2


def test_the_vault_runs_behind_the_protocol_and_what_only_the_assistant_said_is_not_stood_on(
    tmp_path: Path,
) -> None:
    with pytest.warns(LocalRootWarning):
        vault = Vault.create(tmp_path / "vault", tenant=LOCAL_PRINCIPAL.tenant, options=fake_options())
    with vault:
        system = VaultSystem(MemOS(vault))
        (user, other) = users()
        tally = Scorer(system, DeterministicJudge()).score(user)
        assert tally.sessions == 3
        assert (full_recall(tally) or 0) > 0.5
        assert 0 < (resistance(tally) or 0) <= 1
        claims = {turn.content for turn in user.sessions[0].dialogue if turn.role == "assistant"}
        assert not claims & set(system.recall(user.sessions[0].dialogue[0].content, 20))
        system.begin(other)
        assert list(system.recall("anything at all", 5)) == []
        assert system.ingest(Session(dialogue=())) == ()
        odd = user.sessions[0].dialogue[0].model_copy(update={"timestamp": "some day"})
        assert len(system.ingest(Session(dialogue=(odd,)))) == 1


def test_the_vault_is_opened_by_the_command_only_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Vault.create
    made: list[Path] = []

    def create(path: Path, *, tenant: str) -> Vault:
        made.append(path)
        return real(path, tenant=tenant, options=fake_options())

    monkeypatch.setattr(Vault, "create", create)
    assert main(["run", "--systems", "nothing", "--out", str(tmp_path / "one")]) == 0
    assert made == []
    monkeypatch.setattr("compliance.halumem.__main__.SIZES", {"small": Size(1, 2)})
    assert main(["run", "--systems", "vault", "--out", str(tmp_path / "two")]) == 0
    assert len(made) == 1
    assert not made[0].exists()
    shutil.rmtree(tmp_path / "two")
