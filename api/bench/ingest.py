"""Bulk ingest of real conversations with everything on, counted until the last dense vector is in place.

Owns the comparison with peers that protect nothing. All turns of LoCoMo go in as they do in use: here a
call of `extract` for each session, and beside it one for each turn; in the peers one `add` for each turn,
which is all that they offer. Each system takes a conversation in turn, so that all see the same noise of
the machine. The embedder is the same everywhere, all-MiniLM-L6-v2 in 8 bits; the peers call it text by
text on one thread inside `add`, the vault calls it in batches, on two threads, beside the writes. That is
part of what is compared.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from api.bench.made_up import new_vault, owner_of
from api.bench.peers import MEM0, MEMOS, Peer, PeerError, PeerItem, PeerProcess
from api.bench.recall import Dialogue, DialogueTurn, read_dialogues
from api.bench.report import Figure, Target, at_least, not_judged, not_measured, p50
from vault.model import Chat, SpeakerRole, Turn
from vault.opening import Vault, VaultOptions
from vault.search.embed import Embedder, MiniLmEmbedder

TARGETS: Final = {MEM0.name: at_least(1.3), MEMOS.name: at_least(1.5)}
SESSIONS: Final = "bulk ingest, a call for each session"
TURNS: Final = "bulk ingest, a call for each turn"
_QUICK_TURNS: Final = 300

Step = Callable[[str], None]
Loader = Callable[[Dialogue], float]
"""Takes in a conversation and returns the seconds until all of it is in place."""


def ingest(
    scratch: Path,
    locomo: Path,
    *,
    harness: Path | None = None,
    peers: Path | None = None,
    quick: bool = False,
    step: Step = lambda _: None,
    options: VaultOptions | None = None,
) -> list[Figure]:
    """Take in all conversations with the vault and with each peer that is there.

    Args:
        scratch: A folder for the stores.
        locomo: The conversations.
        harness: The peers' harness, if it is there.
        peers: Where its environments are, if they are.
        quick: Only the beginning of one conversation.
        step: Told what is being done.
        options: Of the vaults; None is everything on.
    """
    chosen = options or VaultOptions()
    dialogues = read_dialogues(locomo)
    if quick:
        dialogues = [_beginning(dialogues[0], _QUICK_TURNS)]
    turns = sum(len(dialogue.turns) for dialogue in dialogues)
    with ExitStack() as stack:
        loaders, failed = _peer_loaders(stack, scratch, harness, peers)
        for name, by in ((SESSIONS, _by_session), (TURNS, _by_turn)):
            vault = stack.enter_context(new_vault(scratch / f"ingest-{by.__name__}", chosen))
            _warm(vault)
            loaders[name] = _vault_loader(vault, by)
        seconds = _take_turns(dialogues, loaders, failed, step)
        single = _query_embedding(dialogues, chosen.embedder or MiniLmEmbedder())
    rates = {name: turns / taken for name, taken in seconds.items()}
    ratios = list(_ratios(rates, failed))
    if quick:
        ratios = [not_judged(one, f"a small sample: {turns} turns") for one in ratios]
    return [*_figures(rates, seconds, turns), *ratios, single]


def _take_turns(
    dialogues: Sequence[Dialogue], loaders: dict[str, Loader], failed: dict[str, str], step: Step
) -> dict[str, float]:
    seconds = dict.fromkeys(loaders, 0.0)
    for dialogue in dialogues:
        for name, load in loaders.items():
            if name in failed:
                continue
            step(f"{name}: {dialogue.name}")
            try:
                seconds[name] += load(dialogue)
            except PeerError as error:
                failed[name] = str(error)
    return {name: taken for name, taken in seconds.items() if name not in failed}


def _figures(rates: dict[str, float], seconds: dict[str, float], turns: int) -> Iterator[Figure]:
    for name in sorted(rates, key=lambda name: -rates[name]):
        own = name in (SESSIONS, TURNS)
        label = name if own else f"{name}, an add for each turn"
        note = f"{turns:,} turns in {seconds[name]:.1f} s" + (
            ", until the last dense vector is durable and searchable" if own else ", protects nothing"
        )
        yield Figure(label, rates[name], "memories/s", note=note)


def _ratios(rates: dict[str, float], failed: dict[str, str]) -> Iterator[Figure]:
    for name, target in TARGETS.items():
        for ours, bound in ((SESSIONS, target), (TURNS, None)):
            label = f"{ours}, against {name}"
            yield _ratio(label, rates.get(ours), rates.get(name), bound, failed.get(name, ""))


def _ratio(label: str, ours: float | None, theirs: float | None, target: Target | None, why: str) -> Figure:
    if ours is None or not theirs:
        return not_measured(label, "times", why or "not in this run", target)
    return Figure(label, ours / theirs, "times", target, "same texts, same model, same run")


def _peer_loaders(
    stack: ExitStack, scratch: Path, harness: Path | None, root: Path | None
) -> tuple[dict[str, Loader], dict[str, str]]:
    loaders: dict[str, Loader] = {}
    failed: dict[str, str] = {}
    for peer in (MEM0, MEMOS):
        try:
            loaders[peer.name] = _peer_loader(stack, peer, harness, root, scratch)
        except PeerError as error:
            failed[peer.name] = str(error)
    return loaders, failed


def _peer_loader(
    stack: ExitStack, peer: Peer, harness: Path | None, root: Path | None, scratch: Path
) -> Loader:
    if harness is None or not (harness / "worker.py").is_file():
        raise PeerError("the harness ../shared/bench is not here")
    if root is None:
        raise PeerError("--peers was not given: the folder in which setup_peers.py put them")
    process = stack.enter_context(PeerProcess(peer, harness, root, scratch / f"peer-{peer.environment}"))
    process.add([{"id": "warm", "user": "warm", "text": "Nobody: the first add opens the store."}])

    def load(dialogue: Dialogue) -> float:
        return process.add([_item(dialogue, turn) for turn in dialogue.turns])

    return load


def _item(dialogue: Dialogue, turn: DialogueTurn) -> PeerItem:
    return {"id": turn.id, "user": dialogue.name, "text": f"{turn.speaker}: {turn.text}"}


def _vault_loader(vault: Vault, by: Callable[[Dialogue], Iterator[Chat]]) -> Loader:
    memory = owner_of(vault)

    def load(dialogue: Dialogue) -> float:
        start = time.perf_counter()
        for chat in by(dialogue):
            memory.extract(chat, subject=dialogue.name)
        memory.wait()
        return time.perf_counter() - start

    return load


def _warm(vault: Vault) -> None:
    """Load models before the clock starts, as the peers' are."""
    owner_of(vault).extract("Nobody said that the models are loaded by now.", subject="warm")
    vault.wait()


def _by_session(dialogue: Dialogue) -> Iterator[Chat]:
    for session in dict.fromkeys(turn.session for turn in dialogue.turns):
        turns = [turn for turn in dialogue.turns if turn.session == session]
        yield Chat(tuple(_turn(turn) for turn in turns), started=turns[0].at)


def _by_turn(dialogue: Dialogue) -> Iterator[Chat]:
    for turn in dialogue.turns:
        yield Chat((_turn(turn),), started=turn.at)


def _turn(turn: DialogueTurn) -> Turn:
    return Turn(turn.speaker, turn.text, SpeakerRole.USER, turn.at, turn.id)


def _beginning(dialogue: Dialogue, turns: int) -> Dialogue:
    return Dialogue(dialogue.name, dialogue.turns[:turns], dialogue.questions)


def _query_embedding(dialogues: Sequence[Dialogue], embedder: Embedder) -> Figure:
    """Measure what a question's embedding adds to the own cost of a search."""
    embedder.embed(["loaded before the clock starts"])
    taken = []
    for asked in [asked for dialogue in dialogues for asked in dialogue.questions][:100]:
        start = time.perf_counter()
        embedder.embed([asked.text])
        taken.append(time.perf_counter() - start)
    return Figure("embedding of a question, p50", p50(taken) * 1e3, "ms", note="added to a search's own cost")
