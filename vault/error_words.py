"""The kind of an error as a fixed word, for entries and rows: its message may hold content."""


def kind_of(error: BaseException) -> str:
    """Return the kind of an error, such as `storage-full`."""
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in name).strip("-_")[:64]
