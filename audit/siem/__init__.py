"""Entries in the formats that security teams' systems read: pure, one module a format.

Owns the forms. It leaves reading the log, deciding who may, and every cursor to `vault.log_stream`, and
connections to the edge.
"""
