// SPDX-License-Identifier: Apache-2.0
// `tideline devices`: what a program under `tideline run` would learn of its RDMA device, asked of
// the same library in the same way.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <infiniband/verbs.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "libraries.h"
#include "report.h"
#include "run.h"
#include "session.h"

#undef ibv_get_device_list

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

// libibverbs.so.1 as `tideline run` puts it on the library path.
class Verbs {
 public:
  Verbs() {
    const std::string path = library_folder() / kDropIn / "libibverbs.so.1";
    library_ = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) {
      throw Failure({.kind = ErrorKind::kEnvironment, .what = ::dlerror()});
    }
  }

  template <typename Function>
  Function* find(const char* name, Function* /*declared*/) const {
    auto* found = reinterpret_cast<Function*>(::dlsym(library_, name));
    if (found == nullptr) throw Failure({.kind = ErrorKind::kEnvironment, .what = ::dlerror()});
    return found;
  }

 private:
  void* library_ = nullptr;  // stays: the engine's thread runs in it
};

struct Facts {
  std::string name;
  ibv_device_attr_ex device{};
  ibv_port_attr port{};
  std::vector<ibv_gid_entry> gids;
};

[[noreturn]] void fail_with(const char* what, int error) {
  throw Failure({.kind = ErrorKind::kEnvironment,
                 .what = fmt::format("{}: {}", what, std::strerror(error)),
                 .errno_value = error});
}

Facts ask() {
  const Verbs verbs;
  const auto get_list = verbs.find("ibv_get_device_list", &::ibv_get_device_list);
  const auto free_list = verbs.find("ibv_free_device_list", &::ibv_free_device_list);
  const auto open = verbs.find("ibv_open_device", &::ibv_open_device);
  const auto close = verbs.find("ibv_close_device", &::ibv_close_device);
  const auto query_gids = verbs.find("_ibv_query_gid_table", &::_ibv_query_gid_table);

  const std::unique_ptr<ibv_device*, decltype(free_list)> list(get_list(nullptr), free_list);
  if (list == nullptr) fail_with("cannot list devices", errno);
  Facts facts;
  facts.name = (*list)->name;
  // Why it cannot be opened the library has said.
  const std::unique_ptr<ibv_context, decltype(close)> context(open(*list), close);
  if (context == nullptr) fail_with("cannot open the device", errno);
  verbs_context& calls = *::verbs_get_ctx(context.get());
  ibv_port_attr& port = facts.port;
  if (int error =
          calls.query_device_ex(context.get(), nullptr, &facts.device, sizeof(facts.device));
      error != 0) {
    fail_with("cannot query the device", error);
  }
  if (int error = calls.query_port(context.get(), 1, &port, sizeof(port)); error != 0) {
    fail_with("cannot query the port", error);
  }
  facts.gids.resize(static_cast<std::size_t>(port.gid_tbl_len));
  const ssize_t found =
      query_gids(context.get(), facts.gids.data(), facts.gids.size(), 0, sizeof(ibv_gid_entry));
  if (found < 0) fail_with("cannot query the GIDs", static_cast<int>(-found));
  facts.gids.resize(static_cast<std::size_t>(found));
  return facts;
}

std::string text_of(const ibv_gid& gid) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET6, gid.raw, text.data(), text.size());
  return text.data();
}

const char* type_of(const ibv_gid_entry& entry) {
  return entry.gid_type == IBV_GID_TYPE_ROCE_V1 ? "RoCE v1" : "RoCE v2";
}

std::string guid_of(std::uint64_t guid) { return fmt::format("{:016x}", __builtin_bswap64(guid)); }

int bytes_of(ibv_mtu mtu) { return 128 << static_cast<int>(mtu); }

// What a device holds at most, by the names of ibv_device_attr.
Json limits_of(const ibv_device_attr& attr) {
  return Json{{"max_qp", attr.max_qp},
              {"max_qp_wr", attr.max_qp_wr},
              {"max_sge", attr.max_sge},
              {"max_cq", attr.max_cq},
              {"max_cqe", attr.max_cqe},
              {"max_mr", attr.max_mr},
              {"max_mr_size", attr.max_mr_size},
              {"max_mw", attr.max_mw},
              {"max_pd", attr.max_pd},
              {"max_ah", attr.max_ah},
              {"max_srq", attr.max_srq},
              {"max_srq_wr", attr.max_srq_wr},
              {"max_qp_rd_atom", attr.max_qp_rd_atom},
              {"max_qp_init_rd_atom", attr.max_qp_init_rd_atom}};
}

Json to_json(const Facts& facts, const std::string& wire) {
  Json gids = Json::array();
  for (const ibv_gid_entry& entry : facts.gids) {
    gids.push_back(
        {{"index", entry.gid_index}, {"gid", text_of(entry.gid)}, {"type", type_of(entry)}});
  }
  const ibv_port_attr& port = facts.port;
  return Json{{"name", facts.name},
              {"wire", wire},
              {"node_guid", guid_of(facts.device.orig_attr.node_guid)},
              {"atomics", facts.device.orig_attr.atomic_cap != IBV_ATOMIC_NONE},
              {"limits", limits_of(facts.device.orig_attr)},
              {"port",
               {{"number", 1},
                {"active", port.state == IBV_PORT_ACTIVE},
                {"link_layer", "Ethernet"},
                {"mtu", bytes_of(port.active_mtu)},
                {"max_mtu", bytes_of(port.max_mtu)},
                {"max_message", port.max_msg_sz},
                {"gids", gids}}}};
}

void print(const Json& device) {
  const Json& port = device["port"];
  fmt::print(
      "{} on {}\n  node GUID   {}\n  port 1      {}, {}, MTU {} (of {}), messages of {} bytes\n",
      device["name"].get<std::string>(), device["wire"].get<std::string>(),
      device["node_guid"].get<std::string>(), port["active"].get<bool>() ? "active" : "down",
      port["link_layer"].get<std::string>(), port["mtu"].get<int>(), port["max_mtu"].get<int>(),
      port["max_message"].get<std::uint64_t>());
  for (const Json& gid : port["gids"]) {
    fmt::print("  GID {:<7} {}, {}\n", gid["index"].get<int>(), gid["gid"].get<std::string>(),
               gid["type"].get<std::string>());
  }
  for (const auto& [name, value] : device["limits"].items()) {
    fmt::print("  {:<19} {}\n", name, value.get<std::uint64_t>());
  }
}

}  // namespace

int devices(const WireOptions& wire) {
  set_wire_variables(wire);
  const Json device = to_json(ask(), wire.wire);
  if (wire.json) {
    Json object = begin_json("devices", true);
    object["devices"] = Json::array({device});
    print_json(object);
  } else {
    print(device);
  }
  return kDone;
}

}  // namespace tideline::app
