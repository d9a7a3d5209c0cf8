"""`python -m streams` is `kotae`."""

from streams.cli.main import main

main()
