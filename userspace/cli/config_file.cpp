// SPDX-License-Identifier: Apache-2.0
#include "cli/config_file.hpp"

#include <fcntl.h>
#include <yaml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/unique_fd.hpp"

namespace weir::cli {
namespace {

struct DeleteParser {
  void operator()(yaml_parser_t* parser) const noexcept {
    yaml_parser_delete(parser);
    delete parser;
  }
};

struct DeleteDocument {
  void operator()(yaml_document_t* document) const noexcept {
    yaml_document_delete(document);
    delete document;
  }
};

using Parser = std::unique_ptr<yaml_parser_t, DeleteParser>;
using Document = std::unique_ptr<yaml_document_t, DeleteDocument>;

std::size_t line_of(const yaml_node_t& node) {
  return node.start_mark.line + 1;
}

Result<Document> load(yaml_parser_t& parser) {
  auto* raw = new yaml_document_t{};
  if (yaml_parser_load(&parser, raw) == 0) {
    delete raw;  // libyaml has already freed what it holds
    return fail("line {}: {}", parser.problem_mark.line + 1,
                parser.problem ? parser.problem : "not YAML");
  }
  return Document{raw};
}

Result<std::string> scalar(const yaml_node_t& node, std::string_view key) {
  if (node.type != YAML_SCALAR_NODE)
    return fail("line {}: {}: expected a value or a list of values", line_of(node), key);
  return std::string{reinterpret_cast<const char*>(node.data.scalar.value),
                     node.data.scalar.length};
}

Result<Setting> setting(yaml_document_t& document, const yaml_node_pair_t& pair) {
  const auto& key_node = *yaml_document_get_node(&document, pair.key);
  const auto& value_node = *yaml_document_get_node(&document, pair.value);
  auto key = scalar(key_node, "key");
  if (!key) return std::unexpected{std::move(key.error())};
  Setting setting{.key = std::move(*key), .values = {}, .line = line_of(key_node)};

  std::vector<const yaml_node_t*> nodes;
  if (value_node.type == YAML_SEQUENCE_NODE) {
    const auto& items = value_node.data.sequence.items;
    for (const auto* item = items.start; item != items.top; ++item)
      nodes.push_back(yaml_document_get_node(&document, *item));
  } else {
    nodes.push_back(&value_node);
  }
  for (const auto* node : nodes) {
    auto value = scalar(*node, setting.key);
    if (!value) return std::unexpected{std::move(value.error())};
    setting.values.push_back(std::move(*value));
  }
  return setting;
}

// Whoever comes from kube-proxy has such a file; its keys are others, and nested.
Result<> refuse_kube_proxys(yaml_document_t& document, const yaml_node_t& root) {
  const auto is = [&](int index, std::string_view text) {
    const auto* node = yaml_document_get_node(&document, index);
    if (node->type != YAML_SCALAR_NODE) return false;
    const auto& scalar = node->data.scalar;
    return text == std::string_view{reinterpret_cast<const char*>(scalar.value), scalar.length};
  };
  const auto& pairs = root.data.mapping.pairs;
  for (const auto* pair = pairs.start; pair != pairs.top; ++pair)
    if (is(pair->key, "kind") && is(pair->value, "KubeProxyConfiguration"))
      return fail(
          "kind KubeProxyConfiguration: a file of kube-proxy's; docs/MIGRATING.md says what "
          "its settings are called here");
  return {};
}

Result<std::vector<Setting>> settings_of(yaml_document_t& document) {
  std::vector<Setting> settings;
  const auto* root = yaml_document_get_root_node(&document);
  if (!root) return settings;  // an empty file
  if (root->type != YAML_MAPPING_NODE)
    return fail("line {}: expected a mapping of option names to values", line_of(*root));
  const auto& pairs = root->data.mapping.pairs;
  if (auto ok = refuse_kube_proxys(document, *root); !ok)
    return std::unexpected{std::move(ok.error())};
  for (const auto* pair = pairs.start; pair != pairs.top; ++pair) {
    auto next = setting(document, *pair);
    if (!next) return std::unexpected{std::move(next.error())};
    if (std::ranges::count(settings, next->key, &Setting::key) > 0)
      return fail("line {}: {}: given twice", next->line, next->key);
    settings.push_back(std::move(*next));
  }
  return settings;
}

}  // namespace

Result<std::vector<Setting>> parse_config(std::string_view text) {
  Parser parser{new yaml_parser_t{}};
  if (yaml_parser_initialize(parser.get()) == 0) return fail(ENOMEM, "start the YAML parser");
  yaml_parser_set_input_string(parser.get(), reinterpret_cast<const unsigned char*>(text.data()),
                               text.size());
  auto document = load(*parser);
  if (!document) return std::unexpected{std::move(document.error())};
  auto settings = settings_of(**document);
  if (!settings) return settings;

  auto next = load(*parser);
  if (!next) return std::unexpected{std::move(next.error())};
  if (const auto* root = yaml_document_get_root_node(next->get()))
    return fail("line {}: expected one document", line_of(*root));
  return settings;
}

Result<std::vector<Setting>> read_config(const std::string& path) {
  const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file) return fail(errno, "read config {}", path);
  std::string text;
  std::array<char, 4096> part{};
  for (;;) {
    const auto length = ::read(file.get(), part.data(), part.size());
    if (length < 0) return fail(errno, "read config {}", path);
    if (length == 0) break;
    text.append(part.data(), static_cast<std::size_t>(length));
  }
  auto settings = parse_config(text);
  if (!settings) return fail(std::move(settings.error()), "read config {}", path);
  return settings;
}

}  // namespace weir::cli
