"""What happened, provably: entries, the Merkle log, checkpoints and their verification."""
