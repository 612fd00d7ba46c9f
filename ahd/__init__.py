"""ahd: one declared configuration file becomes a running real-time server."""

__version__ = "0.1.0"

from ahd.actions.action import ActionError, Input, action
from ahd.actions.context import Context

__all__ = ["ActionError", "Context", "Input", "__version__", "action"]
