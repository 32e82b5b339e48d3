// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/sysfs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "shim/verbs/device.h"

namespace tideline::shim::verbs {
namespace {

using Text = std::optional<std::string> (*)(const DeviceFacts&, std::size_t index);

// "0011:2233:4455:6677"
std::string in_groups(std::uint64_t value) {
  return fmt::format("{:04x}:{:04x}:{:04x}:{:04x}", value >> 48, value >> 32 & 0xffff,
                     value >> 16 & 0xffff, value & 0xffff);
}

std::optional<std::string> node_guid(const DeviceFacts& facts, std::size_t /*index*/) {
  return in_groups(facts.node_guid);
}

std::optional<std::string> lid(const DeviceFacts& facts, std::size_t /*index*/) {
  return fmt::format("{:#x}", facts.lid);
}

std::optional<std::string> gid(const DeviceFacts& facts, std::size_t index) {
  const rdma::Gid value = facts.gids->at(index).value_or(rdma::GidEntry{}).gid;
  return in_groups(value.high()) + ":" + in_groups(value.low());
}

std::optional<std::string> gid_type(const DeviceFacts& facts, std::size_t index) {
  const auto& entry = facts.gids->at(index);
  if (!entry) return std::nullopt;
  return entry->type == rdma::GidType::kRoceV1 ? "IB/RoCE v1" : "RoCE v2";
}

std::optional<std::string> gid_interface(const DeviceFacts& facts, std::size_t index) {
  if (!facts.gids->at(index) || facts.interface.empty()) return std::nullopt;
  return facts.interface;
}

std::size_t processors() { return static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_CONF)); }

// All of them, the highest first, in groups of 32.
std::string cpu_mask() {
  std::size_t left = processors();
  const std::size_t highest = (left - 1) % 32 + 1;
  std::string mask = fmt::format("{:08x}", (std::uint64_t{1} << highest) - 1);
  for (left -= highest; left > 0; left -= 32) mask += ",ffffffff";
  return mask;
}

constexpr std::string_view kUverbsNode = "/dev/infiniband/uverbs0";
constexpr std::array<std::string_view, 3> kRoots{"/dev/infiniband", "/sys/class/infiniband",
                                                 "/sys/class/infiniband_verbs"};

struct Node {
  std::string path;
  std::string text;
  Text make = nullptr;
  std::size_t index = 0;
};

std::vector<Node> make_files() {
  const std::string device = std::string(kDeviceClass) + "/" + kDeviceName;
  const std::string port = device + "/ports/1";
  const std::string uverbs = std::string(kUverbsClass) + "/" + kUverbsName;
  std::vector<Node> files{
      {std::string(kUverbsNode), ""},
      {device + "/device/local_cpulist",
       processors() == 1 ? "0" : fmt::format("0-{}", processors() - 1)},
      {device + "/device/local_cpus", cpu_mask()},
      {device + "/device/numa_node", "-1"},
      {device + "/fw_ver", "tideline"},
      {device + "/node_desc", "tideline"},
      {device + "/node_guid", "", node_guid},
      {device + "/node_type", "1: CA"},
      {device + "/sys_image_guid", "", node_guid},
      {port + "/cap_mask", "0x04010000"},
      {port + "/lid", "", lid},
      {port + "/lid_mask_count", "0"},
      {port + "/link_layer", "Ethernet"},
      {port + "/phys_state", "5: LinkUp"},
      {port + "/pkeys/0", "0xffff"},
      {port + "/rate", "100 Gb/sec (4X EDR)"},
      {port + "/sm_lid", "0x0"},
      {port + "/sm_sl", "0"},
      {port + "/state", "4: ACTIVE"},
      {std::string(kUverbsClass) + "/abi_version", "6"},
      {uverbs + "/abi_version", "1"},
      {uverbs + "/dev", fmt::format("{}:{}", kUverbsMajor, kUverbsMinor)},
      {uverbs + "/ibdev", kDeviceName},
  };
  for (std::size_t i = 0; i < rdma::GidTable::size(); ++i) {
    files.push_back({fmt::format("{}/gids/{}", port, i), "", gid, i});
    files.push_back({fmt::format("{}/gid_attrs/types/{}", port, i), "", gid_type, i});
    files.push_back({fmt::format("{}/gid_attrs/ndevs/{}", port, i), "", gid_interface, i});
  }
  return files;
}

const std::vector<Node>& files() {
  static const std::vector<Node> files = make_files();
  return files;
}

const Node* find(std::string_view path) {
  const auto found = std::ranges::find(files(), path, &Node::path);
  return found == files().end() ? nullptr : &*found;
}

bool is_below(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

// Lexically, which is right where there are no links.
std::string normal(std::string_view path) {
  std::string result;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      result.erase(std::min(result.rfind('/'), result.size()));
    } else {
      result.append("/").append(name);
    }
  }
  return result;
}

}  // namespace

std::string own_path(const char* path) {
  // Nothing else is looked at twice: this stands in front of every open() of the program.
  if (path == nullptr || path[0] != '/') return {};
  const std::string_view text(path);
  if (text.find("/infiniband") == std::string_view::npos) return {};
  std::string whole = normal(text);
  const bool ours = std::ranges::any_of(
      kRoots, [&](std::string_view root) { return whole == root || is_below(whole, root); });
  return ours ? whole : std::string();
}

PathKind kind_of(std::string_view path) {
  if (path == kUverbsNode) return PathKind::kDevice;
  if (find(path) != nullptr) return PathKind::kFile;
  const bool folder =
      std::ranges::any_of(files(), [&](const Node& node) { return is_below(node.path, path); });
  return folder ? PathKind::kDirectory : PathKind::kMissing;
}

std::vector<std::string> names_in(std::string_view path) {
  std::vector<std::string> names;
  for (const Node& node : files()) {
    if (!is_below(node.path, path)) continue;
    const std::string_view rest = std::string_view(node.path).substr(path.size() + 1);
    names.emplace_back(rest.substr(0, rest.find('/')));
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

bool needs_facts(std::string_view path) {
  const Node* node = find(path);
  return node != nullptr && node->make != nullptr;
}

std::optional<std::string> text_of(std::string_view path, const DeviceFacts& facts) {
  const Node* node = find(path);
  if (node == nullptr) return std::nullopt;
  std::optional<std::string> text =
      node->make == nullptr ? node->text : node->make(facts, node->index);
  if (text) text->push_back('\n');
  return text;
}

}  // namespace tideline::shim::verbs
