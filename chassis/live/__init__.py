"""Hot state that can be rebuilt: values and streams in Redis."""
