// SPDX-License-Identifier: Apache-2.0
// The commands that move files.
#include "command_line/command_line.h"

namespace tideline::app {

Command add_serve(CLI::App& app, Arguments& arguments) {
  CLI::App* command = add_command(app, kFiles, "serve",
                                  "serve the files of a directory over HTTP/1.1, until stopped");
  command->add_option("DIR", arguments.serve.directory, "the directory")
      ->type_name("DIR")
      ->required();
  command->add_option("--port", arguments.serve.port, "the TCP port")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  add_host_options(*command, arguments.wire);
  add_tcp_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return serve(a.wire, a.serve); }};
}

Command add_get(CLI::App& app, Arguments& arguments) {
  CLI::App* command = add_command(app, kFiles, "get", "download a file over HTTP/1.1");
  command->add_option("URL", arguments.get.url, "http://ADDRESS[:PORT]/PATH")->required();
  command
      ->add_option("-o,--output", arguments.get.output,
                   "the file to write (default: as in the URL; - is standard output); what "
                   "FILE.part has of it is not asked for again")
      ->type_name("FILE");
  add_host_options(*command, arguments.wire);
  add_tcp_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return get(a.wire, a.get); }};
}

Command add_copy(CLI::App& app, Arguments& arguments) {
  CLI::App* command = add_command(app, kFiles, "copy",
                                  "move a file to another host by RDMA WRITE, with a checksum");
  command->add_option("FILE", arguments.copy.file, "the file")->type_name("FILE");
  command->add_option("TARGET", arguments.copy.target,
                      "HOST:NAME: where it goes; [ADDRESS]:NAME of an IPv6 address; without a NAME "
                      "it keeps its own");
  command
      ->add_option("--listen", arguments.copy.listen,
                   "take files in this directory (TCP port 5003), until stopped")
      ->type_name("DIR");
  add_host_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return copy_file(a.wire, a.copy); }};
}

}  // namespace tideline::app
