"Worlds: the contract (`world`), and those that the book brings. Importing the package registers them and their gymnasium ids."
import mujoco

from .bodies import Body
from .cartpole import CartpoleWorld
from .cube import CubeWorld
from .pusher import PushTWorld
from .reacher import ReacherWorld
from .two_room import TwoRoomWorld
from .walker import WalkerWorld
from .world import World, check_world, find_world, lacks, register, worlds  # noqa: F401

if [*map(int, mujoco.__version__.split(".")[:2])] < [3, 5]: Body.draw = None # rays say nothing of normals there

for _world in TwoRoomWorld(), ReacherWorld(), PushTWorld(), CubeWorld(), CartpoleWorld(), WalkerWorld():
    register(_world)
