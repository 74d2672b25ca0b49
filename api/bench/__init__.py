"""The benchmark: every figure that this project claims, measured again by one command.

`memvault bench` runs the suites of `api.bench.run`; each of the other modules measures one thing and
returns figures. Nothing here decides what the vault does, and nothing of the vault imports it.
"""
