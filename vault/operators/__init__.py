"""The operators that pipelines and orchestration call: one file each, found by `vault.operators.catalogue`."""
