"""Work that is put off: a durable queue of tasks, and who works it."""
