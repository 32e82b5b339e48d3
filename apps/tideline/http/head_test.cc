// SPDX-License-Identifier: Apache-2.0
#include "http/head.h"

#include <gtest/gtest.h>

#include <string>

namespace tideline::app::http {
namespace {

int status_of(std::string_view head) {
  const auto request = parse_request(head);
  return request ? 200 : request.error();
}

TEST(HttpRequest, IsTakenApart) {
  const std::string text =
      "GET /a%20b?x=1 HTTP/1.1\r\nHost: example\r\nrange:  bytes=0-9 \t\r\nConnection: a, "
      "Close\r\n\r\n";
  EXPECT_EQ(head_size(text + "more"), text.size());
  EXPECT_FALSE(head_size(std::string_view(text).substr(0, text.size() - 1)));
  const auto request = parse_request(text);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->method, "GET");
  EXPECT_EQ(request->target, "/a%20b?x=1");
  EXPECT_EQ(request->fields.find("Range"), "bytes=0-9");
  EXPECT_FALSE(request->fields.find("Rang"));
  EXPECT_FALSE(request->keeps_alive());
  EXPECT_FALSE(request->has_body());
}

TEST(HttpRequest, KeepsAliveAsItsVersionSays) {
  EXPECT_TRUE(parse_request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")->keeps_alive());
  EXPECT_FALSE(parse_request("GET / HTTP/1.0\r\n\r\n")->keeps_alive());
  EXPECT_TRUE(parse_request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")->keeps_alive());
  EXPECT_TRUE(parse_request("PUT / HTTP/1.0\r\nContent-Length: 1\r\n\r\n")->has_body());
  EXPECT_FALSE(parse_request("PUT / HTTP/1.0\r\nContent-Length: 0\r\n\r\n")->has_body());
  EXPECT_TRUE(parse_request("PUT / HTTP/1.0\r\nContent-Length: 1, 2\r\n\r\n")->has_body());
  EXPECT_TRUE(parse_request("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")->has_body());
}

TEST(HttpRequest, RefusesWhatIsNone) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET / SPDY/1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET  HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("G@T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\nb: c\r\n\r\n"), 400);
  EXPECT_EQ(status_of("\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /" + std::string(kMaxHead, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n"), 431);
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (std::size_t i = 0; i < kMaxFields; ++i) many += "a: b\r\n";
  EXPECT_EQ(status_of(many + "\r\n"), 400);
}

TEST(HttpPath, StaysBelowTheRoot) {
  EXPECT_EQ(path_of("/"), "");
  EXPECT_EQ(path_of("/a/b.txt?q#f"), "a/b.txt");
  EXPECT_EQ(path_of("//a///b/"), "a/b/");
  EXPECT_EQ(path_of("/a/./b/../c"), "a/c");
  EXPECT_EQ(path_of("/a/.."), "");
  EXPECT_EQ(path_of("/%61%2Fb"), "a/b");
  EXPECT_EQ(path_of("http://host/x"), "x");
  EXPECT_EQ(path_of("http://host"), "");
  EXPECT_EQ(path_of("/..."), "...");
  for (const char* bad : {"/..", "/../etc/passwd", "/a/../../b", "/%2e%2e/x", "/%2e%2e%2fx", "a",
                          "*", "", "/%", "/%4", "/%zz", "/a%00b", "http://"}) {
    EXPECT_FALSE(path_of(bad)) << bad;
  }
}

TEST(HttpRange, IsOneOfThreeForms) {
  Range range;
  const auto one = [&](std::string_view text, std::uint64_t begin, std::uint64_t end) {
    return parse_range(text, 100, range) == RangeResult::kOne && range == Range{begin, end};
  };
  EXPECT_TRUE(one("bytes=0-0", 0, 1));
  EXPECT_TRUE(one("bytes=10-19", 10, 20));
  EXPECT_TRUE(one("Bytes=90-200", 90, 100));
  EXPECT_TRUE(one("bytes=99-", 99, 100));
  EXPECT_TRUE(one("bytes=-1", 99, 100));
  EXPECT_TRUE(one("bytes=-1000", 0, 100));
  for (const char* none :
       {"bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "lines=1-2", "bytes=0-1,4-5", "bytes=1",
        "bytes=+1-2", "bytes=99999999999999999999-"}) {
    EXPECT_EQ(parse_range(none, 100, range), RangeResult::kNone) << none;
  }
  EXPECT_EQ(parse_range("bytes=100-", 100, range), RangeResult::kUnsatisfiable);
  EXPECT_EQ(parse_range("bytes=-0", 100, range), RangeResult::kUnsatisfiable);
  EXPECT_EQ(parse_range("bytes=0-", 0, range), RangeResult::kUnsatisfiable);
  EXPECT_TRUE(one("bytes=1-18446744073709551615", 1, 100));
}

TEST(HttpResponse, IsTakenApart) {
  const auto response = parse_response("HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\n");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 206);
  EXPECT_EQ(content_length(response->fields), 5U);
  EXPECT_TRUE(parse_response("HTTP/1.0 200\r\n\r\n"));
  for (const char* bad :
       {"HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 99 OK\r\n\r\n", "HTTP/1.1\r\n\r\n",
        "ICY 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nbad\r\n\r\n", "HTTP/1.1 +20 OK\r\n\r\n"}) {
    EXPECT_FALSE(parse_response(bad)) << bad;
  }
  const auto twice =
      parse_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n");
  EXPECT_FALSE(content_length(twice->fields));
}

TEST(HttpResponse, ContentRange) {
  const auto range = parse_content_range("bytes 10-19/30");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, (Range{10, 20}));
  EXPECT_EQ(range->second, 30U);
  EXPECT_FALSE(parse_content_range("bytes 0-1/*")->second);
  for (const char* bad : {"bytes */30", "bytes 5-4/10", "bytes 0-10/10", "bytes 0-1", "items 0-1/2",
                          "bytes 0-18446744073709551615/*"}) {
    EXPECT_FALSE(parse_content_range(bad)) << bad;
  }
}

// The body, or what was wrong, however the bytes are cut.
std::string decode(std::string_view bytes, std::size_t step) {
  ChunkDecoder decoder;
  std::string body;
  for (std::size_t at = 0; at < bytes.size() && decoder.state() == ChunkDecoder::State::kMore;) {
    std::string_view payload;
    at += decoder.take(bytes.substr(at, step), payload);
    body += payload;
  }
  if (decoder.state() == ChunkDecoder::State::kBad) return "bad";
  return decoder.state() == ChunkDecoder::State::kDone ? body : "more";
}

TEST(HttpChunks, AreJoined) {
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{1000}}) {
    EXPECT_EQ(decode("5\r\nhello\r\n00a;x=y\r\n, world!!!\r\n0\r\n\r\nrest", step),
              "hello, world!!!");
    EXPECT_EQ(decode("0\r\nTrailer: x\r\n\r\n", step), "");
    EXPECT_EQ(decode("5\r\nhel", step), "more");
    EXPECT_EQ(decode("5\r\nhelloX\r\n", step), "bad");
    EXPECT_EQ(decode("\r\n", step), "bad");
    EXPECT_EQ(decode("5\nhello", step), "bad");
    EXPECT_EQ(decode("g\r\n", step), "bad");
    EXPECT_EQ(decode("fffffffffffffffff\r\n", step), "bad");
    EXPECT_EQ(decode("0\r\n" + std::string(kMaxHead + 1, 'a'), step), "bad");
  }
}

}  // namespace
}  // namespace tideline::app::http
