"""`python -m tests.golden NAME ...`: train these cases, or all of them, and make their files anew where that is right."""

import sys

from tests.golden import Refused, make
from tests.golden.cases import CASES


def main(names: list[str]) -> int:
    """Make the files of these cases; 1 where one was refused."""
    unknown = [name for name in names if name not in CASES]
    if unknown:
        print(f"there is no case {', '.join(unknown)}; expected some of {', '.join(CASES)}")
        return 2
    refused = False
    for name in names or CASES:
        try:
            print(make(name))
        except Refused as error:
            refused = True
            print(error)
    return int(refused)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
