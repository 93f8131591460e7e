"""Where rows go, and what they look like."""
