"""Claims and their evidence. Empty until the first control lands."""
