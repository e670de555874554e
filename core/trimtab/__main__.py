"""Makes `python -m trimtab` the same as `trimtab`."""

from trimtab.cli import main

main()
