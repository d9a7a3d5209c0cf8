"""`python -m tests.acceptance.oracle.mutants NAME …`: `kotae …` with the defect of that name."""

import sys

from streams.cli.main import main
from tests.acceptance.oracle.mutants.defects import DEFECTS

DEFECTS[sys.argv.pop(1)]()
main()
