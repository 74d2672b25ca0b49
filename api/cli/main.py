"""The command `memvault`: its commands in one list, and how the process ends.

Owns nothing but the list and the ends. Each command's module says what it does; none is imported
further than its options until it runs, so that `memvault --help` answers at once.

Exit codes: 0 ok, 1 error, 2 usage, 3 verification failed, 4 denied, 5 not authenticated, 6 not found,
7 conflict or hold, 9 could not check.
"""

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import takewhile
from types import TracebackType
from typing import Annotated, Final, ParamSpec

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from api.cli import (
    audit_export,
    audit_forensics,
    audit_query,
    audit_retire,
    audit_roll_key,
    audit_stream,
    audit_tiles,
    bench,
    care_team,
    certificate,
    consent,
    demo,
    emergency,
    feedback,
    guard,
    halumem,
    hold,
    jobs,
    keys,
    log,
    memories,
    operate,
    pipeline,
    policy,
    policy_diff,
    policy_explain,
    policy_pin,
    policy_replay,
    policy_sign,
    policy_simulate,
    principals,
    queue,
    retention,
    serve,
    snapshot,
    start,
    subject,
    tiers,
    witness,
)
from api.cli.audit_finality import finality
from api.cli.audit_intents import intents
from api.cli.audit_lookup import erase_payload, lookup
from api.cli.erase import erase
from api.cli.output import print_problem, reported
from api.cli.promote import promote

_Parameters = ParamSpec("_Parameters")
_USAGE_TYPE: Final = "urn:memvault:problem:usage"


def _reporting(command: Callable[_Parameters, None]) -> Callable[_Parameters, None]:
    """Let a command that knows nothing of exit codes end as the table of problems says."""

    @wraps(command)
    def reporting(*arguments: _Parameters.args, **options: _Parameters.kwargs) -> None:
        with reported(as_json=options.get("json_") is True):
            command(*arguments, **options)

    return reporting


class _Commands(TyperGroup):
    """The commands; with `--json` a usage error is told like any other, as one JSON value."""

    def main(  # Typer's own signature
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002
        **extra: object,
    ) -> object:
        """Run the command that the arguments name."""
        given = list(sys.argv[1:] if args is None else args)
        as_json = standalone_mode and "--json" in takewhile(lambda word: word != "--", given)
        try:
            ended = super().main(
                given, prog_name, complete_var, standalone_mode and not as_json, windows_expand_args, **extra
            )
        except TyperException as error:
            if not as_json:
                raise
            print_problem(
                _USAGE_TYPE, "The command is not used as it must be", error.format_message(), error.exit_code
            )
            sys.exit(error.exit_code)
        if as_json:
            sys.exit(ended if isinstance(ended, int) else 0)
        return ended


app = typer.Typer(
    cls=_Commands,
    name="memvault",
    help="A memory vault for language-model agents: screened, sealed, logged, provable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:  # noqa: FBT001  # typer's callback
    if asked:
        from importlib.metadata import version  # noqa: PLC0415  # only when asked

        typer.echo(version("memos-vault"))
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[  # noqa: FBT002  # typer's flag
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A memory vault for language-model agents: screened, sealed, logged, provable."""
    del version  # the callback has answered


app.command("init")(start.init)
app.command("extract")(memories.extract)
app.command("retrieve")(memories.retrieve)
app.command("show")(memories.show)
app.command("reveal")(memories.reveal)
app.command("update")(memories.update)
app.command("organize")(memories.organize)
app.command("supported")(guard.supported)
app.command("promote")(promote)
log.app.command("verify")(audit_export.verify)
log.app.command("export")(audit_export.export)
log.app.command("prove")(audit_export.prove)
log.app.command("verifier")(audit_export.verifier)
log.app.command("stream")(audit_stream.stream)
log.app.command("lookup")(lookup)
log.app.command("erase-payload")(erase_payload)
log.app.add_typer(intents, name="intents")
log.app.command("tiles")(audit_tiles.tiles)
log.app.command("finality")(finality)
log.app.command("forensics")(audit_forensics.forensics)
log.app.command("anchor")(audit_forensics.anchor)
log.app.command("retire-anchor")(audit_retire.retire_anchor)
log.app.command("roll-key")(audit_roll_key.roll_key)
log.app.command("query", context_settings=audit_query.MINUS_IS_NO_OPTION)(audit_query.query)
app.add_typer(log.app, name="audit")
app.command("erase")(erase)
app.add_typer(certificate.app, name="certificate")
app.add_typer(hold.app, name="hold")
app.add_typer(emergency.app, name="emergency")
app.add_typer(care_team.app, name="care-team")
app.add_typer(consent.app, name="consent")
app.add_typer(subject.app, name="subject")
app.add_typer(retention.app, name="retention")
policy.app.command("diff")(policy_diff.diff)
policy.app.command("explain")(policy_explain.explain)
policy.app.command("explain-entry")(policy_explain.explain_entry)
policy.app.command("who-can")(policy_explain.who_can)
policy.app.command("what-can")(policy_explain.what_can)
policy.app.command("replay")(policy_replay.replay)
policy.app.command("simulate")(policy_simulate.simulate)
policy.app.command("keygen")(policy_sign.keygen)
policy.app.command("sign")(policy_sign.sign)
policy.app.command("verify")(policy_sign.verify)
policy.app.command("pin")(policy_pin.pin)
policy.app.command("reload")(policy_pin.reload_policy)
app.add_typer(policy.app, name="policy")
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(keys.keys, name="keys")
app.add_typer(jobs.app, name="jobs")
app.add_typer(queue.app, name="queue")
app.add_typer(tiers.app, name="tiers")
app.add_typer(feedback.app, name="feedback")
app.add_typer(guard.app, name="guard")
app.command("context")(tiers.context)
app.command("episode")(tiers.episode)
app.add_typer(halumem.app, name="halumem")
app.add_typer(snapshot.app, name="snapshot")
app.add_typer(principals.app, name="principal")
app.command("doctor")(operate.doctor)
app.command("serve")(serve.serve)
app.add_typer(witness.app, name="witness")
app.command("demo")(_reporting(demo.demo))
app.command("bench")(_reporting(bench.bench))


def run() -> None:
    """Run the command line; the entry point of the installed command."""
    sys.excepthook = _defect
    # Not `app()`, which would put Typer's own hook, a traceback with messages, in the place of ours.
    typer.main.get_command(app)(prog_name="memvault")


def _defect(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    """Tell of an error that was not foreseen, without its message: it could hold content."""
    from api.problems import outline  # noqa: PLC0415  # only when something went wrong

    sys.stderr.write("memvault: a defect; please report these lines, which hold no content\n")
    sys.stderr.write(outline(error) + "\n")


if __name__ == "__main__":
    run()
