"""The command line, `cosmos-robot`."""


def main() -> None:
    """Run the command line on the arguments of this process; ends it with the exit status."""
    from cosmos_robot.cli.app import app

    app(prog_name="cosmos-robot")
