"""A student's project: its images, classes and what is kept of them."""
