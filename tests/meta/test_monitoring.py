"""The Prometheus rules, the dashboards and the runbooks hold together: promtool plays the rules, every alert has its page, the
dashboards are what operations.dashboards says. The metrics that they name exist: tests/e2e/test_metrics.py.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from operations import dashboards, manifests

FOLDER = manifests.FOLDER / "components" / "monitoring"
RUNBOOKS = manifests.ROOT / "docs" / "runbooks"


def groups() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FOLDER / "rules.yaml").read_text())["spec"]["groups"]
    return found


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups() for rule in group["rules"] if "alert" in rule}


def promtool(*words: str, folder: Path) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not here (on Debian: apt install prometheus)")
    answer = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The rules as Prometheus reads them, with their tests beside."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups()}))
    shutil.copy(FOLDER / "rules.test.yaml", tmp_path)
    return tmp_path


def test_promtool_takes_the_rules(folder: Path):
    assert "SUCCESS" in promtool("check", "rules", "rules.yaml", folder=folder)


def test_promtool_plays_the_rules(folder: Path):
    promtool("test", "rules", "rules.test.yaml", folder=folder)


def test_a_rule_that_is_made_deaf_fails_its_test(folder: Path):
    text = (folder / "rules.yaml").read_text()
    assert "26 * 3600" in text
    (folder / "rules.yaml").write_text(text.replace("26 * 3600", "2600 * 3600"))
    with pytest.raises(AssertionError, match="BackupTooOld"):
        promtool("test", "rules", "rules.test.yaml", folder=folder)


def test_every_alert_has_its_runbook_and_every_runbook_its_alert():
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"docs/runbooks/{name}.md"
        assert rule["labels"]["severity"] in {"page", "ticket"}
        page = (RUNBOOKS / f"{name}.md").read_text()
        assert page.startswith(f"# {name}\n")
        # The command that shows and the command that mends.
        assert re.search(r"## See\n\n```\n.+\n```", page, re.DOTALL)
        assert re.search(r"## Mend\n\n\* \*\*", page)


def test_the_dashboards_are_what_is_written_down():
    for one in dashboards.DASHBOARDS:
        assert (FOLDER / "dashboards" / f"{one.name}.json").read_text() == dashboards.as_json(one), (
            "python -m operations.dashboards"
        )
    assert {path.stem for path in (FOLDER / "dashboards").iterdir()} == {one.name for one in dashboards.DASHBOARDS}


def test_promtool_understands_every_query_of_the_dashboards(tmp_path: Path):
    queries = [
        query for one in dashboards.DASHBOARDS for row in one.rows for panel in row for query, _ in panel.queries
    ]
    assert len(queries) > 30
    rules = [{"record": f"query:{n}", "expr": text.replace("$__rate_interval", "1m")} for n, text in enumerate(queries)]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", "queries.yaml", folder=tmp_path)
