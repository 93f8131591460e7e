"""Health of a lane: what the ends of its calls say about the provider, the key and the items, beside the pace."""
