"""What is written to Kafka for a question, and the one coroutine that writes it."""
