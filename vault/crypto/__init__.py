"""Sealing, keys and their wrapping."""
