"""`python -m ai_nano` is the command `ai-nano`."""

import sys

from ai_nano.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
