"""Programs of the GPU server: train, export, evaluate. Python 3.8 or newer, torch 2.1 or newer (requirements.txt)."""
