"""Whether two datasets are the same on the disk."""


def assert_same_files(folder, other):
    """The same names, and the same bytes in each."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(other)) for path in other.rglob("*") if path.is_file()}
    different = [name for name in sorted(names) if (folder / name).read_bytes() != (other / name).read_bytes()]
    assert not different
