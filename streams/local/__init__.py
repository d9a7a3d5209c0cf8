"""Parts for one machine: a broker, an in-process cluster, a model server, the demo. No worker needs them."""
