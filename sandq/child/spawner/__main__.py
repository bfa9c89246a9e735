"""Run as a folder, `python -I -S sandq/child/spawner FD`: no module of the package is loaded."""

import os
import sys
from importlib import import_module

if not __package__:
    # the folder becomes a package of its own, and nothing of it stays on the path
    parent, name = os.path.split(sys.path.pop(0))
    sys.path.insert(0, parent)
    __package__ = import_module(name).__name__
    sys.path.remove(parent)

from .loop import main

main(int(sys.argv[1]))
