"""Runs one program: `program.py use_NAME PORT DATABASE`.

Workers import a program by its name, and so is it imported here: its tasks are then of the same module in both.
"""

import importlib
import os
import sys

os.environ["APPS_PORT"], os.environ["APPS_DATABASE"] = sys.argv[2:4]
importlib.import_module(sys.argv[1]).main()
