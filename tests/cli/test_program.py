"""The program around its commands: version, help, domains, and what it imports."""

import subprocess
import sys

import pytest

from cosmos_robot.domains.registry import domain_names


def test_the_version(cosmos_robot):
    result = cosmos_robot("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("cosmos-robot")


def test_no_command_shows_the_help(cosmos_robot):
    result = cosmos_robot()
    assert "forward-dynamics" in result.stdout + result.stderr


@pytest.mark.parametrize("command", ["forward-dynamics", "inverse-dynamics", "policy", "rollout", "run", "domains"])
def test_every_command_has_help(cosmos_robot, command):
    result = cosmos_robot(command, "--help")
    assert result.exit_code == 0
    assert f"cosmos-robot {command}" in result.stdout


def test_the_list_of_domains_names_them_all(cosmos_robot):
    result = cosmos_robot("domains")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines() if line[:1].strip()][1:-1] == list(domain_names())


def test_one_domain_explained(cosmos_robot):
    result = cosmos_robot("domains", "show", "push-t")
    assert result.exit_code == 0
    for fact in ("pusht", "target_x", "px", "top_down_2d_view", "minmax"):
        assert fact in result.stdout


def test_an_unknown_domain(cosmos_robot):
    result = cosmos_robot("domains", "show", "avv")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: unknown domain 'avv' (did you mean 'av'?)")


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], {"torch", "diffusers", "transformers", "scipy"}),
        (["policy", "--help"], {"torch", "diffusers", "transformers", "scipy"}),
        (["domains"], {"torch", "diffusers", "transformers"}),
        (["policy", "--domain", "nothing", "--frame", "x.png"], {"torch", "diffusers", "transformers"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(arguments, absent):
    program = (
        "import sys\nfrom cosmos_robot.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('IMPORTED', *{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    imported = set(done.stdout.rsplit("IMPORTED", 1)[1].split())
    assert "typer" in imported
    assert imported & absent == set()


def test_python_minus_m(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "cosmos_robot.cli", "domains", "show", "av"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("av: ")
