"""Kotae's asynchronous stages, which turn one question into one answer.

This package knows nothing of Kafka, metrics back ends or the environment. Its user gives it components
and an observer, and can use it without `streams`.
"""
