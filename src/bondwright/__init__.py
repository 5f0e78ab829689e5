"""bondwright: screen generated crystals and learn the bond strengths of metallic glasses."""

from importlib.metadata import version

__version__ = version("bondwright")
