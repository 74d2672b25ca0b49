"""The operators that pipelines call: one file each, found by `vault.operators.catalogue`."""
