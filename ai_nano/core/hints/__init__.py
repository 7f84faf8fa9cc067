"""What is wrong with recorded images, and what to do."""
