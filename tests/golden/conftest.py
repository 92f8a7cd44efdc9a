from pathlib import Path

import pytest

from golden.fixture_format import fixture_names

DEFAULT_FOLDER = Path(__file__).parent / "fixtures"
NOT_YET_BUILT = "parity not yet built: "


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


@pytest.fixture(scope="session")
def skip_not_yet_built():
    """Skips a test and has the reason printed at the end of the run."""
    return lambda reason: pytest.skip(NOT_YET_BUILT + reason)


def pytest_terminal_summary(terminalreporter):
    reports = terminalreporter.stats.get("skipped", [])
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in reports}
    for reason in sorted(reasons):
        if reason.startswith(NOT_YET_BUILT):
            terminalreporter.write_line(reason)
