"""What a person types and sees: magics, settings, completion, and the driver of one cell."""
