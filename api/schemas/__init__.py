"""The shapes that cross the edge: bodies that come in, views that go out. One shape for HTTP and `--json`."""
