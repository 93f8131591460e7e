"""Tests of the models of evaluation frameworks that need no framework; the others are in tests/live/test_frameworks.py."""
