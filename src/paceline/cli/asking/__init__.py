"""What a user may ask: options from the command line, a file or a journal, and what they mean."""
