"""What answers rest on: documents cut into chunks, an index of them, and the retriever over it."""
