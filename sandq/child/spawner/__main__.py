"""Run as a folder, `python -I -S sandq/child/spawner FD`: no module of the package is loaded."""

import os
import sys
from importlib import import_module

# the folder becomes a package of its own, and nothing of it stays on the path
parent, name = os.path.split(sys.path.pop(0))
sys.path.insert(0, parent)
loop = import_module(f"{name}.loop")
sys.path.remove(parent)

loop.main(int(sys.argv[1]))
