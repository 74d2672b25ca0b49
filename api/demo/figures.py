"""The demonstration's figures as JSON: what a script or a test looks at."""

from api.demo.run import Played

Figures = dict[str, int | float | bool | str]


def figures(played: Played) -> Figures:
    """Return the figures that the report shows, by name."""
    proofs, disk, screening = played.proofs, played.disk, played.screening
    return {
        "sessions": len(played.story.chats),
        "turns": played.turns,
        "extract_seconds": round(played.extract_seconds, 3),
        "vector_seconds": round(played.vector_seconds, 3),
        "planted": len(played.story.planted),
        "missed": len(screening.missed),
        "needless_tokens": screening.needless,
        "tokens": sum(screening.tokens.values()),
        "questions": len(played.answers),
        "answered_in_first_five": sum(answered.found_at is not None for answered in played.answers),
        "links": played.links,
        "disputed": len(played.disputed),
        "candidates": played.candidates,
        "log_entries": proofs.entries,
        "log_verified": proofs.inside.passed and proofs.offline_passed,
        "alteration_caught": bool(proofs.altered_finding),
        "bytes_searched": disk.hunt.size,
        "values_searched": disk.hunt.values,
        "found_on_disk": len(disk.hunt.sightings),
        "found_in_control": len(disk.control.sightings),
        "bundle_digest": played.bundle_digest,
    }
