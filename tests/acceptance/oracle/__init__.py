"""An oracle for the guarantees: ledgers kept outside the worker, and a checker of the invariants in them."""
