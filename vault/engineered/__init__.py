"""Engineered pipelines, and the one executor that runs operators for them and for what a model asks for."""
