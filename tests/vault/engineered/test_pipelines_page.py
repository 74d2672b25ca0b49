"""The page about pipelines: its operator is one file that works, its pipelines fit, its tables leave nothing out."""

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.simulators.clinic import OWNER, Clinic
from vault.engineered.checking import check
from vault.engineered.declared import INPUT_TYPES
from vault.engineered.reading import read_pipeline, ready_pipelines
from vault.operators.catalogue import built_in

PAGE = (REPOSITORY / "docs" / "pipelines.md").read_text("utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON = [code for kind, code in FENCE.findall(PAGE) if kind == "python"]
YAML = [code for kind, code in FENCE.findall(PAGE) if kind == "yaml"]


def test_an_operator_in_one_file_works_as_the_page_says(clinic: Clinic, tmp_path: Path) -> None:
    (one_file,) = [code for code in PYTHON if "OPERATOR = " in code]
    (use,) = [code for code in PYTHON if "catalogue=catalogue" in code]
    path = tmp_path / "keep_newest.py"
    path.write_text(one_file)
    spec = spec_from_file_location("keep_newest", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["keep_newest"] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        memory = clinic.mem(OWNER)
        for text in ("the left knee hurts", "the knee is better"):
            (newest,) = memory.extract(text, subject="patient 17").memory_ids
        names = {
            "OPERATOR": module.OPERATOR,
            "memory": memory,
            "pipeline": read_pipeline(YAML[-1], "page.yaml"),
        }
        exec(use, names)  # noqa: S102  # the page's own lines
        assert names["report"].outputs == {"memories": (newest,)}
    finally:
        del sys.modules["keep_newest"]


def test_the_pipelines_of_the_page_fit() -> None:
    read = read_pipeline(YAML[0], "page.yaml")
    assert check(read, built_in()).pipeline.name == "triage"
    (declared,) = [code for code in PYTHON if "TRIAGE" in code]
    names: dict[str, object] = {}
    exec(declared, names)  # noqa: S102  # the page's own lines
    check(names["TRIAGE"], built_in())  # type: ignore[arg-type]


def test_the_page_names_every_operator_pipeline_and_type_of_input() -> None:
    for operator in built_in():
        assert f"`{operator.reference}`" in PAGE
        assert operator.about
    for name in ready_pipelines():
        assert f"| `{name}` |" in PAGE
    for name in INPUT_TYPES:
        assert f"`{name}`" in PAGE
