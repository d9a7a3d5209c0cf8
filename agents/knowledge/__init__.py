"""Documents cut into chunks, indexes of the chunks, and the retriever that searches them."""
