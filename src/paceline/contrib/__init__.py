"""Models of evaluation frameworks that call through paceline: `inspect` for inspect_ai, `lm_eval` for the lm-evaluation-harness."""
