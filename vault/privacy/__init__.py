"""The privacy gate: what is personal data, and what becomes of it."""
