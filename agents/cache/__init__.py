"""Answers that are given again, where nothing that they rest on has changed."""
