// SPDX-License-Identifier: Apache-2.0
// Merging of EndpointSlices.
#include "support/catch.hpp"
#include "unit/plan/cluster_builder.hpp"

namespace weir::test {
namespace {

WantedService plan_slices(const Service& of, std::vector<EndpointSlice> slices) {
  return only(plan(cluster({of}, std::move(slices)), node_view()));
}

const std::vector<EndpointPort> kHttp{{.name = "http", .protocol = Protocol::tcp, .port = 8080}};

}  // namespace

TEST_CASE("slices are matched by label and namespace, not by name") {
  const Service web = service("web");
  auto mine = slice("anything", web, {endpoint("10.1.0.1")});
  auto another = slice("web", web, {endpoint("10.1.0.2")});
  another.service = "other";
  auto elsewhere = slice("web-2", web, {endpoint("10.1.0.3")});
  elsewhere.key.ns = "kube-system";
  auto nobody = slice("web-3", web, {endpoint("10.1.0.4")});
  nobody.service = "";
  CHECK(texts(plan_slices(web, {mine, another, elsewhere, nobody}).cluster) ==
        Texts{"10.1.0.1:8080"});
}

TEST_CASE("all slices of a service count, in the order of addresses") {
  const Service web = service("web");
  CHECK(texts(plan_slices(web, {slice("b", web, {endpoint("10.1.0.1"), endpoint("10.1.0.9")}),
                                slice("a", web, {endpoint("10.1.0.3")})})
                  .cluster) == Texts{"10.1.0.1:8080", "10.1.0.3:8080", "10.1.0.9:8080"});
}

TEST_CASE("ports are matched by name and protocol", "[1.1/target-port][1.1/target-port-named]") {
  const Service web = service("web", {port("http", 80)});
  SECTION("a name may stand for different numbers") {
    CHECK(texts(plan_slices(web, {slice("a", web, {endpoint("10.1.0.1")}),
                                  slice("b", web, {endpoint("10.1.0.1"), endpoint("10.1.0.2")},
                                        {{.name = "http", .protocol = Protocol::tcp, .port = 81}})})
                    .cluster) == Texts{"10.1.0.1:81", "10.1.0.1:8080", "10.1.0.2:81"});
  }
  SECTION("another name") {
    CHECK(plan_slices(web, {slice("a", web, {endpoint("10.1.0.1")},
                                  {{.name = "", .protocol = Protocol::tcp, .port = 80}})})
              .backends.empty());
  }
  SECTION("another protocol") {
    CHECK(plan_slices(web, {slice("a", web, {endpoint("10.1.0.1")},
                                  {{.name = "http", .protocol = Protocol::udp, .port = 80}})})
              .backends.empty());
  }
  SECTION("no number") {
    CHECK(plan_slices(web, {slice("a", web, {endpoint("10.1.0.1")},
                                  {{.name = "http", .protocol = Protocol::tcp, .port = 0}})})
              .backends.empty());
  }
  SECTION("nameless on both sides") {
    const Service plain = service("web", {port("", 80)});
    CHECK(texts(plan_slices(plain, {slice("a", plain, {endpoint("10.1.0.1")},
                                          {{.name = "", .protocol = Protocol::tcp, .port = 80}})})
                    .cluster) == Texts{"10.1.0.1:80"});
  }
}

TEST_CASE("an endpoint in several slices is one") {
  const Service web = service("web");
  const auto plan_both = [&](const Endpoint& first, const Endpoint& second) {
    const auto one = plan_slices(web, {slice("a", web, {first}), slice("b", web, {second})});
    const auto other = plan_slices(web, {slice("a", web, {second}), slice("b", web, {first})});
    CHECK(one == other);
    const auto within = plan_slices(web, {slice("a", web, {second, first})});
    CHECK(one == within);
    return backend_texts(one);
  };
  const Endpoint remote = endpoint("10.1.0.1");
  const Endpoint local = endpoint("10.1.0.1", kThisNode);
  CHECK(plan_both(remote, remote) == Texts{"10.1.0.1:8080 active"});
  CHECK(plan_both(remote, local) == Texts{"10.1.0.1:8080 active local"});
  CHECK(plan_both(remote, unready(local)) == Texts{"10.1.0.1:8080 terminating local"});
  CHECK(plan_both(unready(remote), remote) == Texts{"10.1.0.1:8080 active"});
  CHECK(plan_both(unready(local), local) == Texts{"10.1.0.1:8080 active local"});
  CHECK(plan_both(terminating(remote), remote) == Texts{"10.1.0.1:8080 active"});
}

TEST_CASE("each family has its own slices", "[1.1/families][1.1/families-order]") {
  Service web = service("web");
  web.cluster_ips = {ip("fd00:96::1"), ip("10.96.0.1")};
  const auto tables = plan(cluster({web}, {slice("a", web, {endpoint("10.1.0.1")}),
                                           slice("b", web, {endpoint("fd00:1::1")})}),
                           node_view());
  REQUIRE(tables.services.size() == 2);
  const auto list = [&](Family family) {
    return texts(tables.services.at({"default/web:http", Protocol::tcp, family}).cluster);
  };
  CHECK(list(Family::ipv4) == Texts{"10.1.0.1:8080"});
  CHECK(list(Family::ipv6) == Texts{"[fd00:1::1]:8080"});

  SECTION("an address that contradicts its slice is left out") {
    auto wrong = slice("a", web, {endpoint("10.1.0.1"), endpoint("fd00:1::2")});
    web.cluster_ips = {ip("10.96.0.1")};
    CHECK(texts(plan_slices(web, {wrong}).cluster) == Texts{"10.1.0.1:8080"});
  }
}

TEST_CASE("the result does not depend on the order in which things came") {
  const Service web = service("web");
  Service api = service("api");
  api.cluster_ips = {ip("10.96.0.2")};
  const auto first = slice("a", web, {endpoint("10.1.0.1"), endpoint("10.1.0.2", kThisNode)});
  const auto second = slice("b", web, {endpoint("10.1.0.3")});
  const auto third = slice("c", api, {endpoint("10.1.0.1")}, kHttp);
  auto turned = first;
  std::swap(turned.endpoints[0], turned.endpoints[1]);
  auto view = node_view();
  const auto expected = plan(cluster({web, api}, {first, second, third}), view);
  CHECK(plan(cluster({api, web}, {third, second, turned}), view) == expected);
  // Endpoints that change slices change nothing.
  std::swap(view.addresses.front(), view.addresses.back());
  const auto moved = slice("b", web, {endpoint("10.1.0.3"), endpoint("10.1.0.1")});
  const auto rest = slice("z", web, {endpoint("10.1.0.2", kThisNode)});
  CHECK(plan(cluster({web, api}, {rest, moved, third}), view) == expected);
}

TEST_CASE("slices without their service and services without slices") {
  const Service web = service("web");
  CHECK(plan(cluster({}, {slice("a", web, {endpoint("10.1.0.1")})}), node_view()).services.empty());
  const auto wanted = plan_slices(web, {});
  CHECK(wanted.backends.empty());
  CHECK(wanted.flags == 0);
  CHECK(wanted.frontends.size() == 1);
}

}  // namespace weir::test
