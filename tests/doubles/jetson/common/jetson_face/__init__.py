"""Stands in for jetson-inference and jetson-utils, in the faces that their releases of 2020, 2022 and 2023 show to Python.

Written from their sources; doc/design/nano.md has the table, with file and commit, and the letters in brackets here, as
[I1], are its rows. Put `common` and one of `face2020`, `face2022`, `face2023` on PYTHONPATH. Runs on CPython 3.6 and newer
with numpy, OpenCV and ONNX Runtime.

What varies without another release is in the JSON file that the environment's JETSON_DOUBLE names (see `settings.py`).
"""
