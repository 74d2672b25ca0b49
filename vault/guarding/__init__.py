"""The guard: what content looks like, whether it is borne out, and what becomes of what is not."""
