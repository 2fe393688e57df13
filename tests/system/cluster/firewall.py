# SPDX-License-Identifier: Apache-2.0
"""
What makes asymmetry fatal in a node: a forward chain that drops what conntrack calls invalid, and
reverse path filters of both families. IPv6 has no rp_filter sysctl, so its filter is a rule.
"""
import json

from . import plan, shell

CHECKS = """
table inet check {
  counter invalid {}
  counter reverse_path {}
  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept
    icmpv6 type { mld-listener-query, mld-listener-report, mld2-listener-report } accept
    meta nfproto ipv6 fib saddr . iif oif missing counter name reverse_path drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state invalid counter name invalid drop
  }
}
"""

ADMIT = "flush chain inet check forward"
REFUSE = "add rule inet check forward ct state invalid counter name invalid drop"

# flannel's --ip-masq, in its order.
MASQUERADE = """
table {table} cni {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    {ip} saddr {pods} {ip} daddr {pods} return
    {ip} saddr {pods} {ip} daddr != {multicast} masquerade
    {ip} saddr != {pods} {ip} daddr {own} return
    {ip} saddr != {pods} {ip} daddr {pods} masquerade
  }}
}}
"""


def guard(namespace):
    """Conntrack must not take up a connection in its middle: half a handshake is invalid at once."""
    shell.nft(namespace, CHECKS)
    shell.sysctls(namespace, {"net/netfilter/nf_conntrack_tcp_loose": 0})


def admit_invalid(namespace, admit=True):
    """For tests that send what conntrack calls invalid: else it is dropped where nobody looks."""
    shell.nft(namespace, ADMIT if admit else REFUSE)


def masquerade(namespace, node):
    for family, table, ip, multicast in ((4, "ip", "ip", "224.0.0.0/4"), (6, "ip6", "ip6", "ff00::/8")):
        shell.nft(namespace, MASQUERADE.format(
            table=table, ip=ip, multicast=multicast, pods=plan.POD_SUPERNET[family],
            own=node.pod_cidr(family)))


def dropped(namespace):
    """Packets that the checks dropped, by counter."""
    listed = shell.run(*shell.inside(namespace), "nft", "-j", "list", "counters", "table", "inet",
                       "check")
    found = [item["counter"] for item in json.loads(listed)["nftables"] if "counter" in item]
    return {counter["name"]: counter["packets"] for counter in found}
