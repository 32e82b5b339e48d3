// SPDX-License-Identifier: Apache-2.0
#include "privileges.h"

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

namespace tideline::daemon {
namespace {

constexpr std::size_t kMostGroups = 65536;  // NGROUPS_MAX

template <typename Id>
std::optional<Id> number_of(const std::string& text) {
  Id id = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  // The last is "none" to the kernel.
  return whole && id != static_cast<Id>(-1) ? std::optional(id) : std::nullopt;
}

// What getpwnam_r and its like give: the buffer grows until the record fits.
template <typename Record, typename Get>
bool look_up(Record& record, std::vector<char>& buffer, const Get& get) {
  constexpr std::size_t kMost = std::size_t{16} << 20;
  for (std::size_t size = 4096; size <= kMost; size *= 4) {
    buffer.resize(size);
    Record* found = nullptr;
    const int error = get(&record, buffer.data(), buffer.size(), &found);
    if (error != ERANGE) return found != nullptr;
  }
  return false;
}

std::unexpected<Error> no_account(const char* kind, const std::string& name) {
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("this machine has no {} '{}' to run as", kind, name),
               .remedy = fmt::format("add it, or name another {} in the configuration", kind)});
}

using Capabilities = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

bool read_capabilities(Capabilities& capabilities) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return ::syscall(SYS_capget, &header, capabilities.data()) == 0;
}

bool clear_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const Capabilities none{};
  return ::syscall(SYS_capset, &header, none.data()) == 0;
}

// What exec could give back. Without CAP_SETPCAP it stays, and no_new_privs alone prevents it.
void clear_bounding_set() {
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    ::prctl(PR_CAPBSET_DROP, capability);
  }
}

Status become(const RunAs& as) {
  if (::setgroups(as.groups.size(), as.groups.data()) != 0 ||
      ::setresgid(as.group, as.group, as.group) != 0 ||
      ::setresuid(as.user, as.user, as.user) != 0) {
    return fail_errno(fmt::format("cannot become user {} and group {}", as.user, as.group),
                      "start as root, or leave `user` out");
  }
  return {};
}

bool is_one(uid_t user, gid_t group) {
  std::array<uid_t, 3> users{};
  std::array<gid_t, 3> groups{};
  return ::getresuid(users.data(), &users[1], &users[2]) == 0 &&
         ::getresgid(groups.data(), &groups[1], &groups[2]) == 0 &&
         std::ranges::all_of(users, [&](uid_t each) { return each == user; }) &&
         std::ranges::all_of(groups, [&](gid_t each) { return each == group; });
}

Status verify(const std::optional<RunAs>& as) {
  const auto still = [](const char* what) {
    return fail({.what = fmt::format("the front end has not lost {}", what),
                 .remedy = "this machine's kernel forbids it: see capabilities(7)"});
  };
  if (as && !is_one(as->user, as->group)) return still("its user and group");
  if (as && as->user != 0 && (::setuid(0) == 0 || ::geteuid() == 0)) return still("root");
  Capabilities capabilities{};
  const bool read = read_capabilities(capabilities);
  for (const auto& each : capabilities) {
    if (!read || (each.effective | each.permitted | each.inheritable) != 0) {
      return still("its capabilities");
    }
  }
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return still("the way to new privileges");
  return {};
}

}  // namespace

std::optional<uid_t> MachineAccounts::user(const std::string& name) const {
  passwd record{};
  std::vector<char> buffer;
  const bool found =
      look_up(record, buffer, [&](auto... to) { return ::getpwnam_r(name.c_str(), to...); });
  return found ? std::optional(record.pw_uid) : number_of<uid_t>(name);
}

std::optional<Group> MachineAccounts::group(const std::string& name) const {
  struct group record{};
  std::vector<char> buffer;
  const bool found =
      look_up(record, buffer, [&](auto... to) { return ::getgrnam_r(name.c_str(), to...); });
  if (!found) {
    const auto number = number_of<gid_t>(name);
    return number ? std::optional(Group{.id = *number}) : std::nullopt;
  }
  Group group{.id = record.gr_gid};
  for (char** member = record.gr_mem; *member != nullptr; ++member) {
    if (const auto id = user(*member)) group.members.push_back(*id);
  }
  return group;
}

Result<std::optional<RunAs>> run_as(const Config& config) {
  if (config.user.empty()) return std::nullopt;
  const MachineAccounts accounts;
  const auto user = accounts.user(config.user);
  if (!user) return no_account("user", config.user);
  RunAs as{.user = *user, .group = static_cast<gid_t>(*user)};
  passwd record{};
  std::vector<char> buffer;
  const bool known =
      look_up(record, buffer, [&](auto... to) { return ::getpwuid_r(*user, to...); });
  if (known) as.group = record.pw_gid;
  if (!config.group.empty()) {
    const auto group = accounts.group(config.group);
    if (!group) return no_account("group", config.group);
    as.group = group->id;
  } else if (known) {
    int count = kMostGroups;
    as.groups.resize(kMostGroups);
    ::getgrouplist(record.pw_name, as.group, as.groups.data(), &count);
    as.groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  }
  const bool is_so_already = ::geteuid() == as.user && ::getegid() == as.group;
  if (::geteuid() != 0 && is_so_already) return std::nullopt;
  if (::geteuid() != 0) {
    return fail({.what = fmt::format("user {} cannot become '{}'", ::geteuid(), config.user),
                 .remedy = "start as root, or leave `user` out"});
  }
  return as;
}

Status drop_privileges(const std::optional<RunAs>& as) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail_errno("cannot give up new privileges");
  }
  clear_bounding_set();
  if (as) {
    if (Status s = become(*as); !s) return s;
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (!clear_capabilities()) return fail_errno("cannot give up capabilities");
  return verify(as);
}

}  // namespace tideline::daemon
