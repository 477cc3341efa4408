"""The root folders come along as subpackages, and do not hide other people's packages."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOT_PACKAGES = ["domains", "datasets", "envs", "benchmarks"]


@pytest.mark.parametrize("name", ROOT_PACKAGES)
def test_symlink_leads_to_files(name):
    link = ROOT / "cosmos_robot" / name
    assert link.is_symlink()
    assert link.resolve() == ROOT / name
    assert any(path.is_file() for path in link.iterdir())  # git keeps no empty folder, and a wheel no dangling link


@pytest.mark.parametrize("name", ROOT_PACKAGES)
def test_root_folder_is_no_package_of_its_own(name):
    assert not (ROOT / name / "__init__.py").exists()


def test_hugging_face_datasets_from_the_root():
    pytest.importorskip("datasets", reason="Hugging Face datasets comes with the extra lerobot")
    code = "import datasets; print(datasets.load_dataset.__module__)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "datasets.load"


@pytest.mark.slow
def test_wheel_holds_code_and_domains(tmp_path):
    """The wheel, unpacked elsewhere, knows its domains and its default negative prompt, and has the server's page."""
    import zipfile

    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "unpacked")
    page = Path("cosmos_robot/serving/page")
    assert {path.name for path in (ROOT / page).iterdir()} == {p.name for p in (tmp_path / "unpacked" / page).iterdir()}
    code = (
        "import cosmos_robot as cr; from cosmos_robot.interface.media_prompt import default_negative_prompt as negative; "
        "cr.WordChecker(); print(cr.__file__, cr.get_domain('av').raw_action_dim, negative()[:13])"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'unpacked')!r}); {code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == [str(tmp_path / "unpacked" / "cosmos_robot" / "__init__.py"), "9", '{"subjects":']
