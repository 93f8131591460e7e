"""Results: stored, recalled, shared and handed over."""
