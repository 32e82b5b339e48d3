// SPDX-License-Identifier: Apache-2.0
// The C library's calls on paths, for programs that look for RDMA devices in /sys and /dev without
// libibverbs: UCX, NCCL, scripts. Paths of sysfs.h are answered here, everything else goes on to
// the C library. Only in the preload: the library path alone does not reach calls of the C
// library's.
//
// A file is a memfd with its text, so that everything that can be done with a descriptor works. A
// directory can be listed (opendir, scandir), not opened as a descriptor.
//
// Not seen: calls inside the C library (glob, fts), system calls made directly. Thread: any.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "shim/verbs/device.h"
#include "shim/verbs/engine.h"
#include "shim/verbs/sysfs.h"

namespace tideline::shim::verbs {
namespace {

static_assert(sizeof(struct stat) == sizeof(struct stat64));
static_assert(sizeof(dirent) == sizeof(dirent64));

// The C library's function of that name.
template <typename Function>
Function* next(const char* name, const char* version = nullptr) {
  void* found = version == nullptr ? ::dlsym(RTLD_NEXT, name) : ::dlvsym(RTLD_NEXT, name, version);
  return reinterpret_cast<Function*>(found);
}

int failed(int error) {
  errno = error;
  return -1;
}

template <typename T>
T* failed_null(int error) {
  errno = error;
  return nullptr;
}

struct stat status_of(const std::string& path, PathKind kind) {
  struct stat status{};
  status.st_ino = std::hash<std::string>{}(path);
  status.st_nlink = kind == PathKind::kDirectory ? 2 : 1;
  status.st_blksize = 4096;
  switch (kind) {
    case PathKind::kMissing:
      break;
    case PathKind::kDirectory:
      status.st_mode = S_IFDIR | 0755;
      break;
    case PathKind::kFile:
      status.st_mode = S_IFREG | 0444;
      status.st_size = 4096;  // as all attributes of sysfs
      break;
    case PathKind::kDevice:
      status.st_mode = S_IFCHR | 0666;
      status.st_rdev = ::makedev(kUverbsMajor, kUverbsMinor);
      break;
  }
  return status;
}

int tell_status(const std::string& path, struct stat* out) {
  const PathKind kind = kind_of(path);
  if (kind == PathKind::kMissing) return failed(ENOENT);
  *out = status_of(path, kind);
  return 0;
}

void tell(const struct stat& from, struct statx* to) {
  *to = {};
  to->stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_INO | STATX_SIZE;
  to->stx_blksize = static_cast<std::uint32_t>(from.st_blksize);
  to->stx_nlink = static_cast<std::uint32_t>(from.st_nlink);
  to->stx_mode = static_cast<std::uint16_t>(from.st_mode);
  to->stx_ino = from.st_ino;
  to->stx_size = static_cast<std::uint64_t>(from.st_size);
  to->stx_rdev_major = ::major(from.st_rdev);
  to->stx_rdev_minor = ::minor(from.st_rdev);
}

int tell_access(const std::string& path, int mode) {
  switch (kind_of(path)) {
    case PathKind::kMissing:
      return failed(ENOENT);
    case PathKind::kDirectory:
      return (mode & W_OK) == 0 ? 0 : failed(EACCES);
    case PathKind::kFile:
      return (mode & (W_OK | X_OK)) == 0 ? 0 : failed(EACCES);
    case PathKind::kDevice:
      return (mode & X_OK) == 0 ? 0 : failed(EACCES);
  }
  return failed(ENOENT);
}

// An errno, or 0 and the text.
int read_text(const std::string& path, std::string& text) {
  DeviceFacts facts;
  if (needs_facts(path)) {
    const auto engine = Engine::get();
    if (!engine) return ENODEV;
    facts = {.node_guid = (*engine)->traits().node_guid,
             .lid = (*engine)->traits().lid,
             .gids = &(*engine)->traits().gids,
             .interface = (*engine)->interface()};
  }
  auto found = text_of(path, facts);
  if (!found) return EINVAL;
  text = std::move(*found);
  return 0;
}

int open_text(const std::string& path, bool close_on_exec) {
  std::string text;
  if (const int error = read_text(path, text); error != 0) return failed(error);
  UniqueFd fd(::memfd_create(path.c_str(), MFD_ALLOW_SEALING | (close_on_exec ? MFD_CLOEXEC : 0U)));
  if (!fd) return -1;
  if (::pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return -1;
  }
  ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
  return fd.release();
}

int open_own(const std::string& path, int flags) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  switch (kind_of(path)) {
    case PathKind::kMissing:
      return failed(ENOENT);
    case PathKind::kDirectory:
      return failed(writes ? EISDIR : EACCES);
    case PathKind::kFile:
      if ((flags & O_DIRECTORY) != 0) return failed(ENOTDIR);
      return writes ? failed(EACCES) : open_text(path, (flags & O_CLOEXEC) != 0);
    case PathKind::kDevice:
      return failed(ENXIO);  // what a kernel without the driver says: the verbs need none
  }
  return failed(ENOENT);
}

FILE* open_stream(const std::string& path, const char* mode) {
  const bool writes = std::strpbrk(mode, "wa+") != nullptr;
  const int cloexec = std::strchr(mode, 'e') != nullptr ? O_CLOEXEC : 0;
  UniqueFd fd(open_own(path, cloexec | (writes ? O_RDWR : O_RDONLY)));
  if (!fd) return nullptr;
  FILE* stream = ::fdopen(fd.get(), "r");
  if (stream != nullptr) fd.release();
  return stream;
}

char* resolve(const std::string& path, char* out) {
  if (kind_of(path) == PathKind::kMissing) return failed_null<char>(ENOENT);
  if (out == nullptr) return ::strdup(path.c_str());
  std::memcpy(out, path.c_str(), path.size() + 1);
  return out;
}

// Directories of ours that are open. The DIR itself is one of the root directory, so that calls
// that are not answered here do no harm.
struct Listing {
  std::string path;
  std::vector<std::string> names;
  std::size_t next = 0;
  dirent entry{};
};

struct Listings {
  std::mutex mutex;
  std::unordered_map<DIR*, Listing> open;
};

// Never destroyed: programs read directories while they end.
Listings& listings() {
  static auto* const all = new Listings;
  return *all;
}
std::atomic<std::size_t> open_listings{0};

void fill(dirent& entry, const std::string& folder, const std::string& name) {
  entry = {};
  const std::string path = folder + "/" + name;
  const bool dots = name == "." || name == "..";
  const PathKind kind = dots ? PathKind::kDirectory : kind_of(path);
  entry.d_ino = std::hash<std::string>{}(path);
  entry.d_reclen = sizeof(entry);
  entry.d_type = kind == PathKind::kDirectory ? DT_DIR : kind == PathKind::kFile ? DT_REG : DT_CHR;
  name.copy(entry.d_name, sizeof(entry.d_name) - 1);
}

std::vector<std::string> all_names_in(const std::string& path) {
  std::vector<std::string> names = names_in(path);
  names.insert(names.begin(), {".", ".."});
  return names;
}

DIR* open_listing(const std::string& path, DIR* (*open_real)(const char*)) {
  const PathKind kind = kind_of(path);
  if (kind == PathKind::kMissing) return failed_null<DIR>(ENOENT);
  if (kind != PathKind::kDirectory) return failed_null<DIR>(ENOTDIR);
  DIR* directory = open_real("/");
  if (directory == nullptr) return nullptr;
  Listings& all = listings();
  const std::scoped_lock lock(all.mutex);
  all.open[directory] = {.path = path, .names = all_names_in(path)};
  open_listings.fetch_add(1);
  return directory;
}

// Calls `body(listing)` if the directory is one of ours.
template <typename Body>
bool with_listing(DIR* directory, const Body& body) {
  if (open_listings.load(std::memory_order_relaxed) == 0) return false;
  Listings& all = listings();
  const std::scoped_lock lock(all.mutex);
  const auto found = all.open.find(directory);
  if (found == all.open.end()) return false;
  body(found->second);
  return true;
}

// The next entry; null at the end.
dirent* advance(Listing& listing) {
  if (listing.next == listing.names.size()) return nullptr;
  fill(listing.entry, listing.path, listing.names[listing.next++]);
  return &listing.entry;
}

int scan(const std::string& path, dirent*** out, int (*wanted)(const dirent*),
         int (*compare)(const dirent**, const dirent**)) {
  const PathKind kind = kind_of(path);
  if (kind != PathKind::kDirectory) return failed(kind == PathKind::kMissing ? ENOENT : ENOTDIR);
  // NOLINTBEGIN(cppcoreguidelines-no-malloc): the program frees all of it
  std::vector<dirent*> entries;
  for (const std::string& name : all_names_in(path)) {
    dirent entry;
    fill(entry, path, name);
    if (wanted != nullptr && wanted(&entry) == 0) continue;
    auto* copy = static_cast<dirent*>(std::malloc(sizeof(entry)));
    if (copy == nullptr) return failed(ENOMEM);
    *copy = entry;
    entries.push_back(copy);
  }
  if (compare != nullptr) {
    std::ranges::sort(entries,
                      [&](const dirent* a, const dirent* b) { return compare(&a, &b) < 0; });
  }
  *out = static_cast<dirent**>(std::malloc(entries.size() * sizeof(dirent*) + 1));
  // NOLINTEND(cppcoreguidelines-no-malloc)
  if (*out == nullptr) return failed(ENOMEM);
  std::ranges::copy(entries, *out);
  return static_cast<int>(entries.size());
}

// The argument that open() has where it may make a file.
constexpr bool has_mode(int flags) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

}  // namespace
}  // namespace tideline::shim::verbs

using namespace tideline::shim::verbs;  // NOLINT(google-build-using-namespace): the C face of it

// Each asks once for the C library's function, then whose the path is.
extern "C" {

// NOLINTBEGIN(readability-identifier-naming): the C library's names
// NOLINTBEGIN(cert-dcl50-cpp,cppcoreguidelines-pro-type-vararg): as POSIX declares them

int open(const char* path, int flags, ...) {
  static auto* const real = next<int(const char*, int, ...)>("open");
  if (const std::string own = own_path(path); !own.empty()) return open_own(own, flags);
  if (!has_mode(flags)) return real(path, flags);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return real(path, flags, mode);
}

int openat(int folder, const char* path, int flags, ...) {
  static auto* const real = next<int(int, const char*, int, ...)>("openat");
  if (const std::string own = own_path(path); !own.empty()) return open_own(own, flags);
  if (!has_mode(flags)) return real(folder, path, flags);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return real(folder, path, flags, mode);
}

// NOLINTEND(cert-dcl50-cpp,cppcoreguidelines-pro-type-vararg)

int open64(const char* path, int flags, ...) __attribute__((alias("open")));
int openat64(int folder, const char* path, int flags, ...) __attribute__((alias("openat")));

// What programs built with _FORTIFY_SOURCE call. The C library checks and may abort.
int __open_2(const char* path, int flags) {
  static auto* const real = next<int(const char*, int)>("__open_2");
  const std::string own = own_path(path);
  return own.empty() ? real(path, flags) : open_own(own, flags);
}
int __openat_2(int folder, const char* path, int flags) {
  static auto* const real = next<int(int, const char*, int)>("__openat_2");
  const std::string own = own_path(path);
  return own.empty() ? real(folder, path, flags) : open_own(own, flags);
}
int __open64_2(const char* path, int flags) __attribute__((alias("__open_2")));
int __openat64_2(int folder, const char* path, int flags) __attribute__((alias("__openat_2")));

FILE* fopen(const char* path, const char* mode) {
  static auto* const real = next<FILE*(const char*, const char*)>("fopen");
  const std::string own = own_path(path);
  return own.empty() ? real(path, mode) : open_stream(own, mode);
}
FILE* fopen64(const char* path, const char* mode) { return fopen(path, mode); }

int stat(const char* path, struct stat* out) noexcept {
  static auto* const real = next<int(const char*, struct stat*)>("stat");
  const std::string own = own_path(path);
  return own.empty() ? real(path, out) : tell_status(own, out);
}
int lstat(const char* path, struct stat* out) noexcept {
  static auto* const real = next<int(const char*, struct stat*)>("lstat");
  const std::string own = own_path(path);
  return own.empty() ? real(path, out) : tell_status(own, out);
}
int fstatat(int folder, const char* path, struct stat* out, int flags) noexcept {
  static auto* const real = next<int(int, const char*, struct stat*, int)>("fstatat");
  const std::string own = own_path(path);
  return own.empty() ? real(folder, path, out, flags) : tell_status(own, out);
}
int stat64(const char* path, struct stat64* out) noexcept {
  return stat(path, reinterpret_cast<struct stat*>(out));
}
int lstat64(const char* path, struct stat64* out) noexcept {
  return lstat(path, reinterpret_cast<struct stat*>(out));
}
int fstatat64(int folder, const char* path, struct stat64* out, int flags) noexcept {
  return fstatat(folder, path, reinterpret_cast<struct stat*>(out), flags);
}

int statx(int folder, const char* path, int flags, unsigned mask, struct statx* out) noexcept {
  static auto* const real = next<int(int, const char*, int, unsigned, struct statx*)>("statx");
  const std::string own = own_path(path);
  if (own.empty()) return real(folder, path, flags, mask, out);
  struct stat status{};
  const int result = tell_status(own, &status);
  if (result == 0) tell(status, out);
  return result;
}

// What programs call that were built with a glibc before 2.33.
int __xstat(int version, const char* path, struct stat* out) {
  static auto* const real = next<int(int, const char*, struct stat*)>("__xstat", "GLIBC_2.2.5");
  const std::string own = own_path(path);
  return own.empty() ? real(version, path, out) : tell_status(own, out);
}
int __lxstat(int version, const char* path, struct stat* out) {
  static auto* const real = next<int(int, const char*, struct stat*)>("__lxstat", "GLIBC_2.2.5");
  const std::string own = own_path(path);
  return own.empty() ? real(version, path, out) : tell_status(own, out);
}
int __xstat64(int version, const char* path, struct stat* out) {
  return __xstat(version, path, out);
}
int __lxstat64(int version, const char* path, struct stat* out) {
  return __lxstat(version, path, out);
}

int access(const char* path, int mode) noexcept {
  static auto* const real = next<int(const char*, int)>("access");
  const std::string own = own_path(path);
  return own.empty() ? real(path, mode) : tell_access(own, mode);
}
int euidaccess(const char* path, int mode) noexcept {
  static auto* const real = next<int(const char*, int)>("euidaccess");
  const std::string own = own_path(path);
  return own.empty() ? real(path, mode) : tell_access(own, mode);
}
int eaccess(const char* path, int mode) noexcept { return euidaccess(path, mode); }
int faccessat(int folder, const char* path, int mode, int flags) noexcept {
  static auto* const real = next<int(int, const char*, int, int)>("faccessat");
  const std::string own = own_path(path);
  return own.empty() ? real(folder, path, mode, flags) : tell_access(own, mode);
}

ssize_t readlink(const char* path, char* out, std::size_t size) noexcept {
  static auto* const real = next<ssize_t(const char*, char*, std::size_t)>("readlink");
  const std::string own = own_path(path);
  if (own.empty()) return real(path, out, size);
  return failed(kind_of(own) == PathKind::kMissing ? ENOENT : EINVAL);
}
ssize_t readlinkat(int folder, const char* path, char* out, std::size_t size) noexcept {
  static auto* const real = next<ssize_t(int, const char*, char*, std::size_t)>("readlinkat");
  const std::string own = own_path(path);
  if (own.empty()) return real(folder, path, out, size);
  return failed(kind_of(own) == PathKind::kMissing ? ENOENT : EINVAL);
}
ssize_t __readlink_chk(const char* path, char* out, std::size_t size, std::size_t room) {
  static auto* const real =
      next<ssize_t(const char*, char*, std::size_t, std::size_t)>("__readlink_chk");
  return own_path(path).empty() ? real(path, out, size, room) : readlink(path, out, size);
}

char* realpath(const char* path, char* out) noexcept {
  static auto* const real = next<char*(const char*, char*)>("realpath");
  const std::string own = own_path(path);
  return own.empty() ? real(path, out) : resolve(own, out);
}
char* __realpath_chk(const char* path, char* out, std::size_t room) {
  static auto* const real = next<char*(const char*, char*, std::size_t)>("__realpath_chk");
  return own_path(path).empty() ? real(path, out, room) : realpath(path, out);
}
char* canonicalize_file_name(const char* path) noexcept { return realpath(path, nullptr); }

DIR* opendir(const char* path) {
  static auto* const real = next<DIR*(const char*)>("opendir");
  const std::string own = own_path(path);
  return own.empty() ? real(path) : open_listing(own, real);
}

dirent* readdir(DIR* directory) {
  static auto* const real = next<dirent*(DIR*)>("readdir");
  dirent* entry = nullptr;
  const bool own = with_listing(directory, [&](Listing& listing) { entry = advance(listing); });
  return own ? entry : real(directory);
}
dirent64* readdir64(DIR* directory) { return reinterpret_cast<dirent64*>(readdir(directory)); }

int readdir_r(DIR* directory, dirent* out, dirent** result) {
  static auto* const real = next<int(DIR*, dirent*, dirent**)>("readdir_r");
  const bool own = with_listing(directory, [&](Listing& listing) {
    const dirent* entry = advance(listing);
    *result = entry == nullptr ? nullptr : out;
    if (entry != nullptr) *out = *entry;
  });
  return own ? 0 : real(directory, out, result);
}
int readdir64_r(DIR* directory, dirent64* out, dirent64** result)
    __attribute__((alias("readdir_r")));

void rewinddir(DIR* directory) noexcept {
  static auto* const real = next<void(DIR*)>("rewinddir");
  if (!with_listing(directory, [](Listing& listing) { listing.next = 0; })) real(directory);
}

int closedir(DIR* directory) {
  static auto* const real = next<int(DIR*)>("closedir");
  if (with_listing(directory, [](Listing&) {})) {
    const std::scoped_lock lock(listings().mutex);
    open_listings.fetch_sub(listings().open.erase(directory));
  }
  return real(directory);
}

int scandir(const char* path, dirent*** out, int (*wanted)(const dirent*),
            int (*compare)(const dirent**, const dirent**)) {
  static auto* const real = next<int(const char*, dirent***, int (*)(const dirent*),
                                     int (*)(const dirent**, const dirent**))>("scandir");
  const std::string own = own_path(path);
  return own.empty() ? real(path, out, wanted, compare) : scan(own, out, wanted, compare);
}
int scandir64(const char* path, dirent64*** out, int (*wanted)(const dirent64*),
              int (*compare)(const dirent64**, const dirent64**)) {
  return scandir(path, reinterpret_cast<dirent***>(out),
                 reinterpret_cast<int (*)(const dirent*)>(wanted),
                 reinterpret_cast<int (*)(const dirent**, const dirent**)>(compare));
}

// NOLINTEND(readability-identifier-naming)

}  // extern "C"
