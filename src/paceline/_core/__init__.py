"""Everything that decides: pure, without clock, chance, I/O or async."""
