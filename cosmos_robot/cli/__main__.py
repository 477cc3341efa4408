"""`python -m cosmos_robot.cli`, for where the package is not installed."""

from cosmos_robot.cli import main

main()
