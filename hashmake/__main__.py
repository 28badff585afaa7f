"""`python -m hashmake` is the command `hashmake`."""

from hashmake.front import main

if __name__ == "__main__":
    main()
