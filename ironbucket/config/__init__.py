"""Settings: what can be set, from where, and what must hold. `load` is the one entry point.

values     text to value, one function per kind
settings   the table of all settings
rules      what must hold between them
sources    credentials, environment, YAML file, flags
"""

from ironbucket.config.settings import FIELDS, Settings, default, reloaded
from ironbucket.config.sources import REPLICATOR_NEEDS, SERVER_NEEDS, Loaded, inspect, load

__all__ = ["FIELDS", "REPLICATOR_NEEDS", "SERVER_NEEDS", "Loaded", "Settings", "default", "inspect", "load", "reloaded"]
