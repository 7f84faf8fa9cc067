"""The machines of a classroom, as config.json names them."""
