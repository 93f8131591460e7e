"""How a run is begun, carried out, and told of."""
