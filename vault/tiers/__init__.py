"""Where memory is kept at hand: activation memory, and the context block that is made of it."""
