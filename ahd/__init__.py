"""ahd: one declared configuration file becomes a running real-time server."""

__version__ = "0.1.0"
