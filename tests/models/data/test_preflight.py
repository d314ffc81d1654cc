"""What a command would write over is looked at first: figures and reports of ours alone may be replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.data.preflight import PreflightError, need_own_figures, need_own_report
from tests.odd_files import no_regular_files


@given(
    mine=st.binary(max_size=40)
    | st.dictionaries(st.text(), st.integers()).map(lambda x: json.dumps(x).encode())
)
@example(mine=b'{"model": 0}')
@example(mine=b'{"images": ["a.png"]}')
def test_a_file_of_figures_is_replaced_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, mine: bytes
) -> None:
    folder = tmp_path_factory.mktemp("figures")
    need_own_figures(None)
    need_own_figures(folder / "new.json")
    (folder / "earlier.json").write_text(json.dumps({"images": 12, "image_auroc": 0.9}))
    need_own_figures(folder / "earlier.json")
    (folder / "mine.json").write_bytes(mine)
    with pytest.raises(PreflightError, match="holds no figures"):
        need_own_figures(folder / "mine.json")
    for odd in no_regular_files(folder):
        with pytest.raises(PreflightError, match="holds no figures"):
            need_own_figures(odd)


def test_a_folder_of_a_report_is_written_anew_and_no_other(tmp_path: Path) -> None:
    need_own_report(None)
    need_own_report(tmp_path / "new")
    need_own_report(tmp_path)
    (tmp_path / "curves.png").touch()
    (tmp_path / "yardstick").mkdir()
    need_own_report(tmp_path)
    (tmp_path / "thesis.odt").touch()
    with pytest.raises(PreflightError, match=r"holds thesis\.odt, which is of no report"):
        need_own_report(tmp_path)
