"""What a run would do, found without a call."""
