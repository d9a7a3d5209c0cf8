"""The asynchronous stages that turn one question into one answer.

This package knows nothing of Kafka, of metrics back ends or of the environment: it is given its
components and an observer, and can be used without `streams`.
"""
