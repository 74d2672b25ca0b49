"""HaluMem's tasks and measures, on its own files or on conversations that we generate: see `docs/halumem.md`."""
