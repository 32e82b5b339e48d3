// SPDX-License-Identifier: Apache-2.0
#include "libraries.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "failure.h"

namespace tideline::app {
namespace {

namespace fs = std::filesystem;

fs::path beside_this_program() {
  return fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "lib";
}

// In the child: what the loader says of it goes to the pipe, nothing if it was loaded. All symbols
// are looked up, as a program would in time.
[[noreturn]] void load_and_tell(const fs::path& library, int pipe) {
  std::string_view refusal;
  if (::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) refusal = ::dlerror();
  const bool told = refusal.empty() || ::write(pipe, refusal.data(), refusal.size()) > 0;
  // Nothing of the parent's is run at the end.
  ::_exit(refusal.empty() && told ? 0 : 1);
}

std::string refusal_of(const fs::path& library) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) throw Failure(fail_errno("cannot make a pipe").error());
  const UniqueFd reader(pipe[0]);
  UniqueFd writer(pipe[1]);
  const pid_t child = ::fork();
  if (child < 0) throw Failure(fail_errno("cannot fork").error());
  if (child == 0) load_and_tell(library, writer.get());
  writer.reset();
  std::string refusal;
  std::array<char, 512> bytes{};
  while (true) {
    const ssize_t size = ::read(reader.get(), bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    refusal.append(bytes.data(), static_cast<std::size_t>(size));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (status != 0 && refusal.empty()) {
    refusal = fmt::format("{}: a program that loads it ends by itself", library.string());
  }
  return refusal;
}

}  // namespace

fs::path library_folder() {
  const fs::path folder = beside_this_program();
  if (fs::exists(folder / kPreload)) return folder;
  throw Failure({.kind = ErrorKind::kEnvironment,
                 .what = fmt::format("there is no {} in {}", kPreload, folder.string()),
                 .remedy = "build it: cmake --build --preset release"});
}

std::vector<std::string> refused_libraries() {
  const fs::path folder = beside_this_program();
  const fs::path drop_in = folder / kDropIn;
  std::vector<std::string> refused;
  for (const fs::path& library : {folder / kPreload, folder / kSocketsPreload,
                                  drop_in / "libibverbs.so.1", drop_in / "librdmacm.so.1"}) {
    if (std::string refusal = refusal_of(library); !refusal.empty()) {
      refused.push_back(std::move(refusal));
    }
  }
  return refused;
}

}  // namespace tideline::app
