"""`python -m rl_abn` is `rl-abn`."""

from rl_abn.cli import main

if __name__ == "__main__":
    main()
