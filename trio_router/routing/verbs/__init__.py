"""What a session may ask of the core, by subject."""
