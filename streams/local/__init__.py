"""Parts for one machine: a broker, an in-process cluster, a model server. No worker needs any of them."""
