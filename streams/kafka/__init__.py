"""The cluster as settings name it, and the one home of aiokafka's quirks."""
