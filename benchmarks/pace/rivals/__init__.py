"""The rivals: each library's own controller where it can be driven, with that library's own handling of refused items."""
