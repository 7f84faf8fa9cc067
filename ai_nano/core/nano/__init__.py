"""What a Nano does, decided on the laptop."""
