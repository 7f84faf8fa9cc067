"""Which image is for training, which for choosing, which for testing."""
