"""JSON Patch: each operation of RFC 6902, and those that would ask, double or bury."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from jwt_guard.fhir.documents import DEEPEST
from jwt_guard.fhir.outcome import NOT_SUPPORTED, TOO_LONG, UNREADABLE, Problem, Stopped
from jwt_guard.fhir.patching import MOST, UNFIT, checked, patched

RESOURCE: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "note": [{"text": "a"}, {"text": "b"}],
    "a/b": {"~c": 1},
    "value": Decimal("5.40"),
    "": {"0": "x"},
}


def changed(*operations: dict[str, Any], resource: dict[str, Any] = RESOURCE) -> dict[str, Any]:
    before = copy.deepcopy(resource)
    after = patched(resource, checked(operations), 10_000, may_look=True)
    assert before == resource, "what was given is left as it is"
    return after


def problem(*operations: object, room: int = 10_000, may_look: bool = True, resource: Any = RESOURCE) -> Problem:
    with pytest.raises(Stopped) as caught:
        patched(resource, checked(operations), room, may_look=may_look)
    return caught.value.problem


def op(name: str, path: object, **more: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **more}


@pytest.mark.parametrize(
    ("operation", "path", "after"),
    [
        (op("add", "/code", value={}), "code", {}),
        (op("add", "/status", value="amended"), "status", "amended"),
        (op("add", "/note/0", value=1), "note", [1, {"text": "a"}, {"text": "b"}]),
        (op("add", "/note/2", value=1), "note", [{"text": "a"}, {"text": "b"}, 1]),
        (op("add", "/note/-", value=1), "note", [{"text": "a"}, {"text": "b"}, 1]),
        (op("add", "/note/1/time", value=None), "note", [{"text": "a"}, {"text": "b", "time": None}]),
        (op("replace", "/status", value="amended"), "status", "amended"),
        (op("replace", "/note/0", value=1), "note", [1, {"text": "b"}]),
        (op("replace", "/a~1b/~0c", value=2), "a/b", {"~c": 2}),
        (op("replace", "//0", value="y"), "", {"0": "y"}),
        (op("remove", "/note/0"), "note", [{"text": "b"}]),
        (op("remove", "/a~1b/~0c"), "a/b", {}),
        (op("copy", "/note/-", **{"from": "/note/0"}), "note", [{"text": "a"}, {"text": "b"}, {"text": "a"}]),
        (op("move", "/note/1", **{"from": "/note/0"}), "note", [{"text": "b"}, {"text": "a"}]),
        (op("move", "/status", **{"from": "/status"}), "status", "final"),
        (op("move", "/code", **{"from": "/note/0/text"}), "code", "a"),
        (op("test", "/status", value="final", note="members that are none are passed over"), "status", "final"),
    ],
)
def test_each_operation_does_what_it_is_for(operation: dict[str, Any], path: str, after: object) -> None:
    assert after == changed(operation)[path]


def test_what_is_moved_is_there_no_more() -> None:
    after = changed(op("move", "/code", **{"from": "/status"}))

    assert ("final", False) == (after["code"], "status" in after)


def test_operations_are_done_one_after_the_other() -> None:
    after = changed(
        op("add", "/code", value={}), op("add", "/code/text", value="x"), op("test", "/code/text", value="x")
    )

    assert {"text": "x"} == after["code"]


def test_what_is_copied_is_its_own() -> None:
    after = changed(op("copy", "/note/-", **{"from": "/note/0"}), op("replace", "/note/2/text", value="z"))

    assert ["a", "b", "z"] == [each["text"] for each in after["note"]]


@pytest.mark.parametrize(
    "operation",
    [
        op("remove", "/code"),
        op("remove", "/note/2"),
        op("remove", "/note/-"),
        op("remove", "/note/00"),
        op("remove", "/note/+1"),
        op("remove", "/note/-1"),
        op("remove", "/status/0"),
        op("replace", "/code", value=1),
        op("replace", "/note/-", value=1),
        op("add", "/note/3", value=1),
        op("add", "/note/x", value=1),
        op("add", "/note/01", value=1),
        op("add", "/code/text", value=1),
        op("add", "/status/x", value=1),
        op("add", "/value/x", value=1),
        op("copy", "/x", **{"from": "/code"}),
        op("move", "/x", **{"from": "/code"}),
        op("move", "/note/0", **{"from": "/note"}),
        op("test", "/code", value=None),
        op("test", "/status", value="amended"),
    ],
)
def test_what_does_not_fit_is_told_in_one_way(operation: dict[str, Any]) -> None:
    assert UNFIT is problem(operation)


@pytest.mark.parametrize(
    ("there", "asked", "is_same"),
    [
        (1, 1.0, True),
        (Decimal("5.40"), 5.4, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        (None, None, True),
        (None, 0, False),
        ("1", 1, False),
        ([1, {"a": 2}], [1, {"a": 2}], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ([], {}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({"a": 1}, {"a": 2}, False),
    ],
)
def test_values_are_compared_as_json_has_it(there: object, asked: object, is_same: bool) -> None:
    resource = {"x": there}
    if is_same:
        assert resource == changed(op("test", "/x", value=asked), resource=resource)
    else:
        assert UNFIT is problem(op("test", "/x", value=asked), resource=resource)


@pytest.mark.parametrize(
    "operations",
    [
        [],
        ["remove"],
        [{}],
        [op("remove", "")],
        [op("replace", "", value={})],
        [op("remove", "status")],
        [op("remove", None)],
        [op("remove", "/a~2b")],
        [op("remove", "/a~")],
        [op("add", "/x")],
        [op("move", "/x")],
        [op("copy", "/x", **{"from": ""})],
        [op("Remove", "/status")],
        [op("remove", "/status"), "x"],
        [{"op": ["remove"], "path": "/status"}],
    ],
)
def test_what_is_no_patch_is_not_begun(operations: list[object]) -> None:
    assert UNREADABLE is problem(*operations)


@pytest.mark.parametrize(
    "operation",
    [
        op("test", "/status", value="final"),
        op("copy", "/code", **{"from": "/status"}),
        op("move", "/code", **{"from": "/status"}),
    ],
)
def test_who_may_not_read_does_not_ask_what_is_there(operation: dict[str, Any]) -> None:
    assert NOT_SUPPORTED is problem(operation, may_look=False)
    assert NOT_SUPPORTED is problem(op("remove", "/status"), operation, may_look=False)
    assert "amended" == patched(RESOURCE, [op("replace", "/status", value="amended")], 0, may_look=False)["status"]


def test_patch_that_doubles_what_is_there_with_each_line_ends_where_there_is_no_room() -> None:
    doubling = [op("copy", f"/x{number}", **{"from": "/x"}) for number in range(20)]
    grown = [
        each for copy_ in doubling for each in (copy_, op("move", f"/x/{copy_['path'][1:]}", **{"from": copy_["path"]}))
    ]

    assert TOO_LONG is problem(*grown, room=1_000_000, resource={"x": {"a": "b" * 100}})
    assert UNFIT is not problem(op("copy", "/y", **{"from": "/x"}), room=102, resource={"x": "a" * 101})
    assert changed(op("copy", "/y", **{"from": "/x"}), resource={"x": "a" * 9_998})


def test_patch_that_moves_much_to_and_fro_ends_where_there_is_no_room() -> None:
    to_and_fro = [op("move", "/y", **{"from": "/x"}), op("move", "/x", **{"from": "/y"})] * 50

    assert TOO_LONG is problem(*to_and_fro, resource={"x": "a" * 1_000})


def test_patch_with_many_operations_is_not_begun() -> None:
    assert changed(*[op("replace", "/status", value="x")] * MOST)
    assert TOO_LONG is problem(*[op("replace", "/status", value="x")] * (MOST + 1))


def test_patch_makes_nothing_that_is_nested_too_deep() -> None:
    def nested(depth: int) -> Any:
        return [nested(depth - 1)] if depth else "x"

    assert changed(op("add", "/x", value=nested(DEEPEST - 1)))
    assert TOO_LONG is problem(op("add", "/x", value=nested(DEEPEST)))
    assert TOO_LONG is problem(op("add", "/note/0/x", value={"a": nested(DEEPEST - 3)}))
    assert TOO_LONG is problem(
        op("add", "/x", value=nested(200)), op("copy", "/x" + "/0" * 100, **{"from": "/x"}), room=10**6
    )
