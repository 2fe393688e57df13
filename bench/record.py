# SPDX-License-Identifier: Apache-2.0
"""
What a part of the benchmark hands over. Values of one index belong to one round, in which all ways
of a part were measured one after another, so ratios are taken index by index.
"""
import dataclasses


@dataclasses.dataclass
class Record:
    part: str  # packet, node, connection, control
    way: str  # who did it: xdp, tc, plain, nft, ...
    what: str  # the measure within the part: "established flow", "short connection", ...
    unit: str  # of the values: ns, us, s, MB, pps, ...
    case: dict  # what was varied: {"flows": 1000, "services": 1, ...}
    values: list  # one a round

    def json(self):
        return dataclasses.asdict(self)
