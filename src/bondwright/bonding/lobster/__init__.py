"""Files of LOBSTER, read and written; its conventions are converted here and nowhere else."""

from bondwright.bonding.lobster.cohpcar import read_cohpcar
from bondwright.bonding.lobster.folder import read_lobster_folder
from bondwright.bonding.lobster.icohplist import BondList, Quantity, read_icohplist
from bondwright.bonding.lobster.images import bond_table, locate
from bondwright.bonding.lobster.lobsterin import (
    Generator,
    LobsterInput,
    lobsterin_text,
    read_lobsterin,
)
from bondwright.bonding.lobster.lobsterout import LobsterOutput, read_lobsterout
from bondwright.bonding.lobster.write import cohpcar_text, icohplist_text

__all__ = [
    "BondList",
    "Generator",
    "LobsterInput",
    "LobsterOutput",
    "Quantity",
    "bond_table",
    "cohpcar_text",
    "icohplist_text",
    "lobsterin_text",
    "locate",
    "read_cohpcar",
    "read_icohplist",
    "read_lobster_folder",
    "read_lobsterin",
    "read_lobsterout",
]
