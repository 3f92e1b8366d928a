"""What a person types: one file a family of magics, completion, help, the extension."""
