"""The TCP server: one request a line in, one JSON object a line out."""
