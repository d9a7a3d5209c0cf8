"""The records of a question's outcome, and the one coroutine that sends them to Kafka."""
