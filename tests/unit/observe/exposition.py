# SPDX-License-Identifier: Apache-2.0
"""Prometheus' text format and its query language, as far as names go."""
import re

SAMPLE = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? ([^ ]+)$")
LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)",?')
PARTS = ("_bucket", "_sum", "_count")


class Family:
    def __init__(self, kind):
        self.kind = kind
        self.labels = set()
        self.samples = {}  # (name, ((label, value), ...)) -> number


def parse(text):
    """{name: Family} of what a scrape gives."""
    families, current = {}, None
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            families[current] = Family(kind)
        elif not line.startswith("#"):
            found = SAMPLE.match(line)
            if not found:
                raise ValueError(f"no sample: {line}")
            labels = tuple(sorted(LABEL.findall(found[2] or "")))
            family = families[current]
            family.samples[(found[1], labels)] = float(found[3])
            family.labels |= {name for name, _ in labels} - {"le"}
    return families


def series_names(families):
    """{name as in a query: its labels}: a histogram is three."""
    names = {}
    for name, family in families.items():
        if family.kind == "histogram":
            names.update({name + part: family.labels | ({"le"} if part == "_bucket" else set())
                          for part in PARTS})
        else:
            names[name] = set(family.labels)
    return names


STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
TOKEN = re.compile(r"\$?[A-Za-z_:][A-Za-z0-9_:]*|[(){},]|[^\sA-Za-z_:(){},$]+")
FUNCTIONS = {"sum", "max", "min", "avg", "count", "topk", "rate", "increase", "time", "vector", "absent",
             "histogram_quantile", "label_values"}
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "bool", "offset"}


def names_in(query):
    """[(metric, {labels in its braces})] and the set of labels that are grouped by."""
    query = re.sub(r"\[[^\]]*\]", "", STRING.sub('""', query))
    tokens = TOKEN.findall(query)
    metrics, grouped = [], set()
    at = 0
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1] if at + 1 < len(tokens) else ""
        if token in GROUPING:
            end = tokens.index(")", at)
            grouped |= {word for word in tokens[at + 2:end] if word != ","}
            at = end
        elif re.match(r"[A-Za-z_:]", token) and token not in WORDS:
            if following == "(" or (token in FUNCTIONS and following in GROUPING):
                if token not in FUNCTIONS:
                    raise ValueError(f"{token}: not a function that is known here")
            else:
                labels = set()
                if following == "{":
                    end = tokens.index("}", at)
                    labels = {word for word in tokens[at + 2:end] if re.match(r"[A-Za-z_]", word)}
                    at = end
                metrics.append((token, labels))
        at += 1
    return metrics, grouped
