import contextlib
import io

from attention_collapse.measure.streaming import TextBar


def test_a_task_of_some_length_is_drawn_and_its_line_ended():
    stream = io.StringIO()
    bar = TextBar(stream, patience=0.0, width=4)
    bar("rows", 1, 2)
    bar("rows", 2, 2)
    lines = stream.getvalue().split("\r")
    assert lines[1].startswith("rows [##..] 1/2")
    assert lines[2].startswith("rows [####] 2/2")
    assert lines[2].endswith("\n")


def test_an_unfinished_line_is_ended_by_an_interrupt_and_by_another_task():
    stream = io.StringIO()
    with contextlib.suppress(KeyboardInterrupt), TextBar(stream, patience=0.0, width=4) as bar:
        bar("rows", 1, 2)
        bar("columns", 1, 2)
        raise KeyboardInterrupt
    lines = stream.getvalue().splitlines()
    assert [line[:4] for line in lines if line] == ["rows", "colu"]
    assert stream.getvalue().endswith("\n")


def test_a_short_task_leaves_no_trace():
    stream = io.StringIO()
    bar = TextBar(stream, patience=60.0)
    bar("rows", 1, 1)
    assert stream.getvalue() == ""
