"""Questions to a log: one grammar, a typed tree, and a derived index that answers fast.

    from audit.query.parse import parse_query

    question = parse_query("actor:agent-7 -outcome:allowed since:7d", now=clock())

`syntax`, `words`, `moments`, `parse` and `evaluate` are pure; `index`, `compile`, `find` and `count` know
SQL. Nothing here decides who may ask: that is the vault's. The index is never evidence: what it finds is
read from the log.
"""
