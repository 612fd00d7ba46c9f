"""Text and environment in, a frozen Config or the list of all mistakes out."""

from .load import load, loads, where
from .mistakes import ConfigError, Mistake, Note, Place
from .model import Config, Secret

__all__ = ["Config", "ConfigError", "Mistake", "Note", "Place", "Secret", "load", "loads", "where"]
