"""`python -m tinymlsec` is the command line."""

from tinymlsec.cli import main

main()
