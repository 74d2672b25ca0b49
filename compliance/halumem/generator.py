"""Seeded conversations in HaluMem's schema: made-up people whose facts are stated, changed, doubted and misquoted.

Owns the plot: who says what in which session, and what of it is to be remembered. The same seed, split and size
give the same bytes on every machine: all chance comes from `random.Random.random()`, whose sequence Python
promises to keep, and from nowhere else. Phrases are `slots`'s.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar

from compliance.halumem.asking import ask
from compliance.halumem.schema import TIME_FORMAT, MemoryPoint, MemorySource, Session, User, Utterance
from compliance.halumem.slots import SLOTS, Phrases, Slot, Split, phrases

T = TypeVar("T")
EPOCH: Final = datetime(2027, 1, 4, 9)  # noqa: DTZ001  # HaluMem's times name no zone
ASK_EVERY: Final = 5
"""Sessions between two sets of questions."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is generated."""

    users: int
    sessions: int


FULL: Final = Size(20, 50)
SMALL: Final = Size(2, 10)


class Chance:
    """All randomness of one user, from one seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311  # reproducible stories, no secrets

    def below(self, bound: int) -> int:
        """Return a number in `[0, bound)`."""
        return int(self._random.random() * bound)

    def pick(self, among: Sequence[T]) -> T:
        """Return one of several."""
        return among[self.below(len(among))]

    def happens(self, share: float) -> bool:
        """Say yes in this share of cases."""
        return self._random.random() < share


@dataclass(frozen=True, slots=True)
class Fact:
    """A slot's value, as it holds or is claimed to hold."""

    slot: Slot
    value: str
    day: str = ""

    def gold(self, who: str) -> str:
        """Return it as a memory point says it."""
        return self.slot.gold.format(who=who, v=self.value, d=self.day)

    def said(self, template: str, kin: str = "") -> str:
        """Return it as one sentence of a dialogue."""
        text = template.format(v=self.value, d=self.day, kin=kin)
        return text[0].upper() + text[1:]


@dataclass(slots=True)
class Life:
    """What has become of one person so far."""

    name: str
    words: Phrases
    chance: Chance
    known: dict[str, Fact] = field(default_factory=dict)
    """Present value by slot; of events, the latest."""
    past: dict[str, Fact] = field(default_factory=dict)
    """What the present value took the place of."""
    used: set[str] = field(default_factory=set)
    """Gold texts that were true or claimed: none is reused, so that no false one becomes true later."""

    def fresh(self, slot: Slot, now: datetime) -> Fact | None:
        """Return a value of a slot that was neither true nor claimed before; None when they are used up."""
        spoken = self.words.slots[slot.name]
        for _ in range(40):
            day = (
                now + timedelta(days=self.chance.below(60) + 1)
                if slot.changes
                else now - timedelta(days=self.chance.below(3))
            )
            fact = Fact(slot, self.chance.pick(spoken.values), f"{day:%B} {day.day}" if spoken.dated else "")
            if fact.gold(self.name) not in self.used:
                self.used.add(fact.gold(self.name))
                return fact
        return None


@dataclass(slots=True)
class Script:
    """One session while it is written."""

    now: datetime
    turns: list[Utterance] = field(default_factory=list)
    points: list[MemoryPoint] = field(default_factory=list)

    def exchange(self, user: str, assistant: str) -> None:
        """Add a user's turn and the answer to it."""
        number = len(self.turns) // 2
        stamp = (self.now + timedelta(minutes=number)).strftime(TIME_FORMAT)
        for role, text in (("user", user), ("assistant", assistant)):
            self.turns.append(Utterance.model_validate({"role": role, "content": text, "timestamp": stamp, "dialogue_turn": number}))  # fmt: skip

    def remember(self, fact: Fact, who: str, source: MemorySource, old: Fact | None = None) -> None:
        """Add a memory point."""
        self.points.append(
            MemoryPoint(
                index=len(self.points) + 1,
                memory_content=fact.gold(who),
                memory_type=fact.slot.kind,
                memory_source=source,
                is_update="True" if old else "False",
                original_memories=(old.gold(who),) if old else (),
                importance=fact.slot.importance,
                timestamp=self.now.strftime(TIME_FORMAT),
            )
        )


def generate(seed: int, split: Split, size: Size = FULL) -> Iterator[User]:
    """Yield made-up users, one at a time; same arguments, same users."""
    for number in range(size.users):
        yield _user(Chance(f"halumem/1/{split}/{seed}/{number}"), number, phrases(split), size.sessions)


def _user(chance: Chance, number: int, words: Phrases, sessions: int) -> User:
    name = f"{chance.pick(words.first_names)} {chance.pick(words.surnames)}"
    life = Life(name, words, chance)
    made = tuple(_session(life, index, sessions) for index in range(sessions))
    return User(
        uuid=f"generated-{number:04}", persona_info=f"Name: {name}; Gender: not stated", sessions=made
    )


def _session(life: Life, index: int, sessions: int) -> Session:
    script = Script(EPOCH + timedelta(days=6 * index, hours=life.chance.below(8)))
    for _ in range(2 + life.chance.below(3)):
        _tell(life, script)
    for _ in range(1 + life.chance.below(2)):
        life.chance.pick((_claim, _claim, _hearsay, _musing))(life, script)
    script.exchange(life.chance.pick(life.words.asides), life.chance.pick(life.words.replies))
    asked = (index + 1) % ASK_EVERY == 0 or index == sessions - 1
    return Session(
        start_time=script.now.strftime(TIME_FORMAT),
        end_time=(script.now + timedelta(minutes=len(script.turns) // 2)).strftime(TIME_FORMAT),
        dialogue=tuple(script.turns),
        memory_points=tuple(script.points),
        questions=ask(life, life.chance.pick) if asked else (),
    )


def _tell(life: Life, script: Script) -> None:
    """Have the user state a fact: plainly, in passing, as a change, after a slip, or by confirming a claim."""
    chance, words = life.chance, life.words
    slot = chance.pick([one for one in SLOTS if one.name not in life.known or one.changes or one.kind == "Event Memory"])  # fmt: skip
    fact = life.fresh(slot, script.now)
    if fact is None:
        return
    spoken = words.slots[slot.name]
    old = life.known.get(slot.name) if slot.changes else None
    said, reply = fact.said(chance.pick(spoken.facts)), chance.pick(words.replies)
    source = MemorySource.PRIMARY
    if old is not None:
        said = chance.pick(words.changes).format(s=said)
        life.past[slot.name] = old
    elif chance.happens(0.1):
        script.exchange(chance.pick(words.fillers), fact.said(spoken.claim))
        said, source = chance.pick(words.confirms), MemorySource.SYSTEM
    elif chance.happens(0.12) and (slip := life.fresh(slot, script.now)) is not None:
        wrong = slip.said(chance.pick(spoken.facts))
        said = chance.pick(words.corrections).format(wrong=wrong, right=said)
        script.remember(slip, life.name, MemorySource.INTERFERENCE)
    elif chance.happens(0.4):
        said = f"{chance.pick(words.fillers)} {said} {chance.pick(words.fillers)}"
        source = MemorySource.SECONDARY
    else:
        opener = chance.pick(words.openers)
        said = opener + (said if not opener or said.startswith(("I ", "I'", fact.value)) else said[0].lower() + said[1:])  # fmt: skip
    life.known[slot.name] = fact
    script.exchange(said, reply)
    script.remember(fact, life.name, source, old)


def _false(life: Life, script: Script) -> Fact | None:
    fact = life.fresh(life.chance.pick(SLOTS), script.now)
    if fact is not None:
        script.remember(fact, life.name, MemorySource.INTERFERENCE)
    return fact


def _claim(life: Life, script: Script) -> None:
    """Have the assistant assert what nobody said; the user passes over it, or says no."""
    fact = _false(life, script)
    if fact is None:
        return
    words, chance = life.words, life.chance
    script.exchange(chance.pick(words.asides), fact.said(words.slots[fact.slot.name].claim))
    rejected = chance.happens(0.4)
    script.exchange(chance.pick(words.rejects if rejected else words.fillers), chance.pick(words.replies))


def _hearsay(life: Life, script: Script) -> None:
    """Have the user say of somebody else what must not be taken for the user's own."""
    fact = _false(life, script)
    if fact is not None:
        said = fact.said(life.words.slots[fact.slot.name].third, life.chance.pick(life.words.kin))
        script.exchange(said, life.chance.pick(life.words.replies))


def _musing(life: Life, script: Script) -> None:
    """Have the user wonder about what is not so."""
    fact = _false(life, script)
    if fact is not None:
        script.exchange(
            fact.said(life.words.slots[fact.slot.name].hypo), life.chance.pick(life.words.replies)
        )
