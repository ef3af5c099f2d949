"Worlds: the contract (`world`), and those that the book brings. Importing the package registers them and their gymnasium ids."
from . import two_room  # noqa: F401
from .world import World, check_world, find_world, lacks, register, worlds  # noqa: F401
