"""Give a list of memories out as ids with a digest, for whoever has to show later which they were."""

from hashlib import sha256

from vault.pipeline.contracts import Contract, Count, Digest, MemoryIds, Operator, Scope


class Listed(Contract):
    """Memories."""

    memories: MemoryIds


class Exported(Contract):
    """Their ids, each once and in order, and SHA-256 over these, one a line."""

    memories: MemoryIds
    count: Count
    digest: Digest


class ExportIds(Operator[Listed, Exported]):
    """Works on ids alone: reads nothing, and nothing of a memory leaves."""

    name, version = "export-ids", 1
    actions = frozenset()
    input, output = Listed, Exported
    about = "Give memories out as ids with a digest; no content."

    def run(self, scope: Scope, value: Listed) -> Exported:  # noqa: ARG002  # ids alone
        """List."""
        ids = tuple(sorted(set(value.memories)))
        digest = sha256("".join(f"{one}\n" for one in ids).encode()).hexdigest()
        return Exported(memories=ids, count=len(ids), digest=f"sha256:{digest}")


OPERATOR = ExportIds()
