"""The steps by which a person is erased; `vault.erasure` is what is called."""
