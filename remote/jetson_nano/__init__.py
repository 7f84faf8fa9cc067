"""The programs for the Jetson Nano: Python 3.6 or newer, nothing beyond what JetPack and jetson-inference bring."""
