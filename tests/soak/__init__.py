"""A class of laptops against one server: tests.soak (`make soak`), tests/e2e/test_three_laptops.py."""
