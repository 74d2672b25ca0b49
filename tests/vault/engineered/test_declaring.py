"""Pipelines as they are written: what reads, what fits, and the place of what does not."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.model import Purpose
from vault.engineered.checking import check
from vault.engineered.declared import From, Input, Literal, Pipeline, Step, definition_of
from vault.engineered.reading import (
    MAX_CHARACTERS,
    read_pipeline,
    read_pipeline_file,
    ready_pipeline,
    ready_pipelines,
)
from vault.errors import PipelineInvalidError
from vault.operators.catalogue import built_in

WHOLE = """\
pipeline: triage
version: 1
purpose: treatment
about: Keep a note and say what is known.
inputs:
  note: text
  patient: subject
steps:
  - step: keep
    operator: extract-text/1
    with:
      text: $note
      subject: $patient
  - step: known
    operator: retrieve/1
    with: {query: allergies, subject: $patient, k: 5}
    seconds: 20
outputs:
  memories: $known.memories
  kept: $keep.memories
"""


def refused(text: str) -> str:
    with pytest.raises(PipelineInvalidError) as caught:
        check(read_pipeline(text, "a.yaml"), built_in())
    return str(caught.value)


def test_yaml_and_python_declare_the_same() -> None:
    written = Pipeline(
        name="triage",
        version=1,
        purpose=Purpose.TREATMENT,
        about="Keep a note and say what is known.",
        inputs={"note": Input("text"), "patient": Input("subject")},
        steps=(
            Step("keep", "extract-text/1", {"text": From(None, "note"), "subject": From(None, "patient")}),
            Step(
                "known",
                "retrieve/1",
                {"query": Literal("allergies"), "subject": From(None, "patient"), "k": Literal(5)},
                seconds=20,
            ),
        ),
        outputs={"memories": From("known", "memories"), "kept": From("keep", "memories")},
    )
    read = read_pipeline(WHOLE, "a.yaml")
    assert read == written
    assert check(read, built_in()).definition == check(written, built_in()).definition


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # The form.
        (
            "pipeline: triage",
            "pipeline: Triage",
            "a.yaml:1:11: expected a name of lower-case letters and digits",
        ),
        ("version: 1", "version: one", "a.yaml:2:10: expected a whole number"),
        ("version: 1", "version: 1.5", "a.yaml:2:10: expected a text, a whole decimal number"),
        ("version: 1", "version: 0x10", "a.yaml:2:10: expected a text, a whole decimal number"),
        ("version: 1", "version: 0", "a.yaml:2:10: expected a version from 1 to 9999"),
        ("purpose: treatment", "purpose: fun", "a.yaml:3:10: expected a purpose: one of treatment"),
        ("purpose: treatment\n", "", "a.yaml:1:1: expected purpose"),
        ("about:", "abuot:", "a.yaml:4:1: expected one of pipeline, version"),
        ("version: 1", "version: 1\nversion: 1", "a.yaml:3:1: expected each key once"),
        ("note: text", "note: novel", "a.yaml:6:9: expected a type: one of text"),
        ("note: text", "note: text, maybe", "a.yaml:6:9: expected a type, and `, optional`"),
        ("note: text", "Note: text", "a.yaml:6:9: expected a name of lower-case"),
        ("seconds: 20", "seconds: 0", "a.yaml:17:14: expected 1 to 3600 seconds"),
        ("step: known", "step: keep", "a.yaml:14:5: expected each step's name once, got keep twice"),
        ("version: 1", "version: &a 1", None),
        ("version: 1", "version: *a", "a.yaml:2:10: expected YAML without aliases"),
        ("version: 1", "version: [", "expected YAML"),
        ("k: 5", "k: {a: 1}", "a.yaml:16:52: expected a text, a whole number"),
        ("k: 5", "k: !!python/object:os.system x", "a.yaml:16:52: expected a text"),
        ("k: 5", "k: $", "a.yaml:16:52: expected $input"),
        ("memories: $known.memories", "memories: nothing", "a.yaml:19:13: expected $step.name"),
        # Operators.
        ("retrieve/1", "retrive/1", "a.yaml:15:15: expected a known operator, got retrive/1"),
        ("retrieve/1", "retrieve", "a.yaml:15:15: expected an operator and its version, e.g. retrieve/1"),
        ("retrieve/1", "retrieve/2", "a.yaml:15:15: expected a known operator"),
        # Inputs of steps.
        ("k: 5", "much: 5", "a.yaml:16:55: retrieve/1 takes no much: it takes query, subject, k"),
        ("k: 5", "k: 500", "a.yaml:16:52: expected integer as the operator's contract says"),
        ("k: 5", "k: five", "a.yaml:16:52: expected integer"),
        ("k: 5", "k: true", "a.yaml:16:52: expected integer"),
        ("k: 5", "k: $note", "a.yaml:16:52: retrieve/1 takes k as integer, $note is text"),
        (
            "query: allergies",
            "query: $patient",
            "a.yaml:16:19: retrieve/1 takes query as text, $patient is subject",
        ),
        (
            "query: allergies",
            "query: $keep.memories",
            "retrieve/1 takes query as text, $keep.memories is list of memory",
        ),
        ("query: allergies, ", "", "a.yaml:14:5: retrieve/1 needs query"),
        ("query: allergies", "query: null", "a.yaml:16:19: expected text"),
        (
            "      text: $note\n",
            "      text: $noted\n",
            "a.yaml:12:13: expected an input of this pipeline, got $noted",
        ),
        (
            "query: allergies",
            "query: $kept.text",
            "a.yaml:16:19: expected a step of this pipeline, got $kept.text",
        ),
        ("query: allergies", "query: $keep.text", "extract-text/1 gives no text: it gives memories, episode"),
        # Order.
        ("text: $note", "text: $known.texts", "a.yaml:12:13: the step comes later: keep takes $known.texts"),
        (
            "query: allergies",
            "query: $known.texts",
            "a.yaml:16:19: steps wait for each other: known takes $known.texts",
        ),
        # What nobody uses.
        ("  memories: $known.memories\n", "", "a.yaml:14:5: nothing uses what known gives"),
        (
            "  patient: subject\n",
            "  patient: subject\n  more: text\n",
            "a.yaml:8:9: nothing uses the input more",
        ),
        # Outputs.
        ("$known.memories", "$known.texts", None),
        ("$known.memories", "$known.nothing", "a.yaml:19:13: retrieve/1 gives no nothing"),
        ("$known.memories", "$other.memories", "a.yaml:19:13: expected a step of this pipeline"),
        ("$known.memories", "$missing", "a.yaml:19:13: expected an input of this pipeline"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(old: str, new: str, said: str | None) -> None:
    assert old in WHOLE
    text = WHOLE.replace(old, new, 1)
    if said is None:
        check(read_pipeline(text, "a.yaml"), built_in())
    else:
        assert said in refused(text)


def test_a_ring_of_steps_is_told_as_one() -> None:
    ring = """\
pipeline: ring
version: 1
purpose: treatment
steps:
  - {step: a, operator: join/1, with: {first: $c.memories, second: $c.memories}}
  - {step: b, operator: join/1, with: {first: $a.memories, second: $a.memories}}
  - {step: c, operator: join/1, with: {first: $b.memories, second: $b.memories}}
outputs: {all: $c.memories}
"""
    assert refused(ring) == "a.yaml:5:47: steps wait for each other: a takes $c.memories"


def test_what_is_shown_is_no_input_of_a_step() -> None:
    text = WHOLE.replace(
        "outputs:", "  - step: again\n    operator: screen/1\n    with: {text: $known.texts}\noutputs:"
    )
    assert (
        "a.yaml:20:18: $known.texts is shown and kept nowhere: take the memory's id, and read it"
        in refused(text)
    )


def test_a_pipeline_that_neither_reads_nor_writes_is_none() -> None:
    text = """\
pipeline: idle
version: 1
purpose: treatment
inputs: {list: memories}
steps:
  - {step: a, operator: require/1, with: {memories: $list}}
"""
    assert "expected at least one step that reads or writes" in refused(text)


def test_a_text_that_begins_with_a_dollar_can_be_written() -> None:
    read = read_pipeline(WHOLE.replace("query: allergies", 'query: "$$5 copay"'), "a.yaml")
    assert read.steps[1].arguments["query"] == Literal("$5 copay")


def test_python_declares_no_names_that_the_log_cannot_hold() -> None:
    step = Step("Maria Keller", "organize/1")
    with pytest.raises(PipelineInvalidError, match="expected names"):
        check(Pipeline("one", 1, Purpose.TREATMENT, (step,)), built_in())
    two = (Step("a", "organize/1"), Step("a", "organize/1"))
    with pytest.raises(PipelineInvalidError, match="expected each step's name once"):
        check(Pipeline("one", 1, Purpose.TREATMENT, two), built_in())
    with pytest.raises(PipelineInvalidError, match="expected 1 to 64 steps"):
        check(Pipeline("one", 1, Purpose.TREATMENT, ()), built_in())


def test_the_definition_tells_versions_apart_and_layout_not() -> None:
    read = read_pipeline(WHOLE, "a.yaml")
    spaced = read_pipeline("# a comment\n" + WHOLE.replace("about: Keep", "about: Do keep"), "b.yaml")
    assert definition_of(read) == definition_of(spaced)
    changes = ("version: 2", "k: 6", "seconds: 21")
    for old, new in zip(("version: 1", "k: 5", "seconds: 20"), changes, strict=True):
        assert definition_of(read_pipeline(WHOLE.replace(old, new), "a.yaml")) != definition_of(read)


def said_of(text: str) -> str:
    """Return what a text is refused with; empty where it is a pipeline."""
    try:
        check(read_pipeline(text, "a.yaml"), built_in())
    except PipelineInvalidError as error:
        return str(error)
    return ""


@given(st.text(max_size=300))
def test_any_text_is_a_pipeline_or_refused(text: str) -> None:
    assert re.match(r"a\.yaml(:\d+:\d+)?: ", said_of(text))


@given(st.integers(0, len(WHOLE) - 1), st.characters(max_codepoint=0x2FF))
def test_a_pipeline_with_one_character_changed_is_read_or_refused(at: int, char: str) -> None:
    said = said_of(WHOLE[:at] + char + WHOLE[at + 1 :])
    assert not said or re.match(r"a\.yaml(:\d+:\d+)?: ", said)


def test_files_are_bounded_and_are_files(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with pytest.raises(PipelineInvalidError, match=r"a\.yaml: expected a file"):
        read_pipeline_file(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PipelineInvalidError, match=r"a\.yaml: expected UTF-8"):
        read_pipeline_file(path)
    path.write_text("a" * (MAX_CHARACTERS + 1))
    with pytest.raises(PipelineInvalidError, match=r"at most 100000 characters"):
        read_pipeline_file(path)
    path.write_text("[" * 50_000)
    with pytest.raises(PipelineInvalidError, match=r"a\.yaml"):
        read_pipeline_file(path)
    with pytest.raises(PipelineInvalidError, match="expected a file"):
        read_pipeline_file(Path("/dev/zero"))
    assert read_pipeline_file(_written(path, WHOLE)).name == "triage"


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_every_ready_pipeline_fits() -> None:
    assert ready_pipelines() == ("clinical-notes", "customer-service", "research")
    for name in ready_pipelines():
        assert check(ready_pipeline(name), built_in()).pipeline.name == name
    with pytest.raises(PipelineInvalidError, match="expected a ready pipeline: one of clinical-notes"):
        ready_pipeline("../../secret")
