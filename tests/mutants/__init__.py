"""The mutation tester over the pure modules (`make mutants`), and the survivors that are accepted."""
