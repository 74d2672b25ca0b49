"""What can go wrong in a HaluMem run.

HaluMemError
├── DatasetInvalidError   fix the file; says which line
├── JudgeFailedError      the program of a model judge; mend it, the run goes on where it stopped
└── RunMismatchError      the folder holds another run; choose another folder
"""


class HaluMemError(Exception):
    """Root of this room's errors."""


class DatasetInvalidError(HaluMemError):
    """A file is not what the schema says; never quotes its content.

    Args:
        message: What was expected.
        line: 1-based; None where the file as a whole is wrong.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


class JudgeFailedError(HaluMemError):
    """A model judge gave no answer, or none of the form; never quotes it."""


class RunMismatchError(HaluMemError):
    """What a run would resume was made from another file, system or judge, or is damaged."""
