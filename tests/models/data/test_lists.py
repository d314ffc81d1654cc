"""Lists from other machines are read, or refused with file, row, column and value; nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.contract.label import GOOD_WORDS
from models.data.datasets import DataError, load_items, read_set, summary
from models.data.items import BAD_WORDS, SPLITS
from models.data.lists import read_rows
from tests.models.tiny import write_tiny

HEADER = "split,label,defect,image,mask"
GOOD = "train,0,good,train/good/000.png,"
BAD = "test,1,scratch,test/scratch/000.png,ground_truth/scratch/000_mask.png"
WANTED = ("split", "label", "image", "mask")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("lists") / "tiny")


def listed(root: Path, *rows: str, encoding: str = "utf-8", end: str = "\n", header: str = HEADER) -> Path:
    (root / "manifest.csv").write_bytes(end.join([header, *rows, ""]).encode(encoding))
    return root


written = st.sampled_from([str.lower, str.upper, str.title, lambda word: f" {word} "])


@given(good=st.sampled_from(sorted(GOOD_WORDS)), bad=st.sampled_from(sorted(BAD_WORDS)), write=written)
def test_every_known_word_means_its_label(root: Path, good: str, bad: str, write) -> None:  # type: ignore[no-untyped-def]
    rows = GOOD.replace(",0,", f",{write(good)},"), BAD.replace(",1,", f",{write(bad)},")
    judged, trained = load_items(listed(root, *rows))
    assert (trained.is_good, judged.is_good, judged.defect) == (True, False, "scratch")


@given(word=st.text("abcdefghijklmnopqrstuvwxyz0123456789.-?", max_size=8))
@pytest.mark.parametrize("column", ["split", "label"])
def test_any_other_word_is_refused_with_its_row_and_value(root: Path, column: str, word: str) -> None:
    if word in (GOOD_WORDS | BAD_WORDS if column == "label" else set(SPLITS)):
        return
    row = (
        f"train,{word},good,train/good/001.png,"
        if column == "label"
        else f"{word},0,good,train/good/001.png,"
    )
    with pytest.raises(DataError) as raised:
        load_items(listed(root, GOOD, row))
    assert f"manifest.csv: 1 rows are wrong: row 3, {column}: '{word}'" in str(raised.value)


def test_all_wrong_rows_are_counted_and_the_first_named(root: Path) -> None:
    with pytest.raises(
        DataError, match=r"7 rows are wrong: row 2, .* row 3, .* row 4, .* \(and 4 rows more\)"
    ):
        load_items(listed(root, *[GOOD.replace(",0,", ",2,")] * 7))


def test_a_defect_that_contradicts_the_label_is_refused(root: Path) -> None:
    for row in (GOOD.replace("good,", "dent,", 1), BAD.replace("scratch,", "good,", 1)):
        with pytest.raises(DataError, match=r"row 2, defect: .* contradicts the label"):
            load_items(listed(root, row))


def test_a_picture_that_is_good_and_defective_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"000\.png is listed as good and as defective"):
        load_items(listed(root, GOOD, "train,ng,scratch,train/good/000.png,"))


def test_defective_parts_of_the_training_split_are_told_and_not_good(root: Path) -> None:
    found = read_set(listed(root, GOOD, "train,NG,scratch,train/good/001.png,"))
    assert [item.is_good for item in found.items] == [True, False]
    assert any("left out: 1 defective of the training split" in line for line in summary(root, found))


def test_the_validation_split_is_told(root: Path) -> None:
    found = read_set(listed(root, GOOD, "Validation,0,good,train/good/001.png,"))
    assert len(found.items) == 1
    assert any("1 of the validation split" in line for line in summary(root, found))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("hint", [False, True])
def test_a_list_is_read_as_any_spreadsheet_writes_it(
    root: Path, encoding: str, end: str, delimiter: str, hint: bool
) -> None:
    header = " Split , LABEL,defect,image ,mask"
    rows = [row.replace(",", delimiter).replace("/", "\\") for row in (GOOD, BAD)]
    head = f"sep={delimiter}{end}" * hint + header.replace(",", delimiter)
    assert len(load_items(listed(root, *rows, encoding=encoding, end=end, header=head))) == 2


@pytest.mark.parametrize(("encoding", "said"), [("latin-1", "not UTF-8 at byte"), ("utf-16-le", "UTF-16")])
def test_an_encoding_that_cannot_be_known_is_named(root: Path, encoding: str, said: str) -> None:
    row = GOOD.replace("good,", "gut für,", 1)
    with pytest.raises(DataError, match=rf"manifest\.csv: .*{said}.*save it as CSV UTF-8"):
        load_items(listed(root, row, encoding=encoding))


@pytest.mark.parametrize(
    "name", ["../x.png", "/etc/passwd", "train/../../x.png", "..\\x.png", "a\0b", "a" * 5000]
)
def test_a_file_that_cannot_be_in_the_set_is_refused_in_its_row(root: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"manifest\.csv"):
        load_items(listed(root, f"train,0,good,{name},"))


def test_an_absolute_path_into_the_set_is_read(root: Path) -> None:
    (item,) = load_items(listed(root, f"train,0,good,{root / 'train/good/000.png'},"))
    assert item.image.is_file()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f"{HEADER}\n{text}".encode()))
def test_any_bytes_are_rows_or_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.csv").write_bytes(content)
    try:
        read_rows(tmp_path / "manifest.csv", WANTED)
        load_items(tmp_path)
    except DataError as error:
        assert str(tmp_path) in str(error)


def test_each_object_of_a_visa_list_is_a_product(root: Path, tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "visa")
    (folder / "split_csv").mkdir()
    rows = [
        f"{name},train,normal,train/good/{index:03}.png," for index, name in enumerate(["pcb1", "candle"])
    ]
    (folder / "split_csv/1cls.csv").write_text("\n".join(["object,split,label,image,mask", *rows]))
    assert [item.product for item in load_items(folder)] == ["pcb1", "candle"]
