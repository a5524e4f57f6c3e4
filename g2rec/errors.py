"""The errors that a user can cause.

Each message is one sentence: what was expected, what came, what to do. ``g2rec.cli`` prints it on
one line of stderr and exits with code 2; a traceback is only ever shown for a bug of ours.
"""


class G2RecError(Exception):
    """Base of every error that a user can cause and mend."""


class ConfigError(G2RecError):
    """A setting that is out of range, unknown, or does not fit the other settings."""


class DataError(G2RecError):
    """Input data that is missing, damaged, or not what the recipe says."""


class ArtifactError(G2RecError):
    """A saved folder that is missing, damaged, or does not fit the one it is used with."""
