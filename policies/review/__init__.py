"""Reviewing policies like code: lint, cases, mutation, difference, explanation and replay.

Pure: bundles and logged facts in, findings and sentences out. It asks no engine: it stands on `policies.space`, which
the tests compare with what decides, point by point.
"""
