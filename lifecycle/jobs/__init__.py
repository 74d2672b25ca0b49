"""What time does to memories: one job a file."""
