"""What the programs for every machine share: Python 3.6, the standard library and, in preprocess alone, numpy."""
