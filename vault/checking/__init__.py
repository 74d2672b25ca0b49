"""The parts of the consistency check: one kind of thing a file."""
