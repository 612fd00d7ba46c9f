"""Every key of the file changes what the running daemon does: one proof for each, and a test that none is missing."""
