"""Where the parts of spec/ lie that programs read."""

from pathlib import Path

from sandq.errors import ConfigError

_PACKAGE = Path(__file__).parents[1]


def spec_folder(name: str) -> Path:
    """The folder spec/`name`: inside the package when installed, beside it in a checkout."""
    for folder in (_PACKAGE / "spec" / name, _PACKAGE.parent / "spec" / name):
        if folder.is_dir():
            return folder

    raise ConfigError(
        f"the folder spec/{name} is missing from this installation of sandq; install it again"
    )
