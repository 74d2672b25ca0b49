"""The MemOS pipeline: extract, organize, retrieve, update."""
