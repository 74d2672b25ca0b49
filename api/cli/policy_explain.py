"""Commands that answer questions about policies: why, who can, what can."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import Invocation, JsonOption, auditor, called_by
from api.cli.output import counted, note, print_json, reported, say
from api.cli.policy import BundleArgument, read_bundle
from policies.model import Action, Assurance, Emergency, Purpose, Relation, Role

if TYPE_CHECKING:
    from policies.model import Resource
    from policies.review.boxes import Box
    from policies.rule import Rule

BundleOption = Annotated[
    Path | None, typer.Option("--bundle", metavar="DIR", help="Folder of a bundle [default: the one in use].")
]
RolesOption = Annotated[
    list[Role], typer.Option("--role", help="Of the principal; several if it has several.")
]
ActionOption = Annotated[Action, typer.Option("--action", help="What is asked for.")]
ResourceOption = Annotated[
    str, typer.Option("--on", metavar="RESOURCE", help="private, institutional, public, …")
]
PurposeOption = Annotated[Purpose, typer.Option("--purpose", help="Why.")]


def _resource(name: str) -> "Resource":
    from policies.model import RESOURCES  # noqa: PLC0415  # `--help` loads little

    known = {one.value: one for one in RESOURCES}
    if name not in known:
        raise typer.BadParameter(f"expected one of {', '.join(known)}", param_hint="--on")
    return known[name]


def _rules(bundle: Path | None) -> "tuple[Rule, ...]":
    return _rules_and_digest(bundle)[0]


def _rules_and_digest(bundle: Path | None) -> "tuple[tuple[Rule, ...], str]":
    from policies.bundle import ACCESS_RULES  # noqa: PLC0415  # as above
    from policies.rule import parse_rules  # noqa: PLC0415

    read = read_bundle(bundle)
    return parse_rules(read.text(ACCESS_RULES), ACCESS_RULES), read.digest


def explain(
    bundle: BundleArgument = None,
    *,
    role: RolesOption,
    action: ActionOption,
    on: ResourceOption,
    purpose: PurposeOption,
    relation: Annotated[
        Relation, typer.Option(help="How the principal stands to it.")
    ] = Relation.INSTITUTION,
    assurance: Annotated[Assurance, typer.Option(help="How surely it is known.")] = Assurance.SINGLE,
    emergency: Annotated[Emergency, typer.Option(help="Whether it declared an emergency.")] = Emergency.NONE,
    json_: JsonOption = False,
) -> None:
    """Say why a request is allowed, or which rules come nearest to allowing it and what keeps them from it."""
    from api.cli.policy_view import ExplanationView  # noqa: PLC0415  # as above
    from policies.review.explain import Asked  # noqa: PLC0415
    from policies.review.explain import explain as explained  # noqa: PLC0415

    resource = _resource(on)
    with reported(as_json=json_):
        asked = Asked(frozenset(role), resource, relation, assurance, emergency, action, purpose)
        view = ExplanationView.of(explained(_rules(bundle), asked))
    if json_:
        print_json(view)
        return
    for line in view.lines():
        say(line)


def who_can(
    action: Annotated[Action, typer.Argument(help="What is done.")],
    on: Annotated[str, typer.Argument(metavar="RESOURCE", help="On what: private, institutional, public, …")],
    bundle: BundleArgument = None,
    *,
    json_: JsonOption = False,
) -> None:
    """Tell everybody who can do something to a kind of thing, and under which conditions; nobody is left out."""
    from policies.review.explain import allowed_within  # noqa: PLC0415  # `--help` loads little

    resource = _resource(on)
    with reported(as_json=json_):
        found = allowed_within(_rules(bundle), actions=[action.value], resources=[resource.value])
    _tell(found, "nobody", as_json=json_)


def what_can(
    role: Annotated[list[Role], typer.Argument(help="The principal's role, or several of them.")],
    bundle: BundleOption = None,
    *,
    json_: JsonOption = False,
) -> None:
    """Tell all that a principal with these roles can do; what a rule denies one role is denied for all of them."""
    from policies.review.explain import allowed_together  # noqa: PLC0415  # as above

    with reported(as_json=json_):
        found = allowed_together(_rules(bundle), role)
    names = sorted(set(role))
    who = f"who is {' and '.join(names)} together" if len(names) > 1 else names[0].value
    _tell(found, "nothing", as_json=json_, who=who)


def _tell(found: "list[Box]", none: str, *, as_json: bool, who: str = "") -> None:
    from api.cli.policy_view import AllowedView  # noqa: PLC0415  # as above

    view = AllowedView.of(found, who)
    if as_json:
        print_json(view)
        return
    for box in view.allowed:
        say(box.sentence)
    note(counted(len(found), "sentence", "sentences") if found else none)


@called_by(auditor)
def explain_entry(
    call: Invocation,
    *,
    index: Annotated[int, typer.Argument(metavar="INDEX", min=0, help="Leaf index of the entry.")],
    bundle: BundleOption = None,
) -> None:
    """Say why a decision of the log was made, kind of thing by kind of thing; only from what the log says."""
    from api.cli.policy_view import EntryView  # noqa: PLC0415  # loads the vault
    from vault.decision_log import DecisionLog  # noqa: PLC0415

    rules, digest = _rules_and_digest(bundle)
    with call.session() as opened:
        log = DecisionLog(opened.vault.parts)
        logged, decided_by = log.entry(opened.principal, opened.caller.purpose, index)
    view = EntryView.of(logged, rules, same_bundle=decided_by == digest)
    if call.as_json:
        print_json(view)
        return
    for line in view.lines():
        say(line)
