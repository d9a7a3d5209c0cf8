"""The writers of answers: a model's server, or extraction where there is none."""
