from pathlib import Path

import pytest

from golden.fixture_format import fixture_names

DEFAULT_FOLDER = Path(__file__).parent / "fixtures"


def pytest_addoption(parser):
    parser.addoption(
        "--fixtures-dir",
        type=Path,
        default=DEFAULT_FOLDER,
        help="folder of parity fixtures, in the format of tests/golden/fixtures/README.md",
    )


def fixtures_folder(config) -> Path:
    # Without a default here, a run of the whole suite fails: it reads this file after its options.
    return config.getoption("--fixtures-dir", default=DEFAULT_FOLDER)


def pytest_generate_tests(metafunc):
    if "fixture_name" in metafunc.fixturenames:
        names = fixture_names(fixtures_folder(metafunc.config))
        metafunc.parametrize("fixture_name", names)


@pytest.fixture(scope="session")
def folder(pytestconfig) -> Path:
    return fixtures_folder(pytestconfig)
