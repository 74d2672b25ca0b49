"""What may happen: rules in reviewable files, and the code that decides."""
