"""HaluMem's files as types: one user a line, with sessions, memory points and questions.

Field names and their odd types (`is_update` is the text "True" or "False") are those of the files that
github.com/MemTensor/HaluMem writes (`scripts/stage6_2_final_result_medium.py`). Fields that we do not use are
skipped; a field that we use has to have its type. Owns shape and bounds, not reading (`files`).
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

TIME_FORMAT: Final = "%b %d, %Y, %H:%M:%S"
"""E.g. `May 03, 2027, 09:30:00`; HaluMem names no zone."""
MAX_SESSIONS: Final = 5_000
MAX_TURNS: Final = 2_000
MAX_POINTS: Final = 1_000
MAX_QUESTIONS: Final = 1_000

Line = Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
Content = Annotated[str, StringConstraints(max_length=100_000)]


class MemorySource(StrEnum):
    """Where a point comes from; `interference` must not be remembered."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    INTERFERENCE = "interference"
    SYSTEM = "system"


class MemoryType(StrEnum):
    """What a point is about."""

    PERSONA = "Persona Memory"
    EVENT = "Event Memory"
    RELATIONSHIP = "Relationship Memory"


class QuestionType(StrEnum):
    """The six types."""

    BASIC = "Basic Fact Recall"
    MULTI_HOP = "Multi-hop Inference"
    UPDATE = "Dynamic Update"
    BOUNDARY = "Memory Boundary"
    GENERALIZATION = "Generalization & Application"
    CONFLICT = "Memory Conflict"


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Utterance(_Shape):
    """One turn of a dialogue."""

    role: Literal["user", "assistant"]
    content: Content
    timestamp: Line
    dialogue_turn: Annotated[int, Field(ge=0, strict=True)] = 0


class MemoryPoint(_Shape):
    """What a session gives to remember, or, as interference, not to."""

    index: Annotated[int, Field(ge=0)] = 0
    memory_content: Line
    memory_type: MemoryType
    memory_source: MemorySource
    is_update: Literal["True", "False"]
    original_memories: Annotated[tuple[Line, ...], Field(max_length=100)] = ()
    importance: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)] = 0.0
    timestamp: str | None = None

    @property
    def updates(self) -> bool:
        """Whether it takes the place of an earlier one that is named."""
        return self.is_update == "True" and bool(self.original_memories)

    @property
    def interferes(self) -> bool:
        """Whether it must not be remembered."""
        return self.memory_source is MemorySource.INTERFERENCE


class Evidence(_Shape):
    """A memory that an answer rests on."""

    memory_content: Line
    memory_type: MemoryType | None = None


class Question(_Shape):
    """A question with its answer."""

    question: Line
    answer: Line
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=100)] = ()
    difficulty: Literal["easy", "medium", "hard"]
    question_type: QuestionType


class Session(_Shape):
    """One conversation."""

    start_time: Line | None = None
    end_time: Line | None = None
    dialogue: Annotated[tuple[Utterance, ...], Field(max_length=MAX_TURNS)]
    memory_points: Annotated[tuple[MemoryPoint, ...], Field(max_length=MAX_POINTS)] = ()
    questions: Annotated[tuple[Question, ...], Field(max_length=MAX_QUESTIONS)] = ()
    is_generated_qa_session: bool = False
    """HaluMem-Long's padding: ingested, not scored."""

    @property
    def started(self) -> datetime | None:
        """When it began, without a zone; None where the file does not say it in the known form."""
        try:
            return datetime.strptime(self.start_time or "", TIME_FORMAT)  # noqa: DTZ007  # the file names no zone
        except ValueError:
            return None


class User(_Shape):
    """One line of a file."""

    uuid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    persona_info: Content
    """`Name: …; Gender: …; …`."""
    sessions: Annotated[tuple[Session, ...], Field(max_length=MAX_SESSIONS)]

    @property
    def name(self) -> str:
        """The persona's full name; empty where the persona does not begin with it."""
        head, _, rest = self.persona_info.partition("Name:")
        return "" if head.strip() else rest.split(";")[0].strip()
