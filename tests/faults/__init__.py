"""Real faults in a real room: sockets are cut and processes killed while the commands run. See driver.py."""
