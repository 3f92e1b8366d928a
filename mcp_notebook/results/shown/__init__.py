"""What a model and a person are shown of a table."""
