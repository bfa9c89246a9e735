"""Run as a folder, `python forkserver FD`: no other module of the package is loaded."""

import os
import sys
from importlib import import_module

# the folder becomes a package of its own, and nothing of it stays on the path
parent, name = os.path.split(sys.path.pop(0))
sys.path.insert(0, parent)
server = import_module(f"{name}.server")
sys.path.remove(parent)

server.main(int(sys.argv[1]))
