// SPDX-License-Identifier: Apache-2.0
#include "copy/incoming_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

namespace tideline::app::copy {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

class CopyDirectory : public testing::Test {
 protected:
  CopyDirectory() {
    std::string name = testing::TempDir() + "copy-directory-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
    directory_.emplace(*Directory::open(name));
  }
  ~CopyDirectory() override { fs::remove_all(path_); }

  std::size_t entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }
  IncomingFile create(const std::string& name) {
    return std::move(*IncomingFile::create(*directory_, name));
  }
  static std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
  }
  std::string content_of(const std::string& name) const {
    std::ifstream file(path_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  fs::path path_;
  std::optional<Directory> directory_;
};

TEST_F(CopyDirectory, RefusesNamesThatAreNoNames) {
  EXPECT_FALSE(directory_->refuse("file", 1));
  EXPECT_FALSE(directory_->refuse("with space and \xc3\xa4", 1));
  EXPECT_FALSE(directory_->refuse(std::string(255, 'n'), 1));
  for (const std::string& name :
       {""s, "."s, ".."s, "../x"s, "/etc/passwd"s, "a/b"s, "a/"s, ".bashrc"s, "a\0b"s, "a\nb"s,
        "\033[2J"s, std::string(256, 'n')}) {
    const auto reason = directory_->refuse(name, 1);
    ASSERT_TRUE(reason) << name;
    EXPECT_EQ(reason->find('\033'), std::string::npos);
  }
}

TEST_F(CopyDirectory, RefusesNamesThatSomethingElseHas) {
  fs::create_directory(path_ / "directory");
  fs::create_symlink("/etc/passwd", path_ / "link");
  fs::create_symlink("nowhere", path_ / "dangling");
  ASSERT_EQ(::mkfifo((path_ / "fifo").c_str(), 0600), 0);
  std::ofstream(path_ / "file") << "old";
  for (const char* name : {"directory", "link", "dangling", "fifo"}) {
    EXPECT_TRUE(directory_->refuse(name, 1)) << name;
  }
  EXPECT_FALSE(directory_->refuse("file", 1));
}

TEST_F(CopyDirectory, RefusesWhatCannotFit) {
  const auto reason = directory_->refuse("file", UINT64_MAX);
  ASSERT_TRUE(reason);
  EXPECT_NE(reason->find("no room"), std::string::npos) << *reason;
}

TEST_F(CopyDirectory, AFileHasItsNameOnceItIsWhole) {
  std::ofstream(path_ / "file") << "old";
  {
    IncomingFile file = create("file");
    ASSERT_TRUE(file.write(bytes_of("new ")));
    ASSERT_TRUE(file.write(bytes_of("content")));
    EXPECT_EQ(content_of("file"), "old");
    ASSERT_TRUE(file.keep(0640));
  }
  EXPECT_EQ(content_of("file"), "new content");
  EXPECT_EQ(entries(), 1U);
  struct stat status{};
  ASSERT_EQ(::stat((path_ / "file").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640 & ~directory_->mask());
}

TEST_F(CopyDirectory, AnUnfinishedFileLeavesNothing) {
  {
    IncomingFile file = create("file");
    ASSERT_TRUE(file.write(bytes_of("half")));
    EXPECT_EQ(entries(), 1U);
  }
  EXPECT_EQ(entries(), 0U);
}

// What came between the look at the name and its end.
TEST_F(CopyDirectory, ALinkOrDirectoryThatCameMeanwhileIsNotFollowed) {
  std::ofstream(path_ / "victim") << "precious";
  {
    IncomingFile file = create("file");
    ASSERT_TRUE(file.write(bytes_of("new")));
    fs::create_symlink("victim", path_ / "file");
    ASSERT_TRUE(file.keep(0600));
  }
  EXPECT_EQ(content_of("victim"), "precious");
  EXPECT_FALSE(fs::is_symlink(path_ / "file"));
  {
    IncomingFile file = create("other");
    fs::create_directory(path_ / "other");
    EXPECT_FALSE(file.keep(0600));
  }
  EXPECT_EQ(entries(), 3U);  // victim, file, other
}

}  // namespace
}  // namespace tideline::app::copy
