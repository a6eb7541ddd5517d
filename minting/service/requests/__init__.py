"""What people and programs ask for: selections, previews, batches, retries, errands."""
