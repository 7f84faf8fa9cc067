"""Which release this is, and what follows from it."""


class Face:
    """`keywords`: imageNet takes model=..., `checksum`: an engine is valid only with a fitting *.sha256sum,
    `top_k`: Classify(topK=) and SetThreshold, `none`: Capture answers None on a time-out, `unbuffered`: the log is written
    at once, `usb_flip`: --input-flip works for V4L2, `forever`: Capture waits for ever by default.
    """

    def __init__(self, year):
        self.year = year
        self.names = "jetson.inference" if year == 2020 else "jetson_inference"
        self.keywords = year >= 2022
        self.checksum = year >= 2022
        self.usb_flip = year >= 2022
        self.forever = year == 2020
        self.top_k = year >= 2023
        self.none = year >= 2023
        self.unbuffered = year >= 2023
        self.long_paths = year >= 2022


current = Face(2023)


def choose(year):
    global current
    current = Face(int(year))
