"""The demonstration: a conversation goes through the whole vault, in the terminal and as one report."""
