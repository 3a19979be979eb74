"""The command line, whose first rank starts two seconds after the others."""

import os
import time

from wingbar.cli import main

if os.environ["RANK"] == "0":
    time.sleep(2)
main()
