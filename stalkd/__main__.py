"""Lets ``python -m stalkd`` start the daemon."""

from stalkd.cli import main

main()
