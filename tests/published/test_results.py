import dataclasses

import pytest

from attention_collapse import published
from attention_collapse.published.results import RELIABILITY


def test_the_ablation_of_the_partition_is_read_in_its_order():
    rows = published.results("fastvggt", table="Table 6", metric="ATE")
    methods = ["none", "uniform", "uniform+reference", "uniform+reference+salient"]
    assert [row.method for row in rows] == methods
    assert [row.value for row in rows] == [0.842, 0.722, 0.149, 0.141]
    assert {(row.frames, row.unit) for row in rows} == {(500, "m")}


def test_every_file_is_read_whole_and_says_how_surely():
    for path in published.DATA.glob("*.csv"):
        _header, *lines = path.read_text().splitlines()
        pairs = {(line.split(",")[1], line.split(",")[5]) for line in lines}
        rows = [
            row
            for table, metric in pairs
            for row in published.results(path.stem, table=table, metric=metric)
        ]
        assert len(rows) == len(lines)
        assert {row.reliability for row in rows} <= set(RELIABILITY)
        assert len({(r.table, r.method, r.frames, r.metric) for r in rows}) == len(rows)


def test_what_there_is_is_listed_where_something_is_missing():
    with pytest.raises(LookupError, match="no published results 'slow'; there are: fastvggt"):
        published.results("slow", table="Table 6", metric="ATE")
    with pytest.raises(LookupError, match="no ATE of Table 7 in fastvggt; there are: .*Table 7 CD"):
        published.results("fastvggt", table="Table 7", metric="ATE")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"value": float("nan")}, "has a finite value"),
        ({"frames": 0}, "1 frame or more"),
        ({"reliability": "hearsay"}, "reliability must be one of"),
    ],
)
def test_a_row_that_is_no_result_is_refused(fault, message):
    row = published.results("fastvggt", table="Table 7", metric="CD")[0]
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(row, **fault)
