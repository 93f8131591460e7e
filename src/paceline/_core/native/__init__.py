"""Native batches: jobs of a provider's own batch API, which cost half and answer within a day."""
