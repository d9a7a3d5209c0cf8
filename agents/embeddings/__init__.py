"""Texts turned into vectors that compare by meaning: by a server, or by a model in the process."""
