"""Link, supersede, verify and dispute what is known of a person, by rule."""

from policies.model import Action
from vault.pipeline.contracts import Contract, Count, Operator, Scope, SubjectName


class Whom(Contract):
    """Whose memories; None: the principal's own notes."""

    subject: SubjectName | None = None


class Organized(Contract):
    """What was done, in numbers."""

    examined: Count
    edges: Count
    changed: Count
    """Memories whose trust changed."""


class Organize(Operator[Whom, Organized]):
    """The organizer."""

    name, version = "organize", 1
    actions = frozenset({Action.ORGANIZE})
    input, output = Whom, Organized
    about = "Link, supersede, verify and dispute what is known of a person, by rule."

    def run(self, scope: Scope, value: Whom) -> Organized:
        """Organize."""
        linked = scope.memory.organize(subject=value.subject)
        return Organized(examined=linked.examined, edges=linked.edges, changed=linked.changed)


OPERATOR = Organize()
