"""What a user sees while a batch runs."""
