"""The whole room on one page: who works on which machine, who waits, what failed, and how an instructor steps in."""
