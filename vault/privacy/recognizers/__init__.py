"""Patterns and checksums, by family: pure functions from text to findings, in linear time.

Every quantifier is bounded or stands on a class that what follows cannot match, so that no text makes
a search slow. `vault.privacy.detect` registers each family with Presidio; nothing here knows of it.
"""
