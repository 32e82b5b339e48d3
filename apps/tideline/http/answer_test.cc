// SPDX-License-Identifier: Apache-2.0
// What is answered to whom, with a directory of this test's own.
#include "http/answer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "http/url.h"

namespace tideline::app::http {
namespace {

namespace fs = std::filesystem;

class HttpAnswer : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "http-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    fs::create_directories(directory_ / "root/sub");
    fs::create_directories(directory_ / "root/empty");
    fs::create_directories(directory_ / "root/a b");
    write("secret", "secret");
    write("root/a.txt", "0123456789");
    write("root/sub/index.html", "index");
    fs::create_symlink("../secret", directory_ / "root/out");
    fs::create_symlink("a.txt", directory_ / "root/in");
    fs::create_symlink("/etc", directory_ / "root/etc");
  }
  void TearDown() override { fs::remove_all(directory_); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name) << text;
  }

  Answer ask(const std::string& request) {
    const Files files = *Files::open(directory_ / "root");
    const auto parsed = parse_request(request);
    return parsed ? answer(*parsed, files, 784111777) : refuse(parsed.error(), 784111777);
  }
  Answer get(const std::string& target, const std::string& fields = {}) {
    return ask("GET " + target + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n");
  }
  static std::string body(const Answer& answer) {
    std::array<char, 64> bytes{};
    const auto size = static_cast<std::size_t>(answer.part.end - answer.part.begin);
    const ssize_t read = ::pread(answer.file.get(), bytes.data(), std::min(size, bytes.size()),
                                 static_cast<off_t>(answer.part.begin));
    return read < 0 ? "error" : std::string(bytes.data(), static_cast<std::size_t>(read));
  }
  static std::string field(const Answer& answer, const std::string& name) {
    const std::string_view text(answer.text);
    const auto head = parse_response(text.substr(0, *head_size(text)));
    return std::string(head->fields.find(name).value_or(""));
  }

  fs::path directory_;
};

TEST_F(HttpAnswer, AFileAndPartsOfIt) {
  const Answer whole = get("/a.txt");
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(body(whole), "0123456789");
  EXPECT_EQ(field(whole, "Content-Length"), "10");
  EXPECT_EQ(field(whole, "Date"), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_FALSE(whole.closes);
  const Answer part = get("/a.txt", "Range: bytes=2-4\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(body(part), "234");
  EXPECT_EQ(field(part, "Content-Range"), "bytes 2-4/10");
  EXPECT_EQ(field(part, "Content-Length"), "3");
  const Answer beyond = get("/a.txt", "Range: bytes=10-\r\n");
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(field(beyond, "Content-Range"), "bytes */10");
  const std::string tag = field(whole, "ETag");
  EXPECT_EQ(get("/a.txt", "Range: bytes=5-\r\nIf-Range: " + tag + "\r\n").status, 206);
  EXPECT_EQ(get("/a.txt", "Range: bytes=5-\r\nIf-Range: \"x\"\r\n").status, 200);
  EXPECT_EQ(get("/a.txt", "If-None-Match: \"x\", " + tag + "\r\n").status, 304);
  EXPECT_EQ(get("/a.txt", "If-Modified-Since: " + field(whole, "Last-Modified") + "\r\n").status,
            304);
  const Answer head = ask("HEAD /a.txt HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(field(head, "Content-Length"), "10");
  EXPECT_FALSE(head.file);
}

TEST_F(HttpAnswer, NothingOutsideOfTheRoot) {
  EXPECT_EQ(body(get("/in")), "0123456789");
  for (const char* bad : {"/out", "/etc/passwd", "/etc", "/../secret", "/%2e%2e/secret",
                          "/sub/../../secret", "/..%2fsecret"}) {
    const Answer answer = get(bad);
    EXPECT_TRUE(answer.status == 403 || answer.status == 400) << bad << ": " << answer.status;
    EXPECT_FALSE(answer.file) << bad;
  }
  EXPECT_EQ(get("/sub/../a.txt").status, 200);
}

TEST_F(HttpAnswer, DirectoriesAndErrors) {
  EXPECT_EQ(body(get("/sub/")), "index");
  const Answer moved = get("/sub?x");
  EXPECT_EQ(moved.status, 301);
  EXPECT_EQ(field(moved, "Location"), "/sub/");
  // Never to another host, however the path is written.
  EXPECT_EQ(field(get("//evil.example/..%2fsub"), "Location"), "/sub/");
  EXPECT_EQ(field(get("/%61%20b"), "Location"), "/a%20b/");
  EXPECT_EQ(get("/empty/").status, 404);
  EXPECT_EQ(get("/none").status, 404);
  const Answer post = ask("POST /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(post.status, 405);
  EXPECT_EQ(field(post, "Allow"), "GET, HEAD");
  EXPECT_TRUE(post.closes);
  EXPECT_TRUE(ask("GET /a.txt HTTP/1.0\r\n\r\n").closes);
  EXPECT_EQ(ask("rubbish\r\n\r\n").status, 400);
  EXPECT_TRUE(ask("rubbish\r\n\r\n").closes);
  EXPECT_EQ(field(ask("rubbish\r\n\r\n"), "Connection"), "close");
}

TEST(HttpUrl, NamesAddressPortAndTarget) {
  const auto url = parse_url("http://192.0.2.1/a/b%20c?d#e");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "192.0.2.1");
  EXPECT_EQ(url->target, "/a/b%20c?d");
  EXPECT_EQ(url->file_name, "b c");
  EXPECT_EQ(url->port, 80);
  const auto six = parse_url("http://[2001:db8::1]:8080");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->address, "2001:db8::1");
  EXPECT_EQ(six->port, 8080);
  EXPECT_EQ(six->target, "/");
  EXPECT_EQ(six->file_name, "");
  for (const char* bad : {"https://192.0.2.1/", "http://", "http://a:0/", "http://a:65536/",
                          "http://[a/", "http://a:b/", "http://[a]b/", "http://a/b c"}) {
    EXPECT_FALSE(parse_url(bad)) << bad;
  }
}

}  // namespace
}  // namespace tideline::app::http
