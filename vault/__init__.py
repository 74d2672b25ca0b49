"""The memory itself: MemOS pipeline, privacy gate, crypto, storage, search."""
