"""The routes of `/v1` and the health of the server: each translates, none decides."""
