"""The bundle that an open vault decides by: signed by whom, at least which version, and how another takes its place."""
