"""`python -m raybench`: the command line, where no `raybench` is on the path."""

from raybench.cli import main

if __name__ == "__main__":
    main()
