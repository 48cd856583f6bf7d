# SPDX-License-Identifier: Apache-2.0
"""Looking up measured rows, as timing.py writes them."""
import json


def load(path):
    """(about, rows) of a .json file."""
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    return data["about"], data["rows"]


def matches(row, wanted):
    return all(row.get(name) == value for name, value in wanted.items())


def find(rows, **wanted):
    """The rows with these values, in order."""
    return [row for row in rows if matches(row, wanted)]


def one(rows, **wanted):
    """The first such row; None if there is none."""
    return next((row for row in rows if matches(row, wanted)), None)


def ratio(rows, above, below):
    """Median of `above` to that of `below`, of the first group that has both; None if none has. Never across groups."""
    for row in rows:
        if matches(row, above):
            other = one(rows, **{**below, "group": row["group"]})
            if other:
                return row["median_ms"] / other["median_ms"]
    return None


def values(rows, name):
    """The different values of a field, ascending."""
    return sorted({row[name] for row in rows})
