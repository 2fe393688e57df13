// SPDX-License-Identifier: Apache-2.0
#include "source/kubernetes/wanted.hpp"

#include <algorithm>
#include <array>

namespace weir::kubernetes {
namespace {

constexpr std::array kLabels{
    Wanted{"service.kubernetes.io/headless", {}},
    Wanted{"service.kubernetes.io/service-proxy-name", {}},
    Wanted{"kubernetes.io/service-name", {}},
    Wanted{"topology.kubernetes.io/zone", {}},
};
constexpr std::array kAnnotations{
    Wanted{"service.weir/*", {}},
    Wanted{"endpoints.kubernetes.io/last-change-trigger-time", {}},
    Wanted{"k8s.io/initial-events-end", {}},
};
constexpr std::array kMetadata{
    Wanted{"name", {}},        Wanted{"namespace", {}},
    Wanted{"uid", {}},         Wanted{"resourceVersion", {}},
    Wanted{"continue", {}},    Wanted{"deletionTimestamp", {}},
    Wanted{"labels", kLabels}, Wanted{"annotations", kAnnotations},
};
constexpr std::array kServicePort{
    Wanted{"name", {}},
    Wanted{"protocol", {}},
    Wanted{"port", {}},
    Wanted{"nodePort", {}},
};
constexpr std::array kClientIp{Wanted{"timeoutSeconds", {}}};
constexpr std::array kAffinity{Wanted{"clientIP", kClientIp}};
constexpr std::array kTaint{Wanted{"key", {}}, Wanted{"effect", {}}};
// Of Services, and the taints of Nodes. No targetPort, no selector: slices have what they lead to.
constexpr std::array kSpec{
    Wanted{"type", {}},
    Wanted{"clusterIP", {}},
    Wanted{"clusterIPs", {}},
    Wanted{"ipFamilies", {}},
    Wanted{"ipFamilyPolicy", {}},
    Wanted{"ports", kServicePort},
    Wanted{"externalIPs", {}},
    Wanted{"internalTrafficPolicy", {}},
    Wanted{"externalTrafficPolicy", {}},
    Wanted{"healthCheckNodePort", {}},
    Wanted{"loadBalancerSourceRanges", {}},
    Wanted{"sessionAffinity", {}},
    Wanted{"sessionAffinityConfig", kAffinity},
    Wanted{"taints", kTaint},
};
constexpr std::array kIngress{Wanted{"ip", {}}, Wanted{"ipMode", {}}};
constexpr std::array kBalancer{Wanted{"ingress", kIngress}};
constexpr std::array kNodeAddress{Wanted{"type", {}}, Wanted{"address", {}}};
// A Status' own status is a text.
constexpr std::array kStatus{Wanted{"loadBalancer", kBalancer}, Wanted{"addresses", kNodeAddress}};
constexpr std::array kConditions{Wanted{"ready", {}}, Wanted{"serving", {}},
                                 Wanted{"terminating", {}}};
constexpr std::array kHint{Wanted{"name", {}}};
constexpr std::array kHints{Wanted{"forZones", kHint}, Wanted{"forNodes", kHint}};
constexpr std::array kEndpoint{
    Wanted{"addresses", {}},
    Wanted{"conditions", kConditions},
    Wanted{"nodeName", {}},
    Wanted{"hints", kHints},
};
constexpr std::array kEndpointPort{Wanted{"name", {}}, Wanted{"protocol", {}}, Wanted{"port", {}}};
constexpr std::array kCause{Wanted{"reason", {}}, Wanted{"type", {}}};
constexpr std::array kDetails{Wanted{"causes", kCause}, Wanted{"retryAfterSeconds", {}}};
constexpr std::array kObject{
    Wanted{"kind", {}},
    Wanted{"metadata", kMetadata},
    Wanted{"spec", kSpec},
    Wanted{"status", kStatus},
    Wanted{"addressType", {}},
    Wanted{"ports", kEndpointPort},
    Wanted{"endpoints", kEndpoint},
    Wanted{"message", {}},
    Wanted{"reason", {}},
    Wanted{"code", {}},
    Wanted{"details", kDetails},
};
constexpr std::array kDocument{
    Wanted{"type", {}},          Wanted{"object", kObject},     Wanted{"items", kObject},
    Wanted{"kind", {}},          Wanted{"metadata", kMetadata}, Wanted{"status", {}},
    Wanted{"message", {}},       Wanted{"reason", {}},          Wanted{"code", {}},
    Wanted{"details", kDetails},
};

}  // namespace

const Wanted* find(std::span<const Wanted> members, std::string_view name) {
  const auto found = std::ranges::find_if(members, [&](const Wanted& one) {
    if (!one.name.ends_with('*')) return one.name == name;
    return name.starts_with(one.name.substr(0, one.name.size() - 1));
  });
  return found == members.end() ? nullptr : &*found;
}

std::span<const Wanted> wanted_fields() {
  return kDocument;
}

}  // namespace weir::kubernetes
