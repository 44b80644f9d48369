"""The version: that of the build, which takes it from the tags of the repository."""

__all__ = ["__version__"]

try:
    from bestdefense_async._release import __version__
except ImportError:  # a checkout that nothing has been built from
    __version__ = "0.0.0"
