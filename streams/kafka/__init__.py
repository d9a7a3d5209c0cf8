"""The cluster that the settings name, and the one home of aiokafka's quirks."""
