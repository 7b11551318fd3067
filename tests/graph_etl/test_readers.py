"""Every row of a file is read or named; a file that cannot be used is one clear error."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from graph_etl.errors import DataError
from graph_etl.readers import ROW, ROW_ERROR, SourceFile, scan
from graph_etl.spec import parse_spec

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = ("a", "b", "c")


def files_of(folder: Path, source: str, columns: tuple[str, ...] = COLUMNS) -> list[SourceFile]:
    first, second, *rest = columns
    attributes = ", ".join(f"'{name}': category" for name in rest)
    spec = parse_spec(
        f"ringwatch: 1\nname: t\nsources: {{t: {source}}}\n"
        f"accounts: [{{source: t, id: '{first}', attributes: {{'{second}': category, {attributes}}}}}]\n",
        folder / "spec.yaml",
    )
    return scan(spec, "t")


def rows_of(folder: Path, source: str, columns: tuple[str, ...] = COLUMNS) -> pl.DataFrame:
    (file,) = files_of(folder, source, columns)
    rows = file.rows().collect()
    assert rows.columns == [*columns, ROW, ROW_ERROR]
    assert rows[ROW].to_list() == list(range(len(rows)))
    return rows


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def refused(folder: Path, source: str, columns: tuple[str, ...] = COLUMNS) -> str:
    with pytest.raises(DataError) as caught:
        _ = [file.rows().collect() for file in files_of(folder, source, columns)]
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_all_formats_give_the_same_rows(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": ["1", "2"], "b": ["x", None], "c": ["0.5", "7"]})
    table.write_csv(tmp_path / "t.csv")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    table.write_csv(tmp_path / "t.tsv", separator="\t")
    table.write_ndjson(tmp_path / "t.jsonl")
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress((tmp_path / "t.jsonl").read_bytes()))
    table.write_parquet(tmp_path / "t.parquet")
    expected = [("1", "x", "0.5", 0, None), ("2", None, "7", 1, None)]
    for ending in ("csv", "csv.gz", "tsv", "jsonl", "jsonl.gz", "parquet"):
        assert rows_of(tmp_path, f"t.{ending}").rows() == expected, ending


def test_only_columns_in_use_are_read(tmp_path: Path) -> None:
    written(tmp_path, "t.csv", "secret,a,b,c\nx,1,2,3\n")
    (file,) = files_of(tmp_path, "t.csv")
    assert file.available == ("secret", "a", "b", "c")
    assert file.rows().collect().columns == ["a", "b", "c", ROW, ROW_ERROR]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"1,2,3\n4,5\n6,7,8\n", {1: "2 fields, expected 3"}, id="too-few"),
        pytest.param(b"1,2,3\n4,5,6,7\n6,7,8\n", {1: "4 fields, expected 3"}, id="too-many"),
        pytest.param(b"1,2,3\n\n\r\n4\n1,2,3\n", {1: "1 field, expected 3"}, id="blank-lines-have-no-number"),
        pytest.param(b"1,2,3\n4,\xff\xfe,6\n6,7,8\n", {1: "invalid UTF-8 in column 'b'"}, id="utf8"),
        pytest.param(b'1,"2,3\n4,5,6\n7,8,9\n', {0: "a quote is opened and never closed"}, id="open-quote"),
        pytest.param(
            b'1,"2,3\n4,5,6\n7,"8,9\n1,1,1\n',
            {0: "a quote is opened and never closed", 2: "a quote is opened and never closed"},
            id="two-open-quotes-that-would-make-a-row",
        ),
        pytest.param(
            b'1,"2,3\n4,5,6\n7,"8",9\n', {0: "a quote is opened and never closed"}, id="quote-then-quoted"
        ),
        pytest.param(
            b'1,"2\n,x""",3\n4,\xff,"6\n"\n', {1: "invalid UTF-8 in column 'b'"}, id="utf8-beside-lines"
        ),
        pytest.param(
            b"1,\xff,3\n4,x\x1cy,6\n7\n",
            {0: "invalid UTF-8 in column 'b'", 2: "1 field, expected 3"},
            id="x1c",
        ),
        pytest.param(b"1,2,3\n4,5", {1: "2 fields, expected 3"}, id="cut-off"),
    ],
)
def test_a_bad_line_costs_that_line_only(tmp_path: Path, text: bytes, expected: dict[int, str]) -> None:
    rows = rows_of(written(tmp_path, "t.csv", b"a,b,c\n" + text), "t.csv")
    found = rows.filter(pl.col(ROW_ERROR).is_not_null())
    assert dict(found.select(ROW, ROW_ERROR).rows()) == expected
    assert all(cell is None for row in found.select(COLUMNS).rows() for cell in row)
    assert rows.filter(pl.col(ROW_ERROR).is_null())["a"].null_count() == 0
    assert len(rows) > len(found)


def test_bad_lines_keep_their_numbers_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graph_etl.file_formats.csv_lines._BLOCK_BYTES", 1_000)
    bad = {7, 8, 500, 1_999}
    lines = [f"{row},x" if row in bad else f"{row},x,y" for row in range(2_000)]
    rows = rows_of(written(tmp_path, "t.csv", "\n".join(["a,b,c", *lines])), "t.csv")
    assert set(rows.filter(pl.col(ROW_ERROR).is_not_null())[ROW].to_list()) == bad
    read = rows.filter(pl.col(ROW_ERROR).is_null())
    assert read["a"].cast(pl.Int64).to_list() == read[ROW].to_list()


def test_a_field_that_spans_lines_late_in_the_file_changes_no_row_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph_etl.file_formats.csv_lines._BLOCK_BYTES", 500)
    lines = [f"{row},x,y" for row in range(300)] + ['300,"x\nz",y', "301,x", "302,x,y"]
    rows = rows_of(written(tmp_path, "t.csv", "\n".join(["a,b,c", *lines])), "t.csv")
    assert len(rows) == 303
    assert rows["b"][300] == "x\nz"
    assert rows[ROW_ERROR].to_list() == [None] * 301 + ["2 fields, expected 3", None]


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)] * 3),
        min_size=1,
        max_size=20,
    )
)
def test_whatever_a_csv_writer_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, table: Any
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([COLUMNS, *table])
    rows = rows_of(written(folder, "t.csv", text.getvalue()), "t.csv")
    assert rows[ROW_ERROR].null_count() == len(table)
    assert [tuple(cell or "" for cell in row) for row in rows.select(COLUMNS).rows()] == table


@given(st.binary(max_size=200))
def test_no_bytes_make_the_csv_reader_fail_or_lose_count(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    folder = tmp_path_factory.mktemp("noise")
    rows = rows_of(written(folder, "t.csv", b"a,b,c\n1,2,3\n" + noise), "t.csv")
    assert len(rows) >= 1
    unreadable = rows.filter(pl.col(ROW_ERROR).is_not_null())
    assert all(cell is None for row in unreadable.select(COLUMNS).rows() for cell in row)


def test_json_lines_give_text_and_dotted_names(tmp_path: Path) -> None:
    lines = [
        {"a": 1, "b": {"x": {"y": "deep"}}, "c": 2.5},
        {"a": 1.0, "b": None, "c": True},
        {"a": 123456789012345678901234567890, "c": ["k"]},
    ]
    text = "\n\n".join(map(json.dumps, lines))
    rows = rows_of(written(tmp_path, "t.jsonl", text), "t.jsonl", ("a", "b.x.y", "c"))
    assert rows.select("a", "b.x.y", "c").rows() == [
        ("1", "deep", "2.5"),
        ("1", None, "true"),
        ("123456789012345678901234567890", None, '["k"]'),
    ]


def test_json_lines_that_are_no_objects_keep_their_numbers(tmp_path: Path) -> None:
    text = b'{"a":1,"b":2,"c":3}\n[1]\n{"a":\nnull\n{"a":"\xff"}\n{"c":3}\n'
    rows = rows_of(written(tmp_path, "t.jsonl", text), "t.jsonl")
    assert rows[ROW_ERROR].to_list() == [
        None,
        "not a JSON object",
        "not JSON",
        "not a JSON object",
        "invalid UTF-8",
        None,
    ]
    assert rows["c"].to_list() == ["3", None, None, None, None, "3"]


def test_a_key_that_only_some_json_files_hold_is_null_in_the_others(tmp_path: Path) -> None:
    written(tmp_path, "1.jsonl", '{"a":1,"b":2}\n')
    written(tmp_path, "2.jsonl", '{"a":1,"b":2,"c":3}\n')
    one, two = (file.rows().collect()["c"].item() for file in files_of(tmp_path, "'*.jsonl*'"))
    assert (one, two) == (None, "3")
    assert "column 'cc': missing" in refused(tmp_path, "'*.jsonl'", ("a", "b", "cc"))


def test_parquet_keeps_types_and_reads_fields_of_structures(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"a": [1, 2], "b": [{"x": 0.5}, {"x": None}], "c": pl.Series(["u", "v"], dtype=pl.Categorical)}
    )
    table.write_parquet(tmp_path / "t.parquet")
    rows = rows_of(tmp_path, "t.parquet", ("a", "b.x", "c"))
    assert [rows.schema[name] for name in ("a", "b.x", "c")] == [pl.Int64, pl.Float64, pl.String]
    assert rows.select("a", "b.x", "c").rows() == [(1, 0.5, "u"), (2, None, "v")]


def test_arrays_are_spread_and_turned_to_the_rows_of_the_first(tmp_path: Path) -> None:
    features, masks = np.arange(6.0).reshape(3, 2), np.array([[True, False, True], [False, True, False]])
    np.savez(tmp_path / "t.npz", x=features, masks=masks)
    rows = rows_of(tmp_path, "{path: t.npz, arrays: {f: x, m: masks}}", ("f_0", "f_1", "m_0", "m_1"))
    assert rows.select("f_0", "f_1", "m_0", "m_1").rows() == [
        (0.0, 1.0, True, False),
        (2.0, 3.0, False, True),
        (4.0, 5.0, True, False),
    ]


@pytest.mark.parametrize("layout", ["csr", "csc", "coo"])
def test_a_sparse_matrix_is_one_row_an_entry(tmp_path: Path, layout: str) -> None:
    matrix = scipy.sparse.coo_matrix(([5.0, 7.0], ([0, 2], [3, 1])), shape=(4, 4))
    scipy.sparse.save_npz(tmp_path / "t.npz", matrix.asformat(layout))
    rows = rows_of(tmp_path, "{path: t.npz, sparse: ''}", ("i", "j", "value"))
    assert sorted(rows.select("i", "j", "value").rows()) == [(0, 3, 5.0), (2, 1, 7.0)]


def test_a_named_sparse_matrix_among_other_arrays(tmp_path: Path) -> None:
    matrix = scipy.sparse.csr_matrix(([1.0, 1.0], ([0, 1], [1, 0])), shape=(2, 2))
    np.savez(
        tmp_path / "t.npz",
        net_data=matrix.data,
        net_indices=matrix.indices,
        net_indptr=matrix.indptr,
        y=[0, 1],
    )
    rows = rows_of(tmp_path, "{path: t.npz, sparse: net}", ("i", "j"))
    assert rows.select("i", "j").rows() == [(0, 1), (1, 0)]


def test_globs_find_files_by_name_and_each_once(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("d/2.csv", "d/1.csv", "x.csv"):
        written(tmp_path, name, f"a,b,c\n{name},,\n")
    found = files_of(tmp_path, "{path: ['d/*.csv', d/1.csv, '**/x.csv']}")
    assert [file.name for file in found] == ["d/1.csv", "d/2.csv", "x.csv"]
    assert [file.rows().collect()["a"].item() for file in found] == ["d/1.csv", "d/2.csv", "x.csv"]


def test_another_data_folder_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    written(tmp_path / "elsewhere", "t.csv", "a,b\n1,2\n")
    spec = parse_spec(
        "ringwatch: 1\nname: t\nsources: {t: t.csv}\naccounts: [{source: t, id: a}]\n", tmp_path / "spec.yaml"
    )
    (file,) = scan(spec, "t", tmp_path / "elsewhere")
    assert file.name == "t.csv"
    with pytest.raises(DataError, match=r"t\.csv.*no such file"):
        scan(spec, "t")


def test_nulls_are_what_the_source_calls_nulls(tmp_path: Path) -> None:
    written(tmp_path, "t.csv", "a,b,c\n1,NA,\n2,,x\n")
    assert rows_of(tmp_path, "t.csv").select("b", "c").rows() == [("NA", None), (None, "x")]
    assert rows_of(tmp_path, "{path: t.csv, nulls: ['', NA]}").select("b", "c").rows() == [
        (None, None),
        (None, "x"),
    ]


def test_the_fingerprint_is_of_the_bytes(tmp_path: Path) -> None:
    for name, content in (("1.csv", "a,b,c\n"), ("2.csv", "a,b,c\n"), ("3.csv", "a,b,c\n1,2,3\n")):
        written(tmp_path, name, content)
    one, two, three = files_of(tmp_path, "'*.csv'")
    assert one.fingerprint == two.fingerprint != three.fingerprint


def test_a_header_may_have_a_byte_order_mark_blanks_and_nameless_or_taken_columns(tmp_path: Path) -> None:
    written(tmp_path, "t.csv", b'\xef\xbb\xbf a ,,row,"c\n"\n1,2,3,4\n')
    rows = rows_of(tmp_path, "t.csv", ("a", "column_1", "row_column", "c"))
    assert rows.select("a", "column_1", "row_column", "c").rows() == [("1", "2", "3", "4")]


def parquet_bytes(tmp_path: Path) -> bytes:
    pl.DataFrame({"a": ["1"], "b": ["2"], "c": ["3"]}).write_parquet(tmp_path / "whole.parquet")
    return (tmp_path / "whole.parquet").read_bytes()


def npz_bytes(tmp_path: Path) -> bytes:
    np.savez(
        tmp_path / "whole.npz", x=np.arange(3.0), y=np.arange(4.0), cube=np.zeros((3, 1, 1)), o=np.array([{}])
    )
    return (tmp_path / "whole.npz").read_bytes()


LONG = b"a,b,c\n" + b"".join(b"%d,%d,3\n" % (row * 7_919 % 10_007, row) for row in range(5_000))


@pytest.mark.parametrize(
    ("name", "content", "source", "expected"),
    [
        pytest.param("t.csv", b"", "t.csv", "the file is empty; expected csv", id="empty"),
        pytest.param("t.csv", b"\n\n", "t.csv", "no header", id="no-header"),
        pytest.param("t.csv", b"a,bb,c\n", "t.csv", "column 'b': missing; did you mean 'bb'?", id="column"),
        pytest.param("t.csv", b"a;b;c\n", "t.csv", "column 'a': missing; its columns: a;b;c", id="delimiter"),
        pytest.param("t.csv", b"a,b,b\n", "t.csv", "column 'b': stands twice in the header", id="twice"),
        pytest.param("t.csv", "a,b,c\n".encode("utf-16"), "t.csv", "save the file as UTF-8", id="utf16"),
        pytest.param("t.csv.gz", b"a,b,c\n1,2,3\n", "t.csv.gz", "not a gzip file", id="not-gzip"),
        pytest.param("t.csv.gz", gzip.compress(LONG)[:-50], "t.csv.gz", "ends too early", id="gzip-cut-off"),
        pytest.param("t.csv.gz", gzip.compress(LONG)[:8], "t.csv.gz", "ends too early", id="gzip-head-only"),
        pytest.param("t.jsonl", b"a,b,c\n", "t.jsonl", "no JSON object in any line", id="no-json"),
        pytest.param("t.jsonl", b'{"a":1,"b":2}\n', "t.jsonl", "column 'c': missing", id="json-column"),
        pytest.param(
            "t.parquet", b"a,b,c\n1,2,3\n", "t.parquet", "not a sound Parquet file", id="no-parquet"
        ),
        pytest.param(
            "t.npz", b"PK nonsense", "{path: t.npz, arrays: {a: x}}", "not a sound NPZ file", id="no-npz"
        ),
        pytest.param(
            "t.txt", b"a,b\n", "{path: t.txt, format: csv}", "column 'c': missing", id="format-given"
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, name: str, content: bytes, source: str, expected: str
) -> None:
    message = refused(written(tmp_path, name, content), source)
    assert f"{name} (source 't')" in message
    assert expected in message


@pytest.mark.parametrize(("make", "name"), [(parquet_bytes, "t.parquet"), (npz_bytes, "t.npz")])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, make: Callable[[Path], bytes], name: str) -> None:
    source = "{path: t.npz, arrays: {a: x}}" if name == "t.npz" else name
    message = refused(written(tmp_path, name, make(tmp_path)[:-30]), source)
    assert "not a sound" in message


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ("a: xx", "no array 'xx'; did you mean 'x'?"),
        ("a: x, b: y", "array 'y' has shape (4,); expected 3 rows as in 'x'"),
        ("a: cube", "array 'cube' has 3 axes; expected 1 or 2"),
        ("a: o", "plain arrays"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(tmp_path: Path, arrays: str, expected: str) -> None:
    written(tmp_path, "t.npz", npz_bytes(tmp_path))
    assert expected in refused(tmp_path, f"{{path: t.npz, arrays: {{{arrays}}}}}")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("user.csv", "no such file; did you mean 'users.csv'?"),
        ("'log-*.csv'", "no file matches 'log-*.csv'"),
        ("d/t.csv", "no such file; correct the path in the spec or give the data's folder with --data"),
        ("{path: sub, format: csv}", "is a folder; name its files, for example sub/*.csv"),
    ],
)
def test_a_path_that_leads_nowhere_is_one_clear_line(tmp_path: Path, path: str, expected: str) -> None:
    (tmp_path / "sub").mkdir()
    written(tmp_path, "users.csv", "a,b,c\n")
    assert expected in refused(tmp_path, path)


def test_a_damaged_gzip_file_says_so_when_it_is_read(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(LONG))
    packed[len(packed) // 2] ^= 0xFF
    assert "damaged" in refused(written(tmp_path, "t.csv.gz", bytes(packed)), "t.csv.gz")
