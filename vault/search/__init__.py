"""In-memory indexes over sealed rows."""
