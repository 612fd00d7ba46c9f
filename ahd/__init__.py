"""ahd: one declared configuration file becomes a running real-time server."""

__version__ = "0.1.0"

from ahd.actions.action import ActionError, Input, action
from ahd.actions.context import Context
from ahd.actions.upload import Upload

__all__ = ["ActionError", "Context", "Input", "Upload", "__version__", "action"]
